// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

function snippetsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/^ *\* ?/gm, '');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

/** `console.log(expression); // text` becomes a check that the text is what is printed. */
function program(code: string): string {
  return code.replaceAll(
    /^console\.log\((.*)\); \/\/ (.*)$/gm,
    (_, expression: string, text: string) =>
      `{ const got = ((x) => typeof x === 'string' ? x : JSON.stringify(x))(${expression}); const want = ${JSON.stringify(text)};
         if (got.replaceAll(' ', '') !== want.replaceAll(' ', '')) throw new Error(got + ' is not ' + want); }`,
  );
}

const snippets = ['README.md', ...globSync('src/**/*.ts', { cwd: root })].flatMap((file) =>
  snippetsOf(file).map((code, index) => [`${file} #${index + 1}`, code] as const),
);

it('finds the examples', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(5);
  expect(snippets.filter(([, code]) => /; \/\/ /.test(code)).length).toBeGreaterThanOrEqual(4);
});

it.each(snippets)('%s runs and prints what it says', async (_, code) => {
  const run = promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '--no-warnings', '-e', program(code)],
    {
      cwd: root,
    },
  );
  await expect(run).resolves.toBeDefined();
});
