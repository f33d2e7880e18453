// Random forest (Breiman 2001): bootstrapped trees on random columns; deviations from the trees and the rows each has not seen.
import { PredictorError } from '../errors.ts';
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { count, inRange } from '../core/options.ts';
import { Random } from '../core/random.ts';
import { saveAs, SavedState } from '../core/saved.ts';
import { tameTargets } from '../core/robust.ts';
import { scaleTargets } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { binsOf } from './bins.ts';
import { treeVariance, type ColumnDomain } from './marginals.ts';
import { growTree, treeFrom, treeToJSON, treeValue, type Tree } from './tree.ts';

export interface RandomForestOptions {
  /** @defaultValue 200 */
  readonly trees?: number | undefined;
  /** Share of the columns looked at in each node. @defaultValue a third, but ten columns where there are as many */
  readonly columns?: number | undefined;
  /** Rows a leaf has at least. @defaultValue 1 */
  readonly minLeaf?: number | undefined;
  /** @defaultValue Infinity */
  readonly maxDepth?: number | undefined;
}

/** A fitted forest. */
export interface RandomForestModel extends Model {
  readonly kind: 'random-forest';
  readonly trees: number;
  /** RMS error on rows a tree has not seen, in the targets' unit; NaN where every tree saw every row. */
  readonly outOfBagRmse: number;
  /**
   * Functional ANOVA over the whole domain (Hutter, Hoos and Leyton-Brown 2014): of the forest's variance the share that each column causes by itself,
   * the mean over trees; what is missing to 1 they cause together. All zero where the forest is constant.
   *
   * @param domains the values a column may have, one a column
   * @throws PredictorError `invalid-data` unless there is one domain a column
   *
   * @example
   * ```ts
   * import { randomForest } from '@instatune/predictors';
   *
   * const rows = Array.from({ length: 200 }, (_, i) => [i % 5, Math.floor(i / 5) % 5]);
   * const model = randomForest({ trees: 20 }).fit(rows, rows.map(([a, b]) => a + 3 * b), { seed: 1 });
   * const values = [0, 1, 2, 3, 4];
   * const [first, second] = model.importances([{ values }, { values }]);
   * console.log(first.toFixed(1), second.toFixed(1)); // => 0.1 0.9
   * ```
   */
  importances(domains: readonly ColumnDomain[]): Float64Array;
}

interface State {
  readonly features: number;
  readonly trees: readonly Tree[];
  readonly mean: number;
  readonly deviation: number;
  readonly outOfBagRmse: number;
}

/** Of targets scaled to unit variance. */
const LEAST_VARIANCE = 1e-12;
/** A third of a few columns is too little to choose from. */
const LEAST_COLUMNS = 10;

function modelOf({ features, trees, mean, deviation, outOfBagRmse }: State): RandomForestModel {
  const evaluate = (rows: Rows) => {
    const { data, rows: n }: Table = tableOf(rows, features);
    const means = new Float64Array(n);
    const std = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      let squares = 0;
      for (const tree of trees) {
        const value = treeValue(tree, data, i * features);
        sum += value;
        squares += value * value;
      }
      const average = sum / trees.length;
      means[i] = mean + deviation * average;
      // Trees apart, or the error on unseen rows, whichever is more: a pure leaf is no certainty.
      const apart = deviation * Math.sqrt(Math.max(0, squares / trees.length - average * average));
      std[i] = Math.max(apart, outOfBagRmse);
    }
    return { mean: means, std };
  };
  return {
    kind: 'random-forest',
    features,
    trees: trees.length,
    outOfBagRmse,
    predict: (rows) => evaluate(rows).mean,
    predictWithStd(rows) {
      if (Number.isFinite(outOfBagRmse)) return evaluate(rows);
      throw new PredictorError(
        'no-std',
        'every tree of this forest saw every row it was fitted on: fit at least two rows, or more trees, to predict deviations',
      );
    },
    importances(domains) {
      if (domains.length !== features)
        throw new PredictorError(
          'invalid-data',
          `${domains.length} domains for ${features} columns: give one a column`,
          { domains: domains.length, features },
        );
      const shares = new Float64Array(features);
      for (const tree of trees) {
        const { total, alone } = treeVariance(tree, domains);
        // Of a tree that is constant but for rounding there are no parts.
        if (!(total > LEAST_VARIANCE)) continue;
        alone.forEach((part, column) => (shares[column]! += part / total / trees.length));
      }
      return shares;
    },
    toJSON: () =>
      saveAs('random-forest', features, {
        trees: trees.map(treeToJSON),
        mean,
        deviation,
        ...(Number.isFinite(outOfBagRmse) ? { outOfBagRmse } : {}),
      }),
  };
}

/**
 * Random forest on binned features (256 bins a column at most: exact up to 256 distinct values). n·d·columns·depth a tree.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { randomForest } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 60 }, (_, i) => [i % 2, i % 3]);
 * const model = randomForest({ trees: 50 }).fit(rows, rows.map(([a, b]) => a + 10 * b), { seed: 1 });
 * console.log(Math.round(model.predict([[1, 2]])[0])); // => 21
 * ```
 */
export function randomForest(options: RandomForestOptions = {}): Regressor<RandomForestModel> {
  const { trees: treeCount = 200, columns, minLeaf = 1, maxDepth = Infinity } = options;
  count('trees', treeCount);
  if (columns !== undefined) inRange('columns', columns, 0, 1);
  count('minLeaf', minLeaf);
  if (maxDepth !== Infinity) count('maxDepth', maxDepth);
  return defineRegressor('random-forest', function* (table, rawTargets, seed) {
    const random = new Random(seed);
    const bins = binsOf(table);
    const { values: targets, mean, deviation } = scaleTargets(tameTargets(rawTargets));
    const n = table.rows;
    const trees: Tree[] = [];
    const sums = new Float64Array(n);
    const counts = new Int32Array(n);
    const tried =
      columns === undefined
        ? Math.min(table.columns, Math.max(LEAST_COLUMNS, table.columns / 3))
        : columns * table.columns;
    const settings = { maxDepth, minLeaf, columns: Math.max(1, Math.round(tried)), shrinkage: 0 };
    for (let t = 0; t < treeCount; t++) {
      const seen = new Uint8Array(n);
      const sample = Int32Array.from({ length: n }, () => {
        const row = random.below(n);
        seen[row] = 1;
        return row;
      });
      const tree = growTree(bins, targets, sample, settings, random);
      trees.push(tree);
      for (let i = 0; i < n; i++) {
        if (seen[i]) continue;
        sums[i]! += treeValue(tree, table.data, i * table.columns);
        counts[i]!++;
      }
      if (t % 16 === 15) yield (t + 1) / treeCount;
    }
    let squares = 0;
    let judged = 0;
    for (let i = 0; i < n; i++) {
      if (counts[i] === 0) continue;
      squares += (sums[i]! / counts[i]! - targets[i]!) ** 2;
      judged++;
    }
    return modelOf({
      features: table.columns,
      trees,
      mean,
      deviation,
      outOfBagRmse: judged > 0 ? deviation * Math.sqrt(squares / judged) : NaN,
    });
  });
}

export function loadRandomForest(state: SavedState, features: number): RandomForestModel {
  const trees = state.list('trees').map((tree) => treeFrom(new SavedState('random-forest tree', tree), features));
  if (trees.length === 0) state.fail('trees', 'a list of at least one tree');
  return modelOf({
    features,
    trees,
    mean: state.number('mean'),
    deviation: state.number('deviation', 0),
    outOfBagRmse: state.optionalNumber('outOfBagRmse', 0) ?? NaN,
  });
}
