// What is minimised: variables, objectives, constraints, and the optional repair and canonical form of a candidate.
import { Nsga2Error } from './errors.ts';
import type { Variable } from './variables.ts';

/** A candidate as numbers: one per real/integer/categorical/boolean variable, `length` per permutation. */
export type Genes = readonly number[];

/** The outcome of evaluating one candidate. */
export interface Evaluation {
  /** Values to minimise; finite. Negate what is to be maximised. */
  readonly objectives: ArrayLike<number>;
  /** g(x), satisfied where g <= 0. */
  readonly inequality?: ArrayLike<number>;
  /** h(x), satisfied where |h| <= 1e-4. */
  readonly equality?: ArrayLike<number>;
}

/** The candidate could not be evaluated (crash, time-out): it ranks behind everything else. */
export interface FailedEvaluation {
  readonly failed: true;
}

/** What `evaluate` may return: the objectives alone, or with constraints, or a failure. */
export type EvaluationResult = readonly number[] | Float64Array | Evaluation | FailedEvaluation;

export interface EvaluationContext {
  /** Aborted with the run. */
  readonly signal: AbortSignal;
  /** Number of the candidate, 0 for the first of the run. */
  readonly id: number;
}

/**
 * A multi-objective problem. Everything is minimised.
 *
 * @example
 * ```ts
 * import { minimize, real, type Problem } from '@instatune/nsga2';
 *
 * const schaffer: Problem = {
 *   variables: [real(-10, 10)],
 *   objectives: 2,
 *   evaluate: ([x = 0]) => [x ** 2, (x - 2) ** 2],
 * };
 * const { front } = await minimize(schaffer, { populationSize: 40, maxGenerations: 20, seed: 1 });
 * ```
 */
export interface Problem {
  readonly name?: string;
  readonly variables: readonly Variable[];
  /** Number of objectives. */
  readonly objectives: number;
  /** Number of inequality constraints g(x) <= 0. @defaultValue 0 */
  readonly inequality?: number;
  /** Number of equality constraints h(x) = 0. @defaultValue 0 */
  readonly equality?: number;
  /** Evaluates one candidate, now or later. */
  evaluate(genes: Genes, context: EvaluationContext): EvaluationResult | Promise<EvaluationResult>;
  /**
   * Evaluates many candidates at once (a predictor, a device batch), in the order given; used instead of `evaluate`
   * where present.
   */
  evaluateBatch?(
    batch: readonly Genes[],
    context: { readonly signal: AbortSignal; readonly ids: readonly number[] },
  ): readonly EvaluationResult[] | Promise<readonly EvaluationResult[]>;
  /** Makes a candidate valid, in place; runs after the operators and before `canonical`. */
  repair?(genes: Float64Array): void;
  /**
   * Brings equivalent candidates to one form, in place (unused genes to a fixed value, say); runs before the duplicate
   * check, so equivalents are evaluated once.
   */
  canonical?(genes: Float64Array): void;
}

/** Equality constraints are satisfied within this. */
export const EQUALITY_TOLERANCE = 1e-4;

/** CV = Σ max(0, g) + Σ max(0, |h| − 1e-4); 0 means feasible. */
export function constraintViolation(evaluation: Pick<Evaluation, 'inequality' | 'equality'>): number {
  let violation = 0;
  const { inequality, equality } = evaluation;
  if (inequality) for (let i = 0; i < inequality.length; i++) violation += Math.max(0, inequality[i]!);
  if (equality) {
    for (let i = 0; i < equality.length; i++) violation += Math.max(0, Math.abs(equality[i]!) - EQUALITY_TOLERANCE);
  }
  return violation;
}

/** @throws Nsga2Error `invalid-problem` unless the counts are whole numbers and there is an objective */
export function assertProblem(problem: Problem): void {
  const { objectives, inequality = 0, equality = 0 } = problem;
  if (!Number.isInteger(objectives) || objectives < 1) {
    throw new Nsga2Error('invalid-problem', `objectives is ${objectives}: needs a count of at least 1`, { objectives });
  }
  for (const [name, value] of Object.entries({ inequality, equality })) {
    if (!Number.isInteger(value) || value < 0) {
      throw new Nsga2Error('invalid-problem', `${name} is ${value}: needs a count of constraints, 0 or more`, {
        [name]: value,
      });
    }
  }
}

/** Checked values of one evaluation: the objectives and the constraint violation (Infinity when failed). */
export interface CheckedEvaluation {
  readonly objectives: ArrayLike<number>;
  readonly violation: number;
  readonly failed: boolean;
}

const NO_OBJECTIVES: readonly number[] = [];

/** Checks one evaluation against the problem. @throws Nsga2Error `invalid-evaluation` naming what is wrong */
export function checkEvaluation(problem: Problem, result: EvaluationResult, id: number): CheckedEvaluation {
  if (result === null || typeof result !== 'object') {
    throw new Nsga2Error('invalid-evaluation', `candidate ${id}: ${String(result)} is not an evaluation`, {
      id,
      result,
    });
  }
  if ('failed' in result && result.failed) return { objectives: NO_OBJECTIVES, violation: Infinity, failed: true };
  const bare = Array.isArray(result) || ArrayBuffer.isView(result);
  const evaluation = (bare ? { objectives: result } : result) as Evaluation;
  checkList(evaluation.objectives, problem.objectives, 'objectives', id);
  if (bare && !problem.inequality && !problem.equality) {
    return { objectives: evaluation.objectives, violation: 0, failed: false };
  }
  checkList(evaluation.inequality ?? NO_OBJECTIVES, problem.inequality ?? 0, 'inequality', id);
  checkList(evaluation.equality ?? NO_OBJECTIVES, problem.equality ?? 0, 'equality', id);
  return { objectives: evaluation.objectives, violation: constraintViolation(evaluation), failed: false };
}

function checkList(values: ArrayLike<number>, count: number, name: string, id: number): void {
  if (values?.length !== count) {
    throw new Nsga2Error(
      'invalid-evaluation',
      `candidate ${id}: ${values?.length ?? 'no'} ${name} values, the problem declares ${count}`,
      { id, name, expected: count, actual: values?.length },
    );
  }
  for (let i = 0; i < count; i++) {
    if (!Number.isFinite(values[i])) {
      throw new Nsga2Error(
        'invalid-evaluation',
        `candidate ${id}: ${name}[${i}] is ${values[i]}: return { failed: true } for a candidate that has no value`,
        { id, name, index: i, value: values[i] },
      );
    }
  }
}
