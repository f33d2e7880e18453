// NSGA-III and U-NSGA-III as ask and tell.
import type { Problem } from '../problem.ts';
import { Nsga2Error } from '../errors.ts';
import { polynomial, sbx } from '../operators/real.ts';
import type { OperatorOverrides } from '../operators/defaults.ts';
import { dasDennis, partitionsFor } from '../survival/reference-directions.ts';
import { nsga3Survival, type ParentSelection } from '../survival/nsga3.ts';
import type { Survival } from '../survival/survival.ts';
import { Evolution } from './evolution.ts';
import { savedOptions } from './nsga2.ts';
import { resolveEngineOptions, type EngineOptions, type ResolvedEngineOptions } from './options.ts';
import { readState } from './read-state.ts';
import type { EngineState } from './state.ts';

export interface Nsga3Options extends EngineOptions {
  /**
   * Directions of the trade-offs that are wanted, one individual each; non-negative, any length.
   * @defaultValue Das–Dennis directions, about 100 of them
   */
  readonly directions?: readonly (readonly number[])[] | undefined;
}

/**
 * NSGA-III (Deb and Jain 2014): for three objectives and more, the last front is cut by reference directions instead of
 * crowding. Its real operators default to SBX (probability 1, eta 30) and polynomial mutation (eta 20), as in the paper.
 *
 * @example
 * ```ts
 * import { dasDennis, dtlz, minimize } from '@instatune/nsga2';
 *
 * const { front } = await minimize(dtlz(2), {
 *   algorithm: 'nsga3',
 *   directions: dasDennis(3, 12), // 91 directions
 *   maxEvaluations: 10_000,
 *   seed: 1,
 * });
 * ```
 */
export class Nsga3 extends Evolution {
  /** @throws Nsga2Error `invalid-option`, `invalid-problem`, `invalid-variable` */
  constructor(problem: Problem, options: Nsga3Options = {}) {
    super(problem, ...withDirections(problem, options, 'random'));
  }

  /**
   * Continues a saved run; `operators` must be passed again where they were replaced.
   *
   * @throws Nsga2Error `invalid-state` naming the field, unless this is a whole state of this version, of this problem
   */
  static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga3Options, 'operators'> = {}): Nsga3 {
    const saved = readState(state, problem, ['nsga3']);
    const engine = new Nsga3(problem, savedDirections(saved, options));
    engine.restore(saved);
    return engine;
  }
}

/**
 * U-NSGA-III (Seada and Deb 2016): NSGA-III whose parents compete where they lie in one niche, by front and then by distance from the
 * direction. The same algorithm then serves one, two and many objectives; it wants more individuals than directions.
 *
 * @example
 * ```ts
 * import { dasDennis, minimize, zdt } from '@instatune/nsga2';
 *
 * const { front } = await minimize(zdt(1), {
 *   algorithm: 'unsga3',
 *   directions: dasDennis(2, 24), // 25 directions
 *   populationSize: 100,
 *   maxEvaluations: 5000,
 *   seed: 1,
 * });
 * console.log(front.length > 20); // => true
 * ```
 */
export class Unsga3 extends Evolution {
  /** @throws Nsga2Error `invalid-option`, `invalid-problem`, `invalid-variable` */
  constructor(problem: Problem, options: Nsga3Options = {}) {
    super(problem, ...withDirections(problem, options, 'niching'));
  }

  /**
   * Continues a saved run; `operators` must be passed again where they were replaced.
   *
   * @throws Nsga2Error `invalid-state` naming the field, unless this is a whole state of this version, of this problem
   */
  static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga3Options, 'operators'> = {}): Unsga3 {
    const saved = readState(state, problem, ['unsga3']);
    const engine = new Unsga3(problem, savedDirections(saved, options));
    engine.restore(saved);
    return engine;
  }
}

function withDirections(
  problem: Problem,
  options: Nsga3Options,
  selection: ParentSelection,
): [ResolvedEngineOptions, Survival] {
  const directions = options.directions ?? dasDennis(problem.objectives, partitionsFor(problem.objectives, 100));
  if (directions.some((direction) => direction.length !== problem.objectives)) {
    throw new Nsga2Error('invalid-option', `directions need ${problem.objectives} values each, one per objective`, {
      objectives: problem.objectives,
    });
  }
  const operators: OperatorOverrides = {
    ...options.operators,
    real: { crossover: sbx({ probability: 1, eta: 30 }), mutation: polynomial(), ...options.operators?.real },
  };
  return [
    resolveEngineOptions({ ...options, operators }, Math.max(2, directions.length)),
    nsga3Survival(directions, selection),
  ];
}

function savedDirections(saved: EngineState, { operators }: Pick<Nsga3Options, 'operators'>): Nsga3Options {
  const { directions } = saved.survivalState as { directions: readonly (readonly number[])[] };
  return { ...savedOptions(saved), operators, directions };
}
