import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  auto,
  boostedTrees,
  fitStandardizer,
  gaussianProcess,
  loadEncoder,
  loadModel,
  loadStandardizer,
  nearestNeighbours,
  oneHotEncoder,
  PredictorError,
  randomForest,
  ridge,
  stacking,
  svr,
  type Regressor,
} from '../src/index.ts';
import { binary } from './fixtures/data.ts';

const { rows, targets } = binary(40, 6, 1, 0.05);
const fresh = binary(20, 6, 2).rows.map((row) => row.map((v, k) => v + k / 10));
const regressors: Readonly<Record<string, Regressor>> = {
  ridge: ridge(),
  svr: svr(),
  linearSvr: svr({ kernel: 'linear', folds: 0 }),
  gaussianProcess: gaussianProcess({ maxEvaluations: 8 }),
  matern: gaussianProcess({ kernel: 'matern52', ard: false, maxEvaluations: 8 }),
  randomForest: randomForest({ trees: 5 }),
  boostedTrees: boostedTrees({ trees: 10 }),
  nearestNeighbours: nearestNeighbours(),
  stacking: stacking({ a: ridge(), b: randomForest({ trees: 5 }) }),
  auto: auto({ candidates: { a: ridge(), b: nearestNeighbours() } }),
};
/** What it returns, or the code of the error it throws; other errors go through. */
function outcome<T>(run: () => T): T | string {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof PredictorError)) throw error;
    return error.code;
  }
}

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe.each(Object.entries(regressors))('a saved %s', (_, regressor) => {
  const model = regressor.fit(rows, targets);

  it('predicts the same to the bit, and saves the same', () => {
    const again = loadModel(json(model));
    expect(again.kind).toBe(model.kind);
    expect(again.predict(fresh)).toEqual(model.predict(fresh));
    expect(outcome(() => again.predictWithStd(fresh))).toEqual(outcome(() => model.predictWithStd(fresh)));
    expect(json(again)).toEqual(json(model));
  });

  it('damaged anywhere, is refused with a typed error or still predicts finite numbers', () => {
    const whole = JSON.stringify(model);
    /** Paths to every value, lists by their first element. */
    const paths: string[][] = [];
    const walk = (value: unknown, path: string[]): void => {
      paths.push(path);
      if (Array.isArray(value)) {
        if (value.length > 0) walk(value[0], [...path, '0']);
      } else if (typeof value === 'object' && value !== null)
        for (const [key, item] of Object.entries(value)) walk(item, [...path, key]);
    };
    walk(JSON.parse(whole), []);
    fc.assert(
      fc.property(
        fc.constantFrom(...paths.slice(1)),
        fc.constantFrom(undefined, null, 'x', -7, 1.5, 1e9, [], {}, true),
        (path, junk) => {
          const damaged = JSON.parse(whole) as Record<string, unknown>;
          let at: Record<string, unknown> = damaged;
          for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
          at[path.at(-1)!] = junk;
          const read = outcome(() => {
            const again = loadModel(json(damaged));
            return again.features !== model.features || again.predict(fresh).every((v) => typeof v === 'number');
          });
          expect([true, 'invalid-state', 'unsupported-version', 'invalid-data']).toContain(read);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('what is not a saved model of this version', () => {
  it('is refused by name', () => {
    const saved = json(ridge().fit(rows, targets)) as Record<string, unknown>;
    const code = (value: unknown) => outcome(() => loadModel(value) && 'none');
    expect(code(saved)).toBe('none');
    expect(code({ ...saved, version: 2 })).toBe('unsupported-version');
    for (const value of [
      undefined,
      null,
      7,
      [],
      {},
      { ...saved, schema: 'other' },
      { ...saved, kind: 'oracle' },
      { ...saved, features: 0 },
      { ...saved, state: [] },
    ]) {
      expect(code(value)).toBe('invalid-state');
    }
  });

  it('a tree that loops is refused, not walked', () => {
    const saved = json(randomForest({ trees: 1 }).fit(rows, targets)) as {
      state: { trees: { feature: number[]; left: number[] }[] };
    };
    const tree = saved.state.trees[0]!;
    tree.left[tree.feature.findIndex((feature) => feature >= 0)] = 0;
    expect(() => loadModel(saved)).toThrow(expect.objectContaining({ code: 'invalid-state' }));
  });
});

describe('saved encoders and standardisers', () => {
  it('encode the same', () => {
    const encoder = oneHotEncoder([
      { type: 'integer', lower: 1, upper: 3 },
      { type: 'boolean' },
      { type: 'real', lower: 0, upper: 2 },
    ]);
    expect(loadEncoder(json(encoder)).encode([2, 1, 0.5])).toEqual(encoder.encode([2, 1, 0.5]));
    const scale = fitStandardizer(rows);
    expect(loadStandardizer(json(scale)).encodeAll(fresh)).toEqual(scale.encodeAll(fresh));
  });

  it('refuse what is damaged', () => {
    const encoder = json(oneHotEncoder([{ type: 'boolean' }])) as Record<string, unknown>;
    for (const bad of [
      { ...encoder, genes: [{ type: 'colour' }] },
      { ...encoder, genes: 1 },
      { ...encoder, encoding: 'x' },
      { ...encoder, genes: [null] },
      {},
    ]) {
      expect(() => loadEncoder(bad)).toThrow(expect.objectContaining({ code: 'invalid-state' }));
    }
    expect(() => loadEncoder({ ...encoder, version: 9 })).toThrow(
      expect.objectContaining({ code: 'unsupported-version' }),
    );
    const scale = json(fitStandardizer(rows)) as Record<string, unknown>;
    for (const bad of [
      { ...scale, means: [1] },
      { ...scale, deviations: (scale['means'] as number[]).map(() => 0) },
      {},
    ]) {
      expect(() => loadStandardizer(bad)).toThrow(expect.objectContaining({ code: 'invalid-state' }));
    }
    expect(() => loadStandardizer({ ...scale, version: 2 })).toThrow(
      expect.objectContaining({ code: 'unsupported-version' }),
    );
  });
});
