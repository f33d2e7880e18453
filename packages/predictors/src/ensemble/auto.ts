// The regressor that cross-validates best, or the stack of all of them where that is better still.
import { PredictorError } from '../errors.ts';
import { defineRegressor, within, type Model, type Regressor } from '../core/model.ts';
import { count, oneOf } from '../core/options.ts';
import { tameTargets } from '../core/robust.ts';
import { saveAs, SavedState } from '../core/saved.ts';
import { takeValues } from '../core/table.ts';
import { gaussianProcess } from '../gp/gaussian-process.ts';
import { ridge } from '../linear/ridge.ts';
import { mape, rmse } from '../metrics/errors.ts';
import { kendallTau } from '../metrics/ranks.ts';
import { svr } from '../svm/svr.ts';
import { randomForest } from '../trees/forest.ts';
import { kFold, type Fold } from '../validation/k-fold.ts';
import { outOfFold } from '../validation/cross-validate.ts';
import { checkMembers, fitStack, LEAST_ROWS } from './stacking.ts';
import { simplexWeights } from './weights.ts';

export interface AutoOptions {
  /** @defaultValue ridge, svr (RBF, and linear with a tube of 0.05), gaussianProcess, randomForest */
  readonly candidates?: Readonly<Record<string, Regressor>> | undefined;
  /**
   * What is compared on rows left out: the order of the predictions, which is what a search asks of them (of those within 0.005 of the best
   * rank correlation the one with the least percentage error), or the size of their errors.
   *
   * @defaultValue 'kendall'
   */
  readonly metric?: 'rmse' | 'mape' | 'kendall' | undefined;
  /** Whether the stack of all candidates competes. @defaultValue true */
  readonly stack?: boolean | undefined;
  /** @defaultValue 5 */
  readonly folds?: number | undefined;
}

/** The chosen model with the scores of all. */
export interface AutoModel extends Model {
  readonly kind: 'auto';
  /** A candidate's name, or `stack`. */
  readonly chosen: string;
  /** Cross-validated, by name: higher is better for `kendall`, lower for the others. Empty on fewer than 4 rows. */
  readonly scores: Readonly<Record<string, number>>;
  readonly model: Model;
}

const STACK = 'stack';

function modelOf(model: Model, chosen: string, scores: Readonly<Record<string, number>>): AutoModel {
  return {
    kind: 'auto',
    features: model.features,
    chosen,
    scores,
    model,
    predict: (rows) => model.predict(rows),
    predictWithStd: (rows) => model.predictWithStd(rows),
    toJSON: () =>
      saveAs('auto', model.features, {
        chosen,
        scores: Object.entries(scores).map(([name, score]) => ({ name, score })),
        model: model.toJSON(),
      }),
  };
}

/** Out-of-fold predictions of the stack: the weights that predict a fold come from the other folds. */
function stackedOutOfFold(
  predicted: readonly Float64Array[],
  targets: Float64Array,
  folds: readonly Fold[],
): Float64Array {
  const stacked = new Float64Array(targets.length);
  for (const { train, test } of folds) {
    const weights = simplexWeights(
      predicted.map((values) => takeValues(values, train)),
      takeValues(targets, train),
    );
    for (const row of test) stacked[row] = predicted.reduce((sum, values, m) => sum + weights[m]! * values[row]!, 0);
  }
  return stacked;
}

const DEFAULTS: () => Readonly<Record<string, Regressor>> = () => ({
  ridge: ridge(),
  svr: svr(),
  linearSvr: svr({ kernel: 'linear', epsilon: 0.05 }),
  gaussianProcess: gaussianProcess(),
  randomForest: randomForest(),
});

/** Rank correlations this close are alike: on the few hundred rows of a search they differ by more from one draw to the next. */
const ALIKE = 0.005;

/** The name of the lowest score; the first of equal ones, and of those that are no numbers. */
function least(scores: Readonly<Record<string, number>>): string {
  const rank = (score: number): number => (Number.isNaN(score) ? Infinity : score);
  return Object.keys(scores).reduce((best, name) => (rank(scores[name]!) < rank(scores[best]!) ? name : best));
}

