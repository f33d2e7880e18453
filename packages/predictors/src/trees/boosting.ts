// Gradient-boosted trees (Friedman 2001, 2002): small trees on the residuals of those before, each on a random part of the rows.
import { PredictorError } from '../errors.ts';
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { count, inRange, positive } from '../core/options.ts';
import { Random } from '../core/random.ts';
import { saveAs, SavedState } from '../core/saved.ts';
import { tameTargets } from '../core/robust.ts';
import { scaleTargets } from '../core/scaling.ts';
import { tableOf, takeRows, takeValues, type Rows, type Table } from '../core/table.ts';
import { kFold } from '../validation/k-fold.ts';
import { binsOf } from './bins.ts';
import { growTree, treeFrom, treeToJSON, treeValue, type Tree } from './tree.ts';

export interface BoostedTreesOptions {
  /** At most; with `folds`, cross-validation picks how many of them. @defaultValue 300 */
  readonly trees?: number | undefined;
  /** @defaultValue 0.1 */
  readonly learningRate?: number | undefined;
  /** @defaultValue 3 */
  readonly maxDepth?: number | undefined;
  /** Rows a leaf has at least. @defaultValue 3 */
  readonly minLeaf?: number | undefined;
  /** Share of the rows each tree sees. @defaultValue 0.7 */
  readonly subsample?: number | undefined;
  /** Share of the columns looked at in each node. @defaultValue 0.5 */
  readonly columns?: number | undefined;
  /** L2 penalty of leaf values, in rows. @defaultValue 1 */
  readonly shrinkage?: number | undefined;
  /** Folds that choose the number of trees and give the deviation of `predictWithStd`; 0 for neither. @defaultValue 4 */
  readonly folds?: number | undefined;
}

/** Fitted boosted trees. */
export interface BoostedTreesModel extends Model {
  readonly kind: 'boosted-trees';
  readonly trees: number;
}

interface State {
  readonly features: number;
  /** Leaf values times the learning rate are added up. */
  readonly trees: readonly Tree[];
  readonly learningRate: number;
  readonly mean: number;
  readonly deviation: number;
  /** RMS of cross-validated residuals, in the targets' unit. */
  readonly residual: number | undefined;
}

function modelOf({ features, trees, learningRate, mean, deviation, residual }: State): BoostedTreesModel {
  const predict = (rows: Rows): Float64Array => {
    const { data, rows: n } = tableOf(rows, features);
    return Float64Array.from({ length: n }, (_, i) => {
      let sum = 0;
      for (const tree of trees) sum += treeValue(tree, data, i * features);
      return mean + deviation * learningRate * sum;
    });
  };
  return {
    kind: 'boosted-trees',
    features,
    trees: trees.length,
    predict,
    predictWithStd(rows) {
      if (residual === undefined) {
        throw new PredictorError(
          'no-std',
          'these trees were fitted with folds 0, or on fewer than 8 rows: fit with folds of at least 2 to predict deviations',
        );
      }
      const values = predict(rows);
      return { mean: values, std: new Float64Array(values.length).fill(residual) };
    },
    toJSON: () =>
      saveAs('boosted-trees', features, {
        trees: trees.map(treeToJSON),
        learningRate,
        mean,
        deviation,
        ...(residual === undefined ? {} : { residual }),
      }),
  };
}

/** With every default in place. */
type Settings = { readonly [K in Exclude<keyof BoostedTreesOptions, 'folds'>]-?: number };

/** Trees one by one, on scaled targets. */
function* boost(table: Table, targets: Float64Array, settings: Settings, random: Random): Generator<Tree, void, void> {
  const { trees, learningRate, subsample, maxDepth, minLeaf, shrinkage } = settings;
  const bins = binsOf(table);
  const residuals = Float64Array.from(targets);
  const n = table.rows;
  const part = Math.max(1, Math.round(subsample * n));
  const options = { maxDepth, minLeaf, shrinkage, columns: Math.max(1, Math.round(settings.columns * table.columns)) };
  for (let t = 0; t < trees; t++) {
    const tree = growTree(bins, residuals, random.permutation(n).subarray(0, part), options, random);
    for (let i = 0; i < n; i++) residuals[i]! -= learningRate * treeValue(tree, table.data, i * table.columns);
    yield tree;
  }
}

