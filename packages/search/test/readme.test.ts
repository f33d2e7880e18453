// Runs the README's code and its command lines as a user would, each in processes of their own.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { checkedProgram, runProgram } from '@hip/testing/examples';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp('```' + language + '\\n([\\s\\S]*?)```', 'g'))].map((match) => match[1]!);

describe('README', () => {
  it.each(blocks('ts').map((code, index) => [index, code] as const))(
    'example %i runs and prints what it shows',
    async (_, code) => {
      const { program, checks } = checkedProgram([{ file: 'README.md', code }]);
      expect(checks).toBeGreaterThanOrEqual(3);
      const { stdout, stderr } = await runProgram(program, root);
      expect(stdout).toMatch(/all of them\n$/);
      expect(stderr).toBe('');
    },
  );

  it('command lines work, one after the other', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'readme-'));
    const lines = blocks('sh')[0]!.trim().split('\n');
    expect(lines.map((line) => line.split(' ')[1])).toEqual([
      'search',
      'resume',
      'front',
      'export',
      'export',
      'worker',
    ]);
    const output: string[] = [];
    // A worker serves until it is stopped: test/evaluate/queue.test.ts starts one.
    for (const line of lines.slice(0, -1)) {
      const args = [...line.matchAll(/"([^"]*)"|\S+/g)].map((match) => match[1] ?? match[0]).slice(1);
      const { stdout } = await run(process.execPath, ['--no-warnings', join(root, 'src/cli/main.ts'), ...args], {
        cwd,
      });
      output.push(stdout);
    }
    expect(output[0]).toContain('60 evaluations');
    expect(output[1]).toContain('80 evaluations');
    expect(output[2]).toMatch(/best .* within macs <= 6: trial \d+/);
    expect(readFileSync(join(cwd, 'trials.csv'), 'utf8').trim().split('\n')).toHaveLength(81);
    expect((JSON.parse(readFileSync(join(cwd, 'trials.json'), 'utf8')) as { trials: unknown[] }).trials).toHaveLength(
      80,
    );
    expect(existsSync(join(cwd, 'report.html'))).toBe(true);
  });

  it('names only exports that exist', async () => {
    const entries = ['', '/node', '/queue', '/report'].map((entry) => import(`@instatune/search${entry}`));
    const exported = new Set((await Promise.all(entries)).flatMap((module) => Object.keys(module as object)));
    const api = readme.slice(readme.indexOf('## API'), readme.indexOf('## The file'));
    const rows = api.split('\n').filter((line) => line.startsWith('| ') && !line.includes('---'));
    // The names in the first column; in the second for the other entries.
    const named = rows.flatMap((row) => {
      const [, first, second] = row.split('|');
      return [...(first!.includes('@instatune/search/') ? second! : first!).matchAll(/`(\w+)/g)].map(
        ([, name]) => name!,
      );
    });
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !exported.has(name))).toEqual([]);
  });
});
