import { Random } from '@instatune/nsga2';
import { defineRegressor, gaussianProcess, ridge, type Regressor } from '@instatune/predictors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SearchError } from '../../src/errors.ts';
import type { SearchProblem } from '../../src/problem.ts';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { Space } from '../../src/space.ts';
import { encoderOf, featuresOf } from '../../src/tactics/features.ts';
import { createTactic } from '../../src/tactics/create.ts';
import { linas } from '../../src/tactics/linas.ts';
import { PREDICTOR_NAMES } from '../../src/tactics/predictor.ts';
import { fitSurrogate } from '../../src/tactics/surrogate.ts';
import type { CompleteTrial } from '../../src/study/trial.ts';

describe('features', () => {
  it('are equal exactly for equal candidates, and 0 for unused genes', () => {
    const space = new Space(bertSynth());
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const [x, y] = [space.sample(new Random(a)), space.sample(new Random(b))];
        expect(featuresOf(space, x).join() === featuresOf(space, y).join()).toBe(space.key(x) === space.key(y));
        const used = 6 + x[0]!;
        const columns = featuresOf(space, x);
        expect(columns).toHaveLength(7 + 12 * 4 + 12 * 3);
        expect(columns.slice(7 + used * 4, 7 + 48).every((v) => v === 0)).toBe(true);
      }),
    );
  });

  it('levels of integers are cumulative, of categories one-hot, reals scaled', () => {
    const space = new Space({
      name: 'f',
      space: [
        { type: 'integer', lower: 2, upper: 4 },
        { type: 'categorical', values: ['a', 'b', 'c'] },
        { type: 'boolean' },
        { type: 'real', lower: -2, upper: 2 },
        { type: 'integer', lower: 1, upper: 1000 },
        { type: 'permutation', length: 2 },
      ],
      objectives: [{ name: 'y', kind: 'measured', evaluate: () => 0 }],
    });
    expect([...featuresOf(space, [3, 1, 1, -1, 500, 1, 0])]).toEqual([1, 1, 0, 0, 1, 0, 0, 1, 0.25, 0.5, 0, 1, 1, 0]);
    expect(encoderOf(space).groups).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 5, 6, 6]);
  });
});

describe('features of many values', () => {
  const spaceOf = (...variables: SearchProblem['space']) =>
    new Space({ name: 'f', space: variables, objectives: [{ name: 'y', kind: 'measured', evaluate: () => 0 }] });

  it('are one column a level of a category, however many levels; places of a long permutation', () => {
    const space = spaceOf(
      { type: 'categorical', values: Array.from({ length: 90 }, (_, i) => `v${i}`) },
      { type: 'permutation', length: 70 },
      { type: 'integer', lower: 0, upper: 99 },
    );
    const order = Array.from({ length: 70 }, (_, i) => (i * 3) % 70);
    const features = featuresOf(space, [71, ...order, 49]);
    expect(features).toHaveLength(90 + 70 + 1);
    expect(features.subarray(0, 90).indexOf(1)).toBe(71);
    // Item 3 is at place 1, item 6 at place 2, and so on.
    expect(features[90 + 3]).toBeCloseTo(2 / 70, 12);
    expect(features[90 + 6]).toBeCloseTo(3 / 70, 12);
    expect(features[160]).toBe(0.5);
  });

  it('short permutations stay one-hot', () => {
    expect(featuresOf(spaceOf({ type: 'permutation', length: 3 }), [2, 0, 1])).toEqual(
      Float64Array.of(0, 0, 1, 1, 0, 0, 0, 1, 0),
    );
  });
});

const small = { population: 15, innerEvaluations: 2000 };
const options = { evaluations: 45, seed: 1 };

