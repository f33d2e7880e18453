// What users' compilers see: the README's code under `tsc --strict`, and published declarations that need no types of Node.
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { snippetsOf, typeErrors } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

it('the README’s examples pass tsc --strict', async () => {
  const programs = snippetsOf(root, 'README.md').map(({ file, code }) => ({ name: file, code, folder: root }));
  expect(programs.length).toBeGreaterThanOrEqual(2);
  expect(await typeErrors(programs)).toEqual([]);
});

it('the published declarations name no module of Node: its types may not be installed', async () => {
  const built = mkdtempSync(join(tmpdir(), 'search-built-'));
  try {
    const tsdown = join(root, 'node_modules/tsdown/dist/run.mjs');
    await promisify(execFile)(process.execPath, [tsdown, '-d', built], { cwd: root });
    const declarations = globSync('*.d.mts', { cwd: built });
    expect(declarations).toContain('node.d.mts');
    const lines = declarations.flatMap((file) =>
      readFileSync(join(built, file), 'utf8')
        .split('\n')
        .filter((line) => /from "node:|import "node:|types="node"|\bNodeJS\./.test(line))
        .map((line) => `${file}: ${line}`),
    );
    expect(lines).toEqual([]);
  } finally {
    rmSync(built, { recursive: true, force: true });
  }
});
