// Runs the README's examples as a user of the package would, each in a process of its own.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code], i) => ({ number: i + 1, code: code! }));

describe('README', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'search-readme-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('has examples', () => {
    expect(examples).toHaveLength(2);
  });

  it.each(examples)('example $number runs and prints what it says', async ({ code }) => {
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--no-warnings', '-e', code],
      { cwd: root, env: { ...process.env, STUDY: join(folder, 'search.db') } },
    );
    expect(stderr).toBe('');
    const [, expected] = /console\.log\(.*\); \/\/ (.*)\n/.exec(code) ?? [];
    expect(stdout.trim()).toMatch(expected ?? /loss.*macs/s);
  });

  it('names only exports that exist', async () => {
    const entries = ['.', './node', './queue', './report'].map((entry) => import(`@instatune/search${entry.slice(1)}`));
    const exported = new Set((await Promise.all(entries)).flatMap((module) => Object.keys(module as object)));
    const types = new Set(['Tactic', 'Evaluator']);
    const api = readme.slice(readme.indexOf('## API'), readme.indexOf('## Command line'));
    const rows = api.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| entry'));
    const named = rows.flatMap((row) => [...row.split('|')[2]!.matchAll(/`(\w+)/g)].map(([, name]) => name!));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !exported.has(name) && !types.has(name))).toEqual([]);
  });
});
