// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

/** A line `expression; // literal`, which claims a value. */
const CLAIM = /^(?!const |let |for |if |return )(\S.*); \/\/ (\[.*\]|-?[\d.]+|true|false)$/gm;

interface Snippet {
  readonly file: string;
  readonly code: string;
}

function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/^ *\* ?/gm, '');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => ({ file, code: match[1]! }));
}

/** One module for all: each snippet in a function of its own, its imports dynamic, its claims compared. */
function program(snippets: readonly Snippet[]): string {
  const parts = snippets.map(({ file, code }) => {
    const body = code
      .replaceAll(CLAIM, 'same($1, $2);')
      .replaceAll(/^import \{([^}]*)\} from ('[^']*');/gm, 'const {$1} = await import($2);');
    return `await (async () => {\n${body}\n})().catch((error) => { throw new Error(${JSON.stringify(file)}, { cause: error }); });`;
  });
  const same = `let checks = 0;
  function same(got, want) {
    checks++;
    if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want));
  }`;
  return [same, ...parts, 'console.log(checks);'].join('\n');
}

it('every example runs and gives what its comment says', async () => {
  const snippets = ['README.md', ...globSync('src/**/*.ts', { cwd: root })].flatMap(snippetsOf);
  const claims = snippets.reduce((sum, { code }) => sum + [...code.matchAll(CLAIM)].length, 0);
  expect(claims).toBeGreaterThanOrEqual(20);
  const args = ['--input-type=module-typescript', '--no-warnings', '-e', program(snippets)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  expect(stderr).toBe('');
  expect(Number(stdout)).toBe(claims);
});
