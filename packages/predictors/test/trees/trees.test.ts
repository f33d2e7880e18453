import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boostedTrees, PredictorError, randomForest, type BoostedTreesOptions } from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { tableOf } from '../../src/core/table.ts';
import { binsOf } from '../../src/trees/bins.ts';
import { growTree, treeValue } from '../../src/trees/tree.ts';
import { binary, samples } from '../fixtures/data.ts';

const squares = (values: readonly number[]) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
};

/** The least squared error one split can leave, by trying all. */
function bestStump(rows: readonly number[][], targets: readonly number[], minLeaf: number): number {
  let best = squares(targets);
  for (let k = 0; k < rows[0]!.length; k++) {
    for (const cut of new Set(rows.map((row) => row[k]!))) {
      const left = targets.filter((_, i) => rows[i]![k]! <= cut);
      const right = targets.filter((_, i) => rows[i]![k]! > cut);
      if (left.length >= minLeaf && right.length >= minLeaf) best = Math.min(best, squares(left) + squares(right));
    }
  }
  return best;
}

function grow(
  rows: readonly number[][],
  targets: readonly number[],
  { maxDepth = Infinity, minLeaf = 1, shrinkage = 0 } = {},
) {
  const table = tableOf(rows);
  const all = Int32Array.from(rows.keys());
  const tree = growTree(
    binsOf(table),
    Float64Array.from(targets),
    all,
    { maxDepth, minLeaf, shrinkage, columns: table.columns },
    new Random(1),
  );
  return { tree, values: rows.map((_, i) => treeValue(tree, table.data, i * table.columns)) };
}

describe('a tree', () => {
  it('of depth 1 is the best of all splits', () => {
    fc.assert(
      fc.property(
        samples({ rows: [2, 14] }),
        fc.boolean(),
        fc.integer({ min: 1, max: 3 }),
        ({ rows, targets }, coarse, minLeaf) => {
          // Coarse values: columns of two levels and ties take the short way.
          const X = coarse ? rows.map((row) => row.map((v) => Number(v > 0))) : rows;
          const { values } = grow(X, targets, { maxDepth: 1, minLeaf });
          const left = targets.reduce((sum, y, i) => sum + (y - values[i]!) ** 2, 0);
          expect(left).toBeCloseTo(bestStump(X, targets, minLeaf), 6);
        },
      ),
    );
  });

  it('fully grown goes through its rows; leaves hold means of at least minLeaf rows', () => {
    fc.assert(
      fc.property(samples({ rows: [2, 20] }), fc.integer({ min: 1, max: 4 }), ({ rows, targets }, minLeaf) => {
        const distinct = rows.map((row, i) => [i + row[0]! / 100, ...row.slice(1)]);
        grow(distinct, targets).values.forEach((value, i) => expect(value).toBeCloseTo(targets[i]!, 9));
        const { values } = grow(distinct, targets, { minLeaf });
        for (const value of new Set(values)) {
          const leaf = targets.filter((_, i) => values[i] === value);
          expect(leaf.length).toBeGreaterThanOrEqual(Math.min(minLeaf, rows.length));
          expect(leaf.reduce((a, b) => a + b, 0) / leaf.length).toBeCloseTo(value, 9);
        }
      }),
    );
  });

  it('shrinkage counts as so many rows of 0', () => {
    expect(grow([[0], [1]], [-3, 9], { maxDepth: 1, shrinkage: 2 }).values).toEqual([-1, 3]);
    // Here one leaf keeps more: 12²/4 > 3²/3 + 9²/3.
    expect(grow([[0], [1]], [3, 9], { maxDepth: 1, shrinkage: 2 }).values).toEqual([3, 3]);
  });
});

describe('bins', () => {
  it('keep the order, and all distinct values up to 256', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 }),
        (values) => {
          const { codes, edges } = binsOf(tableOf(values.map((v) => [v])));
          expect(edges[0]).toHaveLength(new Set(values.map((v) => v + 0)).size - 1);
          values.forEach((a, i) => values.forEach((b, j) => expect(codes[i]! < codes[j]!).toBe(a < b)));
        },
      ),
    );
  });

  it('are 256 of about equal size beyond', () => {
    const { codes, edges } = binsOf(tableOf(Array.from({ length: 4000 }, (_, i) => [Math.sqrt(i)])));
    expect(edges[0]).toHaveLength(255);
    const counts = new Uint32Array(256);
    for (const code of codes) counts[code]!++;
    expect(Math.min(...counts)).toBeGreaterThan(14);
    expect(Math.max(...counts)).toBeLessThan(18);
  });
});

