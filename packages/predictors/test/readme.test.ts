// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

interface Snippet {
  readonly file: string;
  readonly code: string;
}

function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/^ *\* ?/gm, '');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => ({ file, code: match[1]! }));
}

/** `expression; // literal` becomes a comparison; returns how many there were. */
function withChecks(code: string): { readonly code: string; readonly checks: number } {
  let checks = 0;
  const checked = code.replaceAll(
    /^([^;={}\n]+(?:[<>=]+ [^;={}\n]+)?); \/\/ (\[.*\]|-?[\d.]+|true|false)$/gm,
    (_, expression: string, value: string) => {
      checks++;
      return `same(${expression}, ${value});`;
    },
  );
  return { code: checked, checks };
}

/** One module for all: each snippet in a function of its own, its imports dynamic. */
function program(snippets: readonly Snippet[]): string {
  const parts = snippets.map(({ file, code }) => {
    const body = code.replaceAll(
      /^import \{([^}]*)\} from ('[^']*');/gm,
      (_, names: string, module: string) =>
        `const {${names.replaceAll(/\btype \w+,?/g, '')}} = await import(${module});`,
    );
    return `await (async () => {\n${body}\n})().catch((error) => { throw new Error(${JSON.stringify(file)}, { cause: error }); });`;
  });
  const same = `function same(got, want) {
    if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want));
  }`;
  return [same, ...parts, `console.log('all of them');`].join('\n');
}

it('every example runs and gives what its comment says', async () => {
  const snippets = ['README.md', ...globSync('src/**/*.ts', { cwd: root })].flatMap(snippetsOf);
  expect(snippets.length).toBeGreaterThan(15);
  const checked = snippets.map(({ file, code }) => ({ file, ...withChecks(code) }));
  expect(checked.reduce((sum, { checks }) => sum + checks, 0)).toBeGreaterThanOrEqual(15);
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '--no-warnings', '-e', program(checked)],
    { cwd: root },
  );
  expect(stderr).toBe('');
  expect(stdout).toMatch(/all of them\n$/);
});
