// Tactics by name: for options, for the command line, and for resuming from what a study remembers.
import { SearchError } from '../errors.ts';
import { linas } from './linas.ts';
import { nsga2 } from './nsga2.ts';
import { random } from './random.ts';
import { successive } from './successive.ts';
import type { Tactic } from './tactic.ts';

export const TACTIC_NAMES = ['linas', 'nsga2', 'random', 'successive'] as const;
export type TacticName = (typeof TACTIC_NAMES)[number];

const FACTORIES: Readonly<Record<TacticName, (settings: Readonly<Record<string, unknown>>) => Tactic>> = {
  linas,
  nsga2,
  random,
  successive,
};

export function isTacticName(name: string): name is TacticName {
  return (TACTIC_NAMES as readonly string[]).includes(name);
}

/** A built-in tactic. @throws SearchError `invalid-option` for an unknown name or a setting that makes no sense */
export function createTactic(name: string, settings: Readonly<Record<string, unknown>> = {}): Tactic {
  if (!isTacticName(name))
    throw new SearchError(
      'invalid-option',
      `no tactic "${name}": use ${TACTIC_NAMES.join(', ')}, or pass a tactic object`,
      { name },
    );
  return FACTORIES[name](settings);
}

/** A built-in tactic from what a study remembers of it. */
export function tacticFromSettings(name: string, settings: Readonly<Record<string, unknown>>): Tactic {
  return createTactic(name, settings);
}
