// The code of README.md and of the doc comments runs, and prints what it shows.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { checkedProgram, packageSnippets, runProgram, snippetsOf, typeErrors } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');
const missing = missingShared('models/smollm2-135m-instruct');
const model = missing ? '' : sharedPath('models', 'smollm2-135m-instruct')!;

describe('documentation', () => {
  it.skipIf(missing)(`every example runs and prints what it shows${missing}`, async () => {
    // The Hub is not there in tests.
    const snippets = packageSnippets(root).filter(({ code }) => !/hf:\/\//.test(code));
    const { program, checks } = checkedProgram(
      snippets.map(({ file, code }) => ({ file, code: code.replaceAll("'./SmolLM2", `'${model}/SmolLM2`) })),
    );
    expect(checks).toBeGreaterThanOrEqual(6);
    expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  });

  it('the examples of README.md pass tsc --strict', async () => {
    const snippets = snippetsOf(root, 'README.md');
    expect(snippets.length).toBeGreaterThanOrEqual(1);
    expect(await typeErrors(snippets.map(({ file, code }) => ({ name: file, code, folder: root })))).toEqual([]);
  });
});
