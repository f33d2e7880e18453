// SMS-EMOA as ask and tell.
import type { Problem } from '../problem.ts';
import { smsSurvival } from '../survival/sms.ts';
import { Evolution } from './evolution.ts';
import { savedOptions } from './nsga2.ts';
import { resolveEngineOptions, type EngineOptions } from './options.ts';
import { readState } from './read-state.ts';
import type { EngineState } from './state.ts';

/**
 * SMS-EMOA (Beume, Naujoks and Emmerich 2007): like {@link Nsga2}, but the last front loses those that add least to its hypervolume.
 * Its fronts have the largest hypervolumes for their size; in three objectives and more a generation costs more than NSGA-III's. The
 * paper's steady state is `offspring: 1`; by default a whole generation competes at once, which many workers can evaluate.
 *
 * @example
 * ```ts
 * import { hypervolume, minimize, zdt } from '@instatune/nsga2';
 *
 * const { front } = await minimize(zdt(1), { algorithm: 'sms-emoa', populationSize: 20, maxEvaluations: 4000, seed: 1 });
 * const volume = hypervolume(front.map(({ objectives }) => objectives), [1.1, 1.1]);
 * console.log(front.length, volume > 0.8); // => 20 true
 * ```
 */
export class SmsEmoa extends Evolution {
  /** @throws Nsga2Error `invalid-option`, `invalid-problem`, `invalid-variable` */
  constructor(problem: Problem, options: EngineOptions = {}) {
    super(problem, resolveEngineOptions(options), smsSurvival());
  }

  /**
   * Continues a saved run; `operators` must be passed again where they were replaced.
   *
   * @throws Nsga2Error `invalid-state` naming the field, unless this is a whole state of this version, of this problem
   */
  static fromJSON(state: EngineState, problem: Problem, options: Pick<EngineOptions, 'operators'> = {}): SmsEmoa {
    const saved = readState(state, problem, ['sms-emoa']);
    const engine = new SmsEmoa(problem, { ...savedOptions(saved), operators: options.operators });
    engine.restore(saved);
    return engine;
  }
}
