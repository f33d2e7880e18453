// NSGA-II as ask and tell.
import { Nsga2Error } from '../errors.ts';
import type { Problem } from '../problem.ts';
import { nsga2Survival, type Crowding } from '../survival/nsga2.ts';
import { Evolution } from './evolution.ts';
import { resolveEngineOptions, type Nsga2Options } from './options.ts';
import { readState } from './read-state.ts';
import type { EngineState } from './state.ts';

/**
 * NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002) as ask and tell.
 *
 * @example
 * ```ts
 * import { integer, Nsga2, repeat } from '@instatune/nsga2';
 *
 * const problem = {
 *   variables: repeat(integer(0, 9), 6),
 *   objectives: 2,
 *   evaluate: (genes: readonly number[]) => [
 *     genes.reduce((sum, gene) => sum + gene, 0),
 *     genes.reduce((sum, gene) => sum + (9 - gene) ** 2, 0),
 *   ],
 * };
 * const nsga2 = new Nsga2(problem, { populationSize: 20, seed: 1 });
 * while (nsga2.generation < 10) {
 *   const batch = nsga2.ask(7); // any size; evaluate them anywhere, tell them in any order
 *   nsga2.tell(batch.map(({ id, genes }) => ({ id, objectives: problem.evaluate(genes) })));
 * }
 * console.log(nsga2.front.length > 0); // => true
 * ```
 */
export class Nsga2 extends Evolution {
  /** @throws Nsga2Error `invalid-option`, `invalid-problem`, `invalid-variable` */
  constructor(problem: Problem, options: Nsga2Options = {}) {
    const crowding = options.crowding ?? 'standard';
    if (crowding !== 'standard' && crowding !== 'pruned') {
      throw new Nsga2Error('invalid-option', `crowding is ${String(crowding)}: use standard or pruned`, { crowding });
    }
    super(problem, resolveEngineOptions(options), nsga2Survival(crowding));
  }

  /**
   * Continues a saved run. Sizes, seed and crowding come from the state; `operators` must be passed again where they
   * were replaced, since functions are not saved.
   *
   * @throws Nsga2Error `invalid-state` naming the field, unless this is a whole state of this version, of this problem
   */
  static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga2Options, 'operators'> = {}): Nsga2 {
    const saved = readState(state, problem, Object.keys(CROWDING_OF));
    const engine = new Nsga2(problem, {
      ...savedOptions(saved),
      operators: options.operators,
      crowding: CROWDING_OF[saved.survival],
    });
    engine.restore(saved);
    return engine;
  }
}

const CROWDING_OF: Readonly<Record<string, Crowding>> = { nsga2: 'standard', 'nsga2-pruned': 'pruned' };

/** The options a state was saved with. */
export function savedOptions(state: EngineState): Omit<Nsga2Options, 'operators' | 'crowding'> {
  const { populationSize, offspring, seed, duplicates, archiveCapacity } = state.options;
  const archive = archiveCapacity === null ? true : archiveCapacity === 0 ? false : { capacity: archiveCapacity };
  return { populationSize, offspring, seed, duplicates, archive };
}
