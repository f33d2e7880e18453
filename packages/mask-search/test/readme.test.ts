// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkedProgram, packageSnippets, runProgram } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

it('every example runs and prints what it shows', async () => {
  const { program, checks } = checkedProgram(packageSnippets(root));
  expect(checks).toBeGreaterThanOrEqual(20);
  const { stdout, stderr } = await runProgram(program, root);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/all of them\n$/);
});
