// Constrained DTLZ problems (Jain and Deb 2014): in the way of a known front (C1), parts of it away (C2), a new front (C3).
import { Nsga2Error } from '../errors.ts';
import { paretoFront } from '../sorting/dominance.ts';
import { dtlz, type DtlzOptions } from './dtlz.ts';
import type { ConstrainedFrontProblem } from './test-problem.ts';

/** The five problems of the paper. */
export type ConstrainedDtlz = 'C1-DTLZ1' | 'C1-DTLZ3' | 'C2-DTLZ2' | 'C3-DTLZ1' | 'C3-DTLZ4';

interface Definition {
  readonly base: 1 | 2 | 3 | 4;
  /** Variables that say how far from the front. */
  readonly distance: number;
  /** Satisfied where <= 0. */
  readonly constraints: (f: readonly number[]) => number[];
  /** A point of the front of DTLZ, moved to where the constraints let it be. */
  readonly move?: (point: readonly number[]) => number[];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const squares = (values: readonly number[]): number => values.reduce((a, b) => a + b * b, 0);
const scaled = (values: readonly number[], factor: number): number[] => values.map((value) => value * factor);

/** Radius of the shell of C1-DTLZ3 and of the balls of C2-DTLZ2, by the number of objectives. */
const shell = (m: number): number => (m < 5 ? 9 : m <= 12 ? 12.5 : 15);
const ball = (m: number): number => (m === 2 ? 0.2 : m === 3 ? 0.4 : 0.5);

const DEFINITIONS: Readonly<Record<ConstrainedDtlz, Definition>> = {
  'C1-DTLZ1': {
    base: 1,
    distance: 5,
    constraints: (f) => [f.at(-1)! / 0.6 + sum(f.slice(0, -1)) / 0.5 - 1],
  },
  'C1-DTLZ3': {
    base: 3,
    distance: 10,
    constraints: (f) => [-(squares(f) - 16) * (squares(f) - shell(f.length) ** 2)],
  },
  'C2-DTLZ2': {
    base: 2,
    distance: 10,
    constraints(f) {
      const radius = ball(f.length) ** 2;
      const corners = f.map((value) => (value - 1) ** 2 + squares(f) - value ** 2 - radius);
      const middle = f.reduce((total, value) => total + (value - 1 / Math.sqrt(f.length)) ** 2, 0) - radius;
      return [Math.min(middle, ...corners)];
    },
  },
  'C3-DTLZ1': {
    base: 1,
    distance: 5,
    constraints: (f) => f.map((value) => 1 - sum(f) - value),
    move: (point) => scaled(point, 1 / (sum(point) + Math.min(...point))),
  },
  'C3-DTLZ4': {
    base: 4,
    distance: 5,
    constraints: (f) => f.map((value) => 1 - squares(f) + 0.75 * value ** 2),
    move: (point) => scaled(point, 1 / Math.sqrt(squares(point) - 0.75 * Math.max(...point) ** 2)),
  },
};

/**
 * The constrained DTLZ problems.
 *
 * @param options `variables` is objectives − 1 + 5 (C1-DTLZ1, C3-DTLZ1, C3-DTLZ4) or + 10 (C1-DTLZ3, C2-DTLZ2) by default
 * @throws Nsga2Error `invalid-problem` for another name, fewer than 2 objectives, or fewer variables than objectives
 *
 * @example
 * ```ts
 * import { constrainedDtlz } from '@instatune/nsga2';
 * console.log(constrainedDtlz('C3-DTLZ4').inequality); // => 3
 * ```
 */
export function constrainedDtlz(name: ConstrainedDtlz, options: DtlzOptions = {}): ConstrainedFrontProblem {
  const definition = DEFINITIONS[name];
  if (!definition) {
    throw new Nsga2Error('invalid-problem', `${name as string}: use ${Object.keys(DEFINITIONS).join(', ')}`, { name });
  }
  const { base, distance, constraints, move } = definition;
  const m = options.objectives ?? 3;
  const problem = dtlz(base, { objectives: m, variables: options.variables ?? m - 1 + distance });
  return {
    name,
    variables: problem.variables,
    objectives: m,
    inequality: name.startsWith('C3') ? m : 1,
    evaluate(genes) {
      const objectives = problem.evaluate(genes);
      return { objectives, inequality: constraints(objectives) };
    },
    front(count = 500) {
      const points = problem.front(count).map((point) => move?.(point) ?? point);
      const feasible = points.filter((point) => constraints(point).every((value) => value <= 1e-12));
      return paretoFront(feasible).map((i) => feasible[i]!);
    },
  };
}
