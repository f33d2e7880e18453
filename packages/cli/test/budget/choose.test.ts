import { runSearch, type SearchProblem, type SearchResult } from '@instatune/search';
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseByBudget } from '../../src/budget/choose.ts';
import { parseBudget } from '../../src/budget/grammar.ts';

/** Ten networks: the larger the better; one of them is no good for its size, but the most accurate. */
const problem: SearchProblem = {
  name: 'sizes',
  space: [{ type: 'integer', lower: 1, upper: 10, name: 'size' }],
  objectives: [
    { name: 'loss', kind: 'measured' },
    { name: 'macs', kind: 'exact', evaluate: ([size]) => 100 * size! },
  ],
  measure: ([size]) => ({ loss: size === 7 ? 0.5 : 1 / size!, accuracy: size === 7 ? 0.99 : 0.5 + size! / 25 }),
  baseline: [10],
};
let result: SearchResult;
beforeAll(async () => {
  result = await runSearch(problem, { tactic: 'random', evaluations: 10, population: 10, seed: 1 });
});
const choose = (budget: string, optimize?: string) => {
  const { point, open, rule } = chooseByBudget(result, parseBudget(budget), optimize);
  return { size: point.genes[0], open: open.map(({ text }) => text), rule };
};

describe('chooseByBudget', () => {
  it('takes the best quality within the costs', () => {
    expect(choose('macs <= 0.5x')).toMatchObject({ size: 5, open: [] });
    expect(choose('macs <= 399')).toMatchObject({ size: 3, open: [] });
  });

  it('takes the cheapest that is good enough', () => {
    expect(choose('loss <= baseline + 100%')).toMatchObject({ size: 5, open: [] });
    expect(choose('loss <= baseline')).toMatchObject({ size: 10, open: [] });
  });

  it('takes bounds on what is only recorded, off the front too', () => {
    expect(choose('accuracy >= 95%')).toMatchObject({ size: 7 });
  });

  it('takes the knee, or what is asked for, where both are bounded', () => {
    const budget = 'macs <= 0.9x, loss <= 0.4';
    expect(choose(budget).open).toEqual([]);
    expect(choose(budget, 'macs')).toMatchObject({ size: 3, rule: 'best macs within macs <= 0.9x, loss <= 0.4' });
    expect(choose(budget, 'loss').size).toBe(9);
  });

  it('leaves bounds of quality open to fine-tuning, at a cost that holds', () => {
    expect(choose('macs <= 0.4x, loss <= 0.2')).toMatchObject({ size: 4, open: ['loss <= 0.2'] });
  });

  it('says what comes nearest where nothing is cheap enough', () => {
    let error: unknown;
    try {
      choose('macs <= 0.05x, loss <= baseline');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'unmet-budget',
      details: { nearest: { values: { macs: expect.any(Number) as number } } },
    });
    expect((error as Error).message).toMatch(
      /"macs <= 0\.05x" asks for macs <= 50, the nearest has \d+; "loss <= baseline" asks for loss <= 0\.1/,
    );
  });

  it('refuses what the task has not', () => {
    expect(() => choose('perplexity <= 3')).toThrow(
      expect.objectContaining({
        code: 'bad-budget',
        message: expect.stringContaining('use loss, macs, accuracy') as string,
      }),
    );
  });
});