/** Of those with the best rank correlation, the one with the least error. */
function bestOrder(
  judged: readonly (readonly [string, Float64Array])[],
  correlations: Readonly<Record<string, number>>,
  targets: Float64Array,
): string {
  // A constant side has no rank correlation.
  const rank = (name: string): number => (Number.isNaN(correlations[name]) ? -Infinity : correlations[name]!);
  const best = judged.reduce((most, [name]) => Math.max(most, rank(name)), -Infinity);
  const error = targets.includes(0) ? rmse : mape;
  const alike = judged.filter(([name]) => rank(name) >= best - ALIKE);
  return least(Object.fromEntries(alike.map(([name, values]) => [name, error(values, targets)])));
}

/**
 * The cross-validated choice. On fewer than 4 rows the first candidate, unjudged.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { auto, nearestNeighbours, ridge } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 40 }, (_, i) => [i / 40]);
 * const candidates = { line: ridge(), near: nearestNeighbours() };
 * const model = auto({ candidates, stack: false }).fit(rows, rows.map(([x]) => 3 * x + 1));
 * console.log(model.chosen === 'line'); // => true
 * ```
 */
export function auto(options: AutoOptions = {}): Regressor<AutoModel> {
  const { candidates = DEFAULTS(), metric = 'kendall', stack = true, folds = 5 } = options;
  const entries = checkMembers(candidates);
  if (stack && STACK in candidates) {
    throw new PredictorError('invalid-option', 'a candidate is named "stack", as the stack of all is: rename it', {
      candidates: Object.keys(candidates),
    });
  }
  oneOf('metric', metric, ['rmse', 'mape', 'kendall']);
  count('folds', folds, 2);
  const judge = { rmse, mape, kendall: kendallTau }[metric];
  return defineRegressor('auto', function* (table, rawTargets, seed) {
    const targets = tameTargets(rawTargets);
    if (table.rows < LEAST_ROWS || (entries.length === 1 && !stack)) {
      const [name, regressor] = entries[0]!;
      return modelOf(yield* regressor.steps(table, targets, seed), name, {});
    }
    const splits = kFold(table.rows, { folds: Math.min(folds, table.rows), seed });
    const parts = entries.length + 1;
    const predicted: Float64Array[] = [];
    for (const [at, [, regressor]] of entries.entries()) {
      predicted.push(yield* within(outOfFold(regressor, table, targets, splits, seed), at / parts, (at + 1) / parts));
    }
    const scores: Record<string, number> = {};
    const judged = entries.map(([name], at) => [name, predicted[at]!] as const);
    if (stack && entries.length > 1) judged.push([STACK, stackedOutOfFold(predicted, targets, splits)]);
    for (const [name, values] of judged) scores[name] = judge(values, targets);
    const chosen = metric === 'kendall' ? bestOrder(judged, scores, targets) : least(scores);
    const fit =
      chosen === STACK && stack
        ? fitStack(entries, predicted, table, targets, seed)
        : candidates[chosen]!.steps(table, targets, seed);
    return modelOf(
      yield* within<Model>(fit, (parts - 1) / parts, 1),
      chosen,
      Object.fromEntries(Object.entries(scores).filter(([, score]) => Number.isFinite(score))),
    );
  });
}

export function loadAuto(state: SavedState, features: number, load: (saved: unknown) => Model): AutoModel {
  const model = load(state.get('model'));
  if (model.features !== features) state.fail('model', `a model of ${features} features`);
  const chosen = state.get('chosen');
  if (typeof chosen !== 'string') return state.fail('chosen', 'a text');
  const scores = state.list('scores').map((saved) => {
    const score = new SavedState('auto score', saved);
    const name = score.get('name');
    return [typeof name === 'string' ? name : score.fail('name', 'a text'), score.number('score')] as const;
  });
  return modelOf(model, chosen, Object.fromEntries(scores));
}
