// A change of the public surface shows as the lines that changed.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { changedLines, reportName } from '../lib/api-report.mjs';

const ROOT = join(import.meta.dirname, '../..');

it('names what was added, removed and changed, and nothing else', () => {
  const old = 'export const a: number;\nexport const b: string;\n}\n}\n';
  expect(changedLines(old, old)).toEqual([]);
  expect(changedLines(old, `${old}export const c: 1;\n`)).toEqual(['+ export const c: 1;']);
  expect(changedLines(old, old.replace('string', 'boolean'))).toEqual([
    '- export const b: string;',
    '+ export const b: boolean;',
  ]);
  expect(changedLines(`${old}}\n`, old)).toEqual(['- }']);
});

it('every entry that is published has a report', () => {
  const missing = globSync('packages/*/package.json', { cwd: ROOT }).flatMap((path) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as {
      private?: boolean;
      publishConfig?: { exports: Record<string, { types?: string }> };
    };
    if (manifest.private) return [];
    const reports = new Set(
      globSync(join(path, '..', 'api', '*.api.md'), { cwd: ROOT }).map((file) =>
        file.replaceAll('\\', '/').split('/').at(-1),
      ),
    );
    return Object.entries(manifest.publishConfig!.exports)
      .filter(([entry, { types }]) => types && !reports.has(reportName(entry)))
      .map(([entry]) => `${path} ${entry}`);
  });
  expect(missing).toEqual([]);
});
