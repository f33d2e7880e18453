// Runs the README's code and its command lines as a user would.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sharedPath } from '@hip/testing';
import { checkedProgram, runProgram } from '@hip/testing/examples';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const lines = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.trim().split('\n'));

it('command lines of searches work, one after the other', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'readme-'));
  const searches = lines.filter((line) => /^instatune (search|resume|front|export|worker)/.test(line));
  expect(searches.map((line) => line.split(' ')[1])).toEqual([
    'search',
    'resume',
    'front',
    'export',
    'export',
    'worker',
  ]);
  const output: string[] = [];
  // A worker serves until it is stopped: worker.test.ts starts one.
  for (const line of searches.slice(0, -1)) {
    const args = [...line.matchAll(/"([^"]*)"|\S+/g)].map((match) => match[1] ?? match[0]).slice(1);
    const { stdout } = await run(process.execPath, ['--no-warnings', join(root, 'src/main.ts'), ...args], { cwd });
    output.push(stdout);
  }
  expect(output[0]).toContain('60 evaluations');
  expect(output[1]).toContain('80 evaluations');
  expect(output[2]).toMatch(/best .* within macs <= 6: trial \d+/);
  expect(readFileSync(join(cwd, 'trials.csv'), 'utf8').trim().split('\n')).toHaveLength(81);
  expect((JSON.parse(readFileSync(join(cwd, 'trials.json'), 'utf8')) as { trials: unknown[] }).trials).toHaveLength(80);
  expect(existsSync(join(cwd, 'report.html'))).toBe(true);
});

it('its program runs and prints what it shows', async () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readme)!;
  const { program, checks } = checkedProgram([
    { file: 'README.md', code: code!.replaceAll("'./bert-mini'", JSON.stringify(sharedPath('models/bert-mini'))) },
  ]);
  expect(checks).toBe(3);
  const { stdout } = await runProgram(program, root);
  expect(stdout).toMatch(/all of them\n$/);
});

it('names only exports that exist', async () => {
  const entries = await Promise.all([import('@instatune/cli/pipeline'), import('@instatune/cli/report')]);
  const exported = new Set(entries.flatMap((module) => Object.keys(module)));
  const from = readme.indexOf('| `@instatune/cli/pipeline` |');
  const rows = readme.slice(from, readme.indexOf('## Searches')).split('\n').slice(2);
  const named = rows.flatMap((row) => {
    const [, first, second] = row.split('|');
    const names = first?.includes('**') ? second! : (first ?? '');
    return [...names.matchAll(/`([a-zA-Z]\w*)/g)].map(([, name]) => name!);
  });
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !exported.has(name))).toEqual([]);
});
