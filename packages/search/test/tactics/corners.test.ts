// Corners of the space: measured where no predictor ranks, and only there.
import fc from 'fast-check';
import { integer, Random, real, type Variable } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import type { SearchProblem } from '../../src/problem.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import type { Trial } from '../../src/study/trial.ts';
import { canRank, cornerCandidates } from '../../src/tactics/corners.ts';
import { seenKeys } from '../../src/tactics/sampling.ts';
import type { ProposeContext } from '../../src/tactics/tactic.ts';
import { completeTrial } from '../fixtures/trials.ts';

type Evaluate = (genes: readonly number[]) => number;

const sum: Evaluate = (genes) => genes.reduce((a, b) => a + b, 0);
/** As good as random numbers: nothing near tells of it. */
const noise: Evaluate = (genes) => new Random(Math.round(1e6 * sum(genes))).next();

const problemOf = (evaluate: Evaluate, space: readonly Variable[]): SearchProblem => ({
  name: 'corners',
  space,
  objectives: [
    { name: 'loss', kind: 'measured', evaluate },
    { name: 'gain', kind: 'measured', direction: 'maximize', evaluate: (genes) => 10 - evaluate(genes.toReversed()) },
  ],
});

function contextOf(problem: SearchProblem, count: number, change: Partial<ProposeContext> = {}): ProposeContext {
  const space = new Space(problem);
  const random = new Random(7);
  const trials = Array.from({ length: count }, (_, number) => {
    const genes = space.sample(random);
    const [loss, gain] = problem.objectives.map((objective) => objective.evaluate!(genes, {} as never) as number);
    return completeTrial({ number, genes, key: space.key(genes), values: { loss: loss!, gain: gain! } });
  });
  return {
    space,
    trials,
    random,
    round: 3,
    limit: 5,
    bounds: [],
    seed: 1,
    warm: undefined,
    signal: undefined,
    ...change,
  };
}

const reals = Array.from({ length: 6 }, (_, i) => real(-1, i + 1, `x${i}`));

describe('whether predictors rank', () => {
  it.each<[string, boolean, ProposeContext]>([
    ['a sum is ranked', true, contextOf(problemOf(sum, reals), 30)],
    ['noise is not', false, contextOf(problemOf(noise, reals), 30)],
    ['of few trials nothing is said', true, contextOf(problemOf(noise, reals), 24)],
    ['of many neither', true, contextOf(problemOf(noise, reals), 150)],
    [
      'whole numbers are left to other rules',
      true,
      contextOf(problemOf(noise, [integer(0, 99), integer(0, 99), real(0, 1, { step: 0.1 })]), 30),
    ],
  ])('%s', async (_, expected, context) => {
    expect(await canRank(context, 'gaussian-process')).toBe(expected);
  });

  it('does not matter with failures, which are to be kept away from', async () => {
    const context = contextOf(problemOf(noise, reals), 30);
    const [first, ...others] = context.trials;
    const { values: _, ...rest } = first!;
    const failed: Trial = { ...rest, status: 'failed', error: 'it did' };
    expect(await canRank({ ...context, trials: [failed, ...others] }, 'gaussian-process')).toBe(true);
  });

  it('does not matter with measured constraints, within which candidates are to stay', async () => {
    const context = contextOf(problemOf(noise, reals), 30);
    const bounds = [{ text: 'loss <= 1', name: 'loss', relation: '<=', bound: 1 }] as const;
    expect(await canRank({ ...context, bounds }, 'gaussian-process')).toBe(true);
  });

  it('is asked of the predictor that was chosen', async () => {
    const context = contextOf(
      problemOf((genes) => Math.abs(genes[0]! - 0.01), [real(-1, 1), real(0, 1)]),
      60,
    );
    const one = { ...context.space.problem, objectives: context.space.problem.objectives.slice(0, 1) };
    const alone = { ...context, space: new Space(one) };
    expect(await canRank(alone, 'random-forest')).toBe(true);
    expect(await canRank(alone, 'ridge')).toBe(false);
  });
});

describe('corners', () => {
  it('are new candidates of the space, most real values on bounds, other genes as they were drawn', () => {
    const space = [...reals, integer(0, 9, 'whole'), real(0, 1, { name: 'stepped', step: 0.25 })];
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), (seed) => {
        const context = contextOf(problemOf(sum, space), 25, { random: new Random(seed) });
        const seen = seenKeys(context);
        const found = cornerCandidates(context, 20, seen);
        expect(found).toHaveLength(20);
        expect(new Set(found.map(({ genes }) => genes.join())).size).toBe(20);
        for (const { genes, origin } of found) {
          expect(origin).toBe('corners');
          context.space.check(genes);
          expect(genes).toEqual(context.space.canonical(genes));
          expect(context.trials.some(({ key }) => key === context.space.key(genes))).toBe(false);
        }
        const values = found.flatMap(({ genes }) => genes.slice(0, 6).map((value, i) => [value, i + 1] as const));
        const onBounds = values.filter(([value, upper]) => value === -1 || value === upper).length;
        expect(onBounds / values.length).toBeGreaterThan(0.4);
        expect(onBounds / values.length).toBeLessThan(0.8);
        const again = contextOf(problemOf(sum, space), 25, { random: new Random(seed) });
        expect(cornerCandidates(again, 20, seenKeys(again))).toEqual(found);
      }),
      { numRuns: 30 },
    );
  });

  it('keep what is computed inside its bounds, and give up where nothing is', () => {
    const problem: SearchProblem = {
      ...problemOf(sum, reals),
      attributes: [{ name: 'size', evaluate: (genes) => genes[0]! }],
    };
    const bound = (most: number) => [{ text: `size <= ${most}`, name: 'size', relation: '<=', bound: most }] as const;
    const context = contextOf(problem, 25, { bounds: bound(0) });
    const found = cornerCandidates(context, 10, seenKeys(context));
    expect(found).toHaveLength(10);
    expect(found.every(({ genes }) => genes[0]! <= 0)).toBe(true);
    expect(cornerCandidates({ ...context, bounds: bound(-2) }, 10, seenKeys(context))).toEqual([]);
  });

  it.each([
    ['nothing is learnt', noise, true],
    ['something is', sum, false],
  ] as const)('are proposed by LINAS where %s', async (_, evaluate, expected) => {
    const { trials } = await runSearch(problemOf(evaluate, reals), { tactic: 'linas', evaluations: 35, seed: 2 });
    const corners = trials.filter(({ origin }) => origin === 'corners');
    expect(corners.map(({ number }) => number)).toEqual(expected ? trials.slice(25).map(({ number }) => number) : []);
  });
});
