// Runs the README's code as a user would, each example in a process of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkedProgram, runProgram } from '@hip/testing/examples';

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