/** Squared error on unseen rows after each number of trees (0, 1, …), summed over folds. */
function* foldErrors(
  table: Table,
  targets: Float64Array,
  settings: Settings,
  folds: number,
  seed: number,
): Generator<number, Float64Array, void> {
  const errors = new Float64Array(settings.trees + 1);
  const splits = kFold(table.rows, { folds, seed });
  for (const [fold, { train, test }] of splits.entries()) {
    const judged = takeRows(table, test);
    const wanted = takeValues(targets, test);
    const predicted = new Float64Array(test.length);
    const add = (at: number) => predicted.forEach((value, i) => (errors[at]! += (value - wanted[i]!) ** 2));
    add(0);
    let at = 0;
    for (const tree of boost(
      takeRows(table, train),
      takeValues(targets, train),
      settings,
      new Random(seed + fold + 1),
    )) {
      for (let i = 0; i < judged.rows; i++)
        predicted[i]! += settings.learningRate * treeValue(tree, judged.data, i * judged.columns);
      add(++at);
    }
    yield (fold + 1) / (folds + 1);
  }
  return errors;
}

/**
 * Gradient-boosted regression trees.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { boostedTrees } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 60 }, (_, i) => [i % 2, i % 3]);
 * const model = boostedTrees().fit(rows, rows.map(([a, b]) => a + 10 * b));
 * console.log(Math.round(model.predict([[1, 2]])[0])); // => 21
 * ```
 */
export function boostedTrees(options: BoostedTreesOptions = {}): Regressor<BoostedTreesModel> {
  const {
    trees = 300,
    learningRate = 0.1,
    maxDepth = 3,
    minLeaf = 3,
    subsample = 0.7,
    columns = 0.5,
    shrinkage = 1,
    folds = 4,
  } = options;
  const settings = { trees, learningRate, maxDepth, minLeaf, subsample, columns, shrinkage };
  count('trees', trees);
  inRange('learningRate', learningRate, 0, 1);
  positive('learningRate', learningRate);
  count('maxDepth', maxDepth);
  count('minLeaf', minLeaf);
  inRange('subsample', subsample, 0, 1);
  inRange('columns', columns, 0, 1);
  inRange('shrinkage', shrinkage, 0);
  if (folds !== 0) count('folds', folds, 2);
  return defineRegressor('boosted-trees', function* (table, rawTargets, seed) {
    const { values: targets, mean, deviation } = scaleTargets(tameTargets(rawTargets));
    let wanted = trees;
    let residual: number | undefined;
    if (folds > 0 && table.rows >= 8) {
      const errors = yield* foldErrors(table, targets, settings, Math.min(folds, table.rows), seed);
      wanted = errors.indexOf(Math.min(...errors));
      residual = deviation * Math.sqrt(errors[wanted]! / table.rows);
    }
    const grown: Tree[] = [];
    for (const tree of boost(table, targets, { ...settings, trees: wanted }, new Random(seed))) grown.push(tree);
    return modelOf({ features: table.columns, trees: grown, learningRate, mean, deviation, residual });
  });
}

export function loadBoostedTrees(state: SavedState, features: number): BoostedTreesModel {
  return modelOf({
    features,
    trees: state.list('trees').map((tree) => treeFrom(new SavedState('boosted-trees tree', tree), features)),
    learningRate: state.number('learningRate', 0),
    mean: state.number('mean'),
    deviation: state.number('deviation', 0),
    residual: state.optionalNumber('residual', 0),
  });
}