describe('the predictor', () => {
  it.each(PREDICTOR_NAMES)(
    '%s leads the search, and is in the study, which can be resumed without it',
    async (predictor) => {
      const whole = await runSearch(bertSynth(), { ...options, tactic: linas({ ...small, predictor }) });
      const random = await runSearch(bertSynth(), { ...options, tactic: 'random' });
      expect(whole.hypervolume).toBeGreaterThan(random.hypervolume);
      const [, ...rounds] = whole.study.rounds;
      expect(rounds).toHaveLength(2);
      for (const { info } of rounds) expect(info).toMatchObject({ predictors: { accuracy: { kind: predictor } } });
      const half = await runSearch(bertSynth(), {
        ...options,
        evaluations: 30,
        tactic: linas({ ...small, predictor }),
      });
      const resumed = await resume(bertSynth(), { study: half.study, evaluations: 45 });
      expect(resumed.study.trials.map(({ key }) => key)).toEqual(whole.study.trials.map(({ key }) => key));
    },
  );

  it('of one’s own is fitted on all complete trials and decides what is measured next', async () => {
    const sizes: number[] = [];
    const upsideDown: Regressor = defineRegressor('upside-down', function* (table, targets, seed) {
      sizes.push(table.rows);
      return yield* gaussianProcess({ ard: false }).steps(
        table,
        targets.map((value) => -value),
        seed,
      );
    });
    const misled = await runSearch(bertSynth(), { ...options, tactic: linas({ ...small, predictor: upsideDown }) });
    const led = await runSearch(bertSynth(), { ...options, tactic: linas(small) });
    expect(sizes).toEqual([15, 30]);
    expect(led.hypervolume).toBeGreaterThan(1.02 * misled.hypervolume);
    // Its study knows only that it was one's own: resuming needs it again.
    await expect(resume(bertSynth(), { study: misled.study, evaluations: 60 })).rejects.toThrow(SearchError);
  });

  it('that does not exist is refused by name', () => {
    for (const predictor of ['oracle', 'custom', 7]) {
      expect(() => createTactic('linas', { predictor })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
      expect(() => createTactic('successive', { predictor })).toThrow(SearchError);
    }
  });
});

describe('another study’s prediction of what it does not measure here', () => {
  it('is one feature more, of mean 0 and three times the weight of a gene', async () => {
    const space = new Space(bertSynth());
    const random = new Random(3);
    const trials = Array.from({ length: 30 }, (_, number): CompleteTrial => {
      const genes = space.sample(random);
      const values = { ...space.exact(genes), accuracy: 80 + 5 * genes[0]! + number / 10 };
      const rest = { number, round: 0, origin: 'random', seed: number, attempts: 1 };
      return { ...rest, genes, key: space.key(genes), status: 'complete', values };
    });
    const tables: number[][][] = [];
    const spy = defineRegressor('spy', function* (table, targets, seed) {
      const { rows, columns, data } = table;
      tables.push(Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * columns, (i + 1) * columns))));
      return yield* ridge().steps(table, targets, seed);
    });
    const warm = { trials, trust: new Set<string>(), share: 0.5 };
    const context = { space, round: 1, limit: 5, bounds: [], random, seed: 3, signal: undefined };
    await fitSurrogate({ ...context, trials, warm }, spy);
    const [elsewhere, here] = tables;
    expect(tables).toHaveLength(2);
    expect(here!.map((row) => row.slice(0, -1))).toEqual(elsewhere);
    const column = here!.map((row) => row.at(-1)!);
    const mean = column.reduce((a, b) => a + b, 0) / column.length;
    expect(mean).toBeCloseTo(0, 9);
    // Gene columns are 0 or 1: a deviation of the prediction counts as much as three of them.
    expect(Math.sqrt(column.reduce((sum, v) => sum + v * v, 0) / column.length)).toBeCloseTo(3, 9);
    // A study that is trusted gives rows instead.
    tables.length = 0;
    const few = trials.slice(0, 10);
    await fitSurrogate({ ...context, trials: few, warm: { ...warm, trust: new Set(['accuracy']) } }, spy);
    expect(tables.map((table) => [table.length, table[0]!.length])).toEqual([[30, elsewhere![0]!.length]]);
  });
});
