// The code of README.md and of the doc comments runs, and prints what it shows.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { checkedProgram, packageSnippets, runProgram, typeErrors, unshownLines } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');
const folder = sharedPath('models', 'smollm2-135m-instruct');
const encoder = sharedPath('models', 'minilm-l6');

describe.skipIf(!folder)(`documentation${missingShared('models/smollm2-135m-instruct')}`, () => {
  it('every example runs and prints what it shows', async () => {
    const snippets = packageSnippets(root);
    expect(snippets.length).toBeGreaterThanOrEqual(8);
    for (const { code } of snippets) expect(unshownLines(code)).toEqual([]);
    const { program, checks } = checkedProgram(
      snippets.map(({ file, code }) => ({
        file,
        code: code.replaceAll("'./SmolLM2", `'${folder}/SmolLM2`).replaceAll("'./minilm-l6'", `'${encoder}'`),
      })),
    );
    expect(checks).toBeGreaterThanOrEqual(10);
    expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  });
});

it('every example passes tsc --strict', async () => {
  const programs = packageSnippets(root).map(({ file, code }) => ({ name: file, code, folder: root }));
  expect(await typeErrors(programs)).toEqual([]);
});
