// The regressor that cross-validates best, or the stack of all of them where that is better still.
import { PredictorError } from '../errors.ts';
import { defineRegressor, within, type Model, type Regressor } from '../core/model.ts';
import { count, oneOf } from '../core/options.ts';
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
  /** What is compared on rows left out. @defaultValue 'rmse' */
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
  /** Cross-validated, by name: lower is better, except for `kendall`. Empty on fewer than 4 rows. */
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
  const { candidates = DEFAULTS(), metric = 'rmse', stack = true, folds = 5 } = options;
  const entries = checkMembers(candidates);
  if (stack && STACK in candidates) {
    throw new PredictorError('invalid-option', 'a candidate is named "stack", as the stack of all is: rename it', {
      candidates: Object.keys(candidates),
    });
  }
  oneOf('metric', metric, ['rmse', 'mape', 'kendall']);
  count('folds', folds, 2);
  const judge = { rmse, mape, kendall: kendallTau }[metric];
  return defineRegressor('auto', function* (table, targets, seed) {
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
    entries.forEach(([name], at) => {
      scores[name] = judge(predicted[at]!, targets);
    });
    if (stack && entries.length > 1) scores[STACK] = judge(stackedOutOfFold(predicted, targets, splits), targets);
    // A constant side has no rank correlation: then all are alike, and the first is taken.
    const rank = (score: number): number => (Number.isNaN(score) ? Infinity : metric === 'kendall' ? -score : score);
    const chosen = Object.keys(scores).reduce((best, name) =>
      rank(scores[name]!) < rank(scores[best]!) ? name : best,
    );
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
