// A test problem: real or integer variables, synchronous, with its Pareto front where that is known.
import type { Evaluation, Problem } from '../problem.ts';

/** A test problem without constraints. */
export interface TestProblem extends Problem {
  readonly name: string;
  evaluate(genes: readonly number[]): readonly number[];
  /**
   * Objective vectors on the Pareto front, about `count` of them (fewer where the front has gaps).
   *
   * @defaultValue count 500
   */
  front(count?: number): number[][];
}

/** A test problem with inequality constraints g(x) <= 0. */
export interface ConstrainedTestProblem extends Problem {
  readonly name: string;
  readonly inequality: number;
  evaluate(genes: readonly number[]): Evaluation & { readonly inequality: readonly number[] };
}

/** A constrained test problem whose Pareto front is known. */
export interface ConstrainedFrontProblem extends ConstrainedTestProblem {
  /**
   * Objective vectors on the Pareto front, about `count` of them (fewer where the front has gaps).
   *
   * @defaultValue count 500
   */
  front(count?: number): number[][];
}
