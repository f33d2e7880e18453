// The operators used where none are given.
import { randomReset, uniformCrossover } from './discrete.ts';
import type { OperatorType } from '../variables.ts';
import type { OperatorPair, Operators } from './operator.ts';
import { inversionMutation, orderCrossover } from './permutation.ts';
import { polynomial, sbx } from './real.ts';

/** Replacements of the default operators, by type of variable. */
export type OperatorOverrides = { readonly [Type in OperatorType]?: Partial<OperatorPair> };

/**
 * Defaults: real → SBX (0.9, eta 15) and polynomial mutation (eta 20); integer, categorical, boolean → uniform crossover
 * and random reset; permutation → order crossover and inversion. Rounding SBX and polynomial mutation to integers is not
 * offered: it changes almost nothing on short ranges.
 */
export function defaultOperators(overrides: OperatorOverrides = {}): Operators {
  const discrete: OperatorPair = { crossover: uniformCrossover(), mutation: randomReset() };
  return {
    real: { crossover: sbx(), mutation: polynomial(), ...overrides.real },
    integer: { ...discrete, ...overrides.integer },
    categorical: { ...discrete, ...overrides.categorical },
    boolean: { ...discrete, ...overrides.boolean },
    permutation: { crossover: orderCrossover(), mutation: inversionMutation(), ...overrides.permutation },
  };
}
