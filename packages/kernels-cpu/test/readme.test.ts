// Runs the code of the README and of the doc comments as a user would; the README's figures are those of the stored benchmark.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkedProgram, packageSnippets, runProgram } from '@hip/testing/examples';
import { measuredTables, type ResultRow } from '../scripts/measured.ts';

const root = join(import.meta.dirname, '..');
const results = join(root, '../../benchmarks/results/cpu-attention.json');

describe('the README', () => {
  it('has examples that run and print what they show', async () => {
    const { program, checks } = checkedProgram(packageSnippets(root));
    expect(checks).toBeGreaterThanOrEqual(9);
    expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  });

  it('quotes the figures of the stored benchmark', () => {
    const { rows, environment } = JSON.parse(readFileSync(results, 'utf8')) as {
      rows: ResultRow[];
      environment: ResultRow;
    };
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(measuredTables(rows, environment));
  });
});
