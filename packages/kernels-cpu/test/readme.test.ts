// Runs the code of the README and of the doc comments as a user would; the README's figures are those of the stored benchmark.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inOwnScope, packageSnippets, runProgram, type Snippet } from '@hip/testing/examples';
import { measuredTables, type ResultRow } from '../scripts/measured.ts';

const root = join(import.meta.dirname, '..');
const results = join(root, '../../benchmarks/results/cpu-attention.json');

/** A line `expression; // literal`, which claims a value. */
const CLAIM = /^(?!const |let |for |if |return |await )(\S.*); \/\/ (\[.*\]|-?[\d.]+|true|false)$/gm;

/** One module for all: each snippet in a function of its own, its imports dynamic, its claims compared. */
function program(snippets: readonly Snippet[]): string {
  const parts = snippets.map(({ file, code }) => {
    const body = code
      .replaceAll(CLAIM, 'same($1, $2);')
      .replaceAll(/^import \{([^}]*)\} from ('[^']*');/gm, 'const {$1} = await import($2);')
      .replaceAll(/^import \* as tf from ('[^']*');/gm, 'const tf = require($1);');
    return inOwnScope({ file, code: body });
  });
  const same = `import { createRequire } from 'node:module';
  import type * as tf from '@tensorflow/tfjs';
  const require = createRequire(${JSON.stringify(join(root, 'package.json'))});
  let checks = 0;
  function same(got, want) {
    checks++;
    if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want));
  }`;
  return [same, ...parts, 'console.log("checks", checks);'].join('\n');
}

describe('the README', () => {
  it('has examples that run and give what their comments say', async () => {
    const snippets = packageSnippets(root);
    const claims = snippets.reduce((sum, { code }) => sum + [...code.matchAll(CLAIM)].length, 0);
    expect(claims).toBeGreaterThanOrEqual(9);
    const { stdout } = await runProgram(program(snippets), root);
    expect(stdout).toMatch(new RegExp(`checks ${claims}\n$`));
  });

  it('quotes the figures of the stored benchmark', () => {
    const { rows, environment } = JSON.parse(readFileSync(results, 'utf8')) as {
      rows: ResultRow[];
      environment: ResultRow;
    };
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(measuredTables(rows, environment));
  });
});
