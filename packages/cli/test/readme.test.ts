// Runs the README's command lines as a user would, one after the other.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
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
