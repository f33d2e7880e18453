// Runs the code of the README and of the doc comments as a user would.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkedProgram, packageSnippets, runProgram } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

describe('the README', () => {
  it('has examples that run and print what they show', async () => {
    const { program, checks } = checkedProgram(packageSnippets(root));
    expect(checks).toBeGreaterThanOrEqual(9);
    expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  });
});