describe('randomForest', () => {
  it('stays within the targets and repeats itself for the same seed only', () => {
    const { rows, targets } = binary(80, 12, 1);
    const fit = (seed: number) => randomForest({ trees: 20 }).fit(rows, targets, { seed }).predict(rows);
    expect(fit(1)).toEqual(fit(1));
    expect(fit(1)).not.toEqual(fit(2));
    expect(Math.max(...fit(1))).toBeLessThanOrEqual(Math.max(...targets));
    expect(Math.min(...fit(1))).toBeGreaterThanOrEqual(Math.min(...targets));
  });

  it('its out-of-bag error is about the error on new rows', () => {
    const { rows, targets } = binary(300, 10, 2, 0.05);
    const model = randomForest().fit(rows, targets);
    const fresh = binary(500, 10, 3, 0.05);
    const error = Math.sqrt(
      model.predict(fresh.rows).reduce((sum, v, i) => sum + (v - fresh.targets[i]!) ** 2, 0) / 500,
    );
    expect(model.outOfBagRmse / error).toBeGreaterThan(0.8);
    expect(model.outOfBagRmse / error).toBeLessThan(1.25);
    const { std } = model.predictWithStd(fresh.rows);
    expect(Math.min(...std)).toBeGreaterThanOrEqual(model.outOfBagRmse);
  });

  it('refuses senseless options', () => {
    for (const options of [{ trees: 0 }, { columns: 2 }, { minLeaf: 0.5 }, { maxDepth: 0 }])
      expect(() => randomForest(options)).toThrow(PredictorError);
  });
});

describe('boostedTrees', () => {
  it('lowers the training error with every tree when each sees all rows', () => {
    const { rows, targets } = binary(60, 8, 4, 0.05);
    let last = squares(targets);
    for (const trees of [1, 2, 5, 20, 60]) {
      const model = boostedTrees({ trees, folds: 0, subsample: 1, columns: 1 }).fit(rows, targets);
      const error = model.predict(rows).reduce((sum, v, i) => sum + (v - targets[i]!) ** 2, 0);
      expect(error).toBeLessThan(last);
      last = error;
    }
  });

  it('stops adding trees where they stop helping, and gives the error as deviation', () => {
    const { rows } = binary(120, 10, 5);
    const random = new Random(6);
    const noise = rows.map(() => random.uint32() / 2 ** 32);
    expect(boostedTrees({ trees: 200 }).fit(rows, noise).trees).toBeLessThan(40);
    const { targets } = binary(120, 10, 5);
    const model = boostedTrees({ trees: 200 }).fit(rows, targets);
    expect(model.trees).toBeGreaterThan(60);
    const fresh = binary(400, 10, 7);
    const error = Math.sqrt(
      model.predict(fresh.rows).reduce((sum, v, i) => sum + (v - fresh.targets[i]!) ** 2, 0) / 400,
    );
    const { std } = model.predictWithStd(fresh.rows);
    expect(std[0]! / error).toBeGreaterThan(0.6);
    expect(std[0]! / error).toBeLessThan(1.7);
  });

  it('shrinks leaves by one row, as is said of its defaults', () => {
    const rows = Array.from({ length: 20 }, (_, i) => [i % 2]);
    const stump = { trees: 1, learningRate: 1, subsample: 1, columns: 1, folds: 0 };
    // Targets of mean 1/2 and deviation 1/2: ten rows of ±1 a leaf, whose mean with one row of 0 more is ±10/11.
    const steps = rows.map(([x]) => x!);
    const high = (options: BoostedTreesOptions) =>
      boostedTrees({ ...stump, ...options })
        .fit(rows, steps)
        .predict([[1]])[0];
    expect(high({})).toBeCloseTo(0.5 + 0.5 * (10 / 11), 12);
    expect(high({ shrinkage: 0 })).toBeCloseTo(1, 12);
    const { rows: many, targets } = binary(60, 8, 4, 0.05);
    const said = {
      trees: 300,
      learningRate: 0.1,
      maxDepth: 3,
      minLeaf: 3,
      subsample: 0.7,
      columns: 0.5,
      shrinkage: 1,
      folds: 4,
    };
    expect(boostedTrees().fit(many, targets).predict(many)).toEqual(
      boostedTrees(said).fit(many, targets).predict(many),
    );
  });

  it('has no deviation without folds, and refuses senseless options', () => {
    const { rows, targets } = binary(20, 4, 8);
    expect(() => boostedTrees({ folds: 0 }).fit(rows, targets).predictWithStd(rows)).toThrow(
      expect.objectContaining({ code: 'no-std' }),
    );
    expect(
      boostedTrees()
        .fit([[1], [2]], [4, 4])
        .predict([[1]])[0],
    ).toBe(4);
    for (const options of [
      { trees: 0 },
      { learningRate: 0 },
      { subsample: 2 },
      { shrinkage: -1 },
      { folds: 1 },
      { maxDepth: 0 },
    ]) {
      expect(() => boostedTrees(options)).toThrow(PredictorError);
    }
  });
});
