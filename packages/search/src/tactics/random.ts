// Random search: the control every other tactic has to beat.
import { randomCandidates, seenKeys } from './sampling.ts';
import { checkSettings } from './settings.ts';
import type { Tactic } from './tactic.ts';

/** @param options.population candidates a round (only a matter of bookkeeping here). @defaultValue 50 */
export function random(options: { readonly population?: number } = {}): Tactic {
  const { population = 50 } = checkSettings('random', options, ['population']);
  return {
    name: 'random',
    settings: { population },
    population,
    propose: (context) => ({ candidates: randomCandidates(context, context.limit, 'random', seenKeys(context)) }),
  };
}
