// Stacking: several models, weighted by how well each predicts rows it has not seen.
import { PredictorError } from '../errors.ts';
import { defineRegressor, within, type Model, type Prediction, type Regressor } from '../core/model.ts';
import { count } from '../core/options.ts';
import { saveAs, SavedState } from '../core/saved.ts';
import { tameTargets } from '../core/robust.ts';
import { finite, scaleTargets } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { rmse } from '../metrics/errors.ts';
import { kFold } from '../validation/k-fold.ts';
import { outOfFold } from '../validation/cross-validate.ts';
import { simplexWeights } from './weights.ts';

export interface StackingOptions {
  /** @defaultValue 5 */
  readonly folds?: number | undefined;
}

/** A weighted sum of models. */
export interface StackingModel extends Model {
  readonly kind: 'stacking';
  /** Shares by member name, of members with a share; they sum to 1. */
  readonly weights: Readonly<Record<string, number>>;
  readonly members: Readonly<Record<string, Model>>;
}

/** A fitted member with its share and its out-of-fold RMS residual, undefined where there was one row. */
export interface Member {
  readonly name: string;
  readonly weight: number;
  readonly residual: number | undefined;
  readonly model: Model;
}

/** Members with a smaller share are left out. */
const LEAST_WEIGHT = 1e-3;

export function stackOf(members: readonly Member[], features: number): StackingModel {
  const predict = (rows: Rows): Float64Array => {
    const mean = new Float64Array(rows.length);
    for (const { weight, model } of members) model.predict(rows).forEach((value, i) => (mean[i]! += weight * value));
    return mean;
  };
  return {
    kind: 'stacking',
    features,
    weights: Object.fromEntries(members.map(({ name, weight }) => [name, weight])),
    members: Object.fromEntries(members.map(({ name, model }) => [name, model])),
    predict(rows) {
      tableOf(rows, features);
      return predict(rows);
    },
    predictWithStd(rows) {
      tableOf(rows, features);
      const parts = members.map((member) => ({ weight: member.weight, ...deviationOf(member, rows) }));
      const mean = new Float64Array(rows.length);
      for (const part of parts) part.mean.forEach((value, i) => (mean[i]! += part.weight * value));
      // Variance of the mixture: the members' own, and how far they are apart.
      const std = mean.map((value, i) =>
        rootOfMean(
          parts.flatMap(({ weight, mean: own, std: deviation }) => [
            [weight, deviation[i]!] as const,
            [weight, own[i]! - value] as const,
          ]),
        ),
      );
      return { mean, std: finite(std) };
    },
    toJSON: () =>
      saveAs('stacking', features, {
        members: members.map(({ name, weight, residual, model }) => ({
          name,
          weight,
          ...(residual === undefined ? {} : { residual }),
          model: model.toJSON(),
        })),
      }),
  };
}

/** Root of the weighted sum of squares, in units of the largest value, whose square neither overflows nor vanishes. */
function rootOfMean(parts: readonly (readonly [weight: number, value: number])[]): number {
  const largest = parts.reduce((most, [, value]) => Math.max(most, Math.abs(value)), 0);
  if (!(largest > 0 && largest < Infinity)) return largest;
  return largest * Math.sqrt(parts.reduce((sum, [weight, value]) => sum + weight * (value / largest) ** 2, 0));
}

/** A member's own deviation, or its out-of-fold error where it has none. */
function deviationOf({ model, residual }: Member, rows: Rows): Prediction {
  try {
    return model.predictWithStd(rows);
  } catch (error) {
    if (!(error instanceof PredictorError) || error.code !== 'no-std' || residual === undefined) throw error;
    const mean = model.predict(rows);
    return { mean, std: new Float64Array(mean.length).fill(residual) };
  }
}

/** Fits, on all rows, those members that have a share. */
export function* fitStack(
  regressors: readonly (readonly [name: string, regressor: Regressor])[],
  predicted: readonly Float64Array[],
  table: Table,
  targets: Float64Array,
  seed: number,
): Generator<number, StackingModel, void> {
  const weights = simplexWeights(predicted, targets);
  const kept = regressors.flatMap(([name, regressor], i) =>
    weights[i]! > LEAST_WEIGHT ? [{ name, regressor, weight: weights[i]!, errors: predicted[i]! }] : [],
  );
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  const members: Member[] = [];
  for (const [at, { name, regressor, weight, errors }] of kept.entries()) {
    const model = yield* within(regressor.steps(table, targets, seed), at / kept.length, (at + 1) / kept.length);
    members.push({ name, weight: weight / total, residual: rmse(errors, targets), model });
  }
  return stackOf(members, table.columns);
}

/** @throws PredictorError `invalid-option` without regressors */
export function checkMembers(members: Readonly<Record<string, Regressor>>): readonly (readonly [string, Regressor])[] {
  const entries = Object.entries(members);
  if (entries.length === 0)
    throw new PredictorError('invalid-option', 'no regressors to choose from: give at least one', { members });
  return entries;
}

/** Fewer rows than this are not split. */
export const LEAST_ROWS = 4;

/**
 * A weighted sum of models: shares ≥ 0 that sum to 1 and minimise the squared error of out-of-fold predictions. On fewer than 4 rows the shares are equal.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { nearestNeighbours, ridge, stacking } from '@instatune/predictors';
 *
 * const rows = Array.from({ length: 40 }, (_, i) => [i / 40]);
 * const model = stacking({ line: ridge(), near: nearestNeighbours() }).fit(rows, rows.map(([x]) => 3 * x + 1));
 * console.log(model.weights.line > 0.9); // => true
 * ```
 */
export function stacking(
  regressors: Readonly<Record<string, Regressor>>,
  options: StackingOptions = {},
): Regressor<StackingModel> {
  const entries = checkMembers(regressors);
  const folds = count('folds', options.folds ?? 5, 2);
  return defineRegressor('stacking', function* (table, rawTargets, seed) {
    const targets = tameTargets(rawTargets);
    if (table.rows < LEAST_ROWS) {
      const residual = table.rows > 1 ? scaleTargets(targets).deviation : undefined;
      const members: Member[] = [];
      for (const [name, regressor] of entries)
        members.push({
          name,
          weight: 1 / entries.length,
          residual,
          model: yield* regressor.steps(table, targets, seed),
        });
      return stackOf(members, table.columns);
    }
    const splits = kFold(table.rows, { folds: Math.min(folds, table.rows), seed });
    const predicted: Float64Array[] = [];
    const parts = entries.length + 1;
    for (const [at, [, regressor]] of entries.entries()) {
      predicted.push(yield* within(outOfFold(regressor, table, targets, splits, seed), at / parts, (at + 1) / parts));
    }
    return yield* within(fitStack(entries, predicted, table, targets, seed), (parts - 1) / parts, 1);
  });
}

export function loadStacking(state: SavedState, features: number, load: (saved: unknown) => Model): StackingModel {
  const members = state.list('members').map((saved): Member => {
    const member = new SavedState('stack member', saved);
    const name = member.get('name');
    const model = load(member.get('model'));
    if (model.features !== features) member.fail('model', `a model of ${features} features`);
    return {
      name: typeof name === 'string' ? name : member.fail('name', 'a text'),
      weight: member.number('weight', 0),
      residual: member.optionalNumber('residual', 0),
      model,
    };
  });
  if (members.length === 0) state.fail('members', 'a list of at least one member');
  return stackOf(members, features);
}
