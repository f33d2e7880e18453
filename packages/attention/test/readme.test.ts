// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkedProgram, packageSnippets, runProgram, withChecks } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

const snippets = packageSnippets(root).map(
  (snippet, index) => [`${snippet.file}, example ${index + 1}`, snippet] as const,
);

it('finds the examples', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(5);
  expect(snippets.filter(([, { code }]) => withChecks(code).checks > 0).length).toBeGreaterThanOrEqual(4);
});

it.each(snippets)('%s runs and prints what it shows', async (_, snippet) => {
  const { stdout } = await runProgram(checkedProgram([snippet]).program, root);
  expect(stdout).toMatch(/all of them\n$/);
});
