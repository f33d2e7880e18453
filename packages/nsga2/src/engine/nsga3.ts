// NSGA-III as ask and tell.
import type { Problem } from '../problem.ts';
import { Nsga2Error } from '../errors.ts';
import { polynomial, sbx } from '../operators/real.ts';
import type { OperatorOverrides } from '../operators/defaults.ts';
import { dasDennis, partitionsFor } from '../survival/reference-directions.ts';
import { nsga3Survival } from '../survival/nsga3.ts';
import { Evolution } from './evolution.ts';
import { savedOptions } from './nsga2.ts';
import { resolveEngineOptions, type EngineOptions } from './options.ts';
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
    super(
      problem,
      resolveEngineOptions({ ...options, operators }, Math.max(2, directions.length)),
      nsga3Survival(directions),
    );
  }

  /**
   * Continues a saved run; `operators` must be passed again where they were replaced.
   *
   * @throws Nsga2Error `invalid-state` naming the field, unless this is a whole state of this version, of this problem
   */
  static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga3Options, 'operators'> = {}): Nsga3 {
    const saved = readState(state, problem, ['nsga3']);
    const { directions } = saved.survivalState as { directions: readonly (readonly number[])[] };
    const engine = new Nsga3(problem, { ...savedOptions(saved), operators: options.operators, directions });
    engine.restore(saved);
    return engine;
  }
}
