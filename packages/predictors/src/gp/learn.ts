// Hyperparameters of a Gaussian process: the box they are sought in, the prior on single length scales, and the search.
import { PredictorError } from '../errors.ts';
import { minimizeLbfgs } from '../linalg/lbfgs.ts';
import { logLikelihood, type GpProblem } from './likelihood.ts';

/** Bounds of [log σ_f², log σ_n², log ℓ, log τ], for targets and columns of unit deviation. */
const LOWER = [-4, Math.log(1e-8), -4.6, -9] as const;
const UPPER = [9, Math.log(4), 9, 9] as const;

/** @throws PredictorError `invalid-option` unless there is one group a column */
export function groupsOf(
  ard: boolean | readonly number[],
  columns: number,
): { groups: Int32Array; groupCount: number } {
  if (ard === false) return { groups: new Int32Array(columns), groupCount: 1 };
  if (ard === true) return { groups: Int32Array.from({ length: columns }, (_, k) => k), groupCount: columns };
  if (ard.length !== columns) {
    throw new PredictorError('invalid-option', `ard has ${ard.length} groups for ${columns} columns: give one each`, {
      ard,
      columns,
    });
  }
  const names = [...new Set(ard)];
  return { groups: Int32Array.from(ard, (name) => names.indexOf(name)), groupCount: names.length };
}

/**
 * Maximises the likelihood, with a normal prior on log ℓ where one is given.
 *
 * @param unit deviation of the columns, the unit of the length scales
 */
export function* learn(
  problem: GpProblem,
  start: Float64Array,
  evaluations: number,
  prior?: { readonly centre: number; readonly spread: number },
  unit: number = 1,
): Generator<number, Float64Array, void> {
  const end = 2 + problem.groupCount;
  const bound = (values: typeof LOWER | typeof UPPER) =>
    Float64Array.from(start, (_, k) => {
      if (k < 2) return values[k]!;
      return k < end ? values[2] + Math.log(unit) : values[3];
    });
  const objective = (parameters: Float64Array) => {
    const { value, gradient } = logLikelihood(problem, parameters);
    let penalty = 0;
    const negated = gradient.map((g) => -g);
    if (prior) {
      for (let k = 2; k < end; k++) {
        const away = (parameters[k]! - prior.centre) / prior.spread;
        penalty += 0.5 * away * away;
        negated[k]! += away / prior.spread;
      }
    }
    return { value: penalty - value, gradient: negated };
  };
  const { point } = yield* minimizeLbfgs(objective, start, {
    lower: bound(LOWER),
    upper: bound(UPPER),
    maxEvaluations: evaluations,
    tolerance: 1e-3,
    maxStep: 2,
  });
  return point;
}
