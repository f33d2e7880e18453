// Runs the code of the guides and of the workspace's README as a user would, each program in a process of its own.
import { execFile } from 'node:child_process';
import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examplesOf, expectedLines } from './examples.ts';

const DOCS = join(import.meta.dirname, '..');
const ROOT = join(DOCS, '..');
// Inside docs/, so that imports are resolved as for a project that depends on the packages.
const FOLDER = join(DOCS, '.snippets');
const pages = [
  ...globSync('guide/*.md', { cwd: DOCS })
    .sort()
    .map((page) => join(DOCS, page)),
  join(ROOT, 'README.md'),
];
const examples = pages.flatMap((page) => examplesOf(page, basename(page, '.md')));

beforeAll(() => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(join(FOLDER, 'work'), { recursive: true });
});
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

it('finds the examples', () => {
  expect(examples.length).toBeGreaterThan(8);
});

describe('examples', () => {
  it.each(examples)(
    '$name',
    async ({ name, code }) => {
      const file = join(FOLDER, `${name.replaceAll(' ', '-')}.ts`);
      writeFileSync(file, code);
      const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', file], {
        cwd: ROOT,
        env: { ...process.env, EXAMPLE_OUT: join(FOLDER, 'work') },
        timeout: 600_000,
      });
      const printed = stdout.split('\n');
      let from = 0;
      for (const line of expectedLines(code)) {
        const at = printed.indexOf(line, from);
        expect(at, `"${line}" among\n${stdout}`).toBeGreaterThanOrEqual(0);
        from = at + 1;
      }
    },
    300_000,
  );
});
