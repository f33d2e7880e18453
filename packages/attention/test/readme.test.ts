// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageSnippets, runProgram } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

/** `console.log(expression); // text` becomes a check that the text is what is printed. */
function program(code: string): string {
  return code.replaceAll(
    /^console\.log\((.*)\); \/\/ (.*)$/gm,
    (_, expression: string, text: string) =>
      `{ const got = ((x) => typeof x === 'string' ? x : JSON.stringify(x))(${expression}); const want = ${JSON.stringify(text)};
         if (got.replaceAll(' ', '') !== want.replaceAll(' ', '')) throw new Error(got + ' is not ' + want); }`,
  );
}

const snippets = packageSnippets(root).map(({ file, code }, index) => [`${file}, example ${index + 1}`, code] as const);

it('finds the examples', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(5);
  expect(snippets.filter(([, code]) => /; \/\/ /.test(code)).length).toBeGreaterThanOrEqual(4);
});

it.each(snippets)('%s runs and prints what it says', async (_, code) => {
  await expect(runProgram(program(code), root)).resolves.toBeDefined();
});
