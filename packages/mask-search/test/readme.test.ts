// Runs the code of the README and of the doc comments as a user of the package would, in a process of its own.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inOwnScope, packageSnippets, runProgram, type Snippet } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

/** A line `expression; // literal`, which claims a value. */
const CLAIM = /^(?!const |let |for |if |return )(\S.*); \/\/ (\[.*\]|-?[\d.]+|true|false)$/gm;

/** One module for all: each snippet in a function of its own, its imports dynamic, its claims compared. */
function program(snippets: readonly Snippet[]): string {
  const parts = snippets.map(({ file, code }) => {
    const body = code
      .replaceAll(CLAIM, 'same($1, $2);')
      .replaceAll(/^import \{([^}]*)\} from ('[^']*');/gm, 'const {$1} = await import($2);');
    return inOwnScope({ file, code: body });
  });
  const same = `let checks = 0;
  function same(got, want) {
    checks++;
    if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want));
  }`;
  return [same, ...parts, 'console.log(checks);'].join('\n');
}

it('every example runs and gives what its comment says', async () => {
  const snippets = packageSnippets(root);
  const claims = snippets.reduce((sum, { code }) => sum + [...code.matchAll(CLAIM)].length, 0);
  expect(claims).toBeGreaterThanOrEqual(20);
  const { stdout, stderr } = await runProgram(program(snippets), root);
  expect(stderr).toBe('');
  expect(Number(stdout)).toBe(claims);
});
