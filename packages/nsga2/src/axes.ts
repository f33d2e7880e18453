// Genes as operators and predictors see them: a log scale as the logarithm, steps as their number, so that near is alike.
import type { Variable } from './variables.ts';

/** The line on which a variable's values lie evenly. */
export interface Axis {
  readonly lower: number;
  readonly upper: number;
  /** Whether only whole places have a value: steps. */
  readonly whole: boolean;
  /** Place of a value. */
  place(value: number): number;
  /** The value nearest to a place; values of the variable only. */
  value(place: number): number;
}

/** Digits that a value on a log scale or on steps has: a person reads 0.3, not 0.30000000000000004, and 1e-3 comes back from its logarithm. */
const DIGITS = 12;

const rounded = (value: number): number => Number(value.toPrecision(DIGITS));
const clamped = (value: number, lower: number, upper: number): number => Math.min(upper, Math.max(lower, value));

/**
 * The axis of a variable that has a log scale or steps; nothing for one whose genes are even as they are.
 *
 * @example
 * ```ts
 * import { axisOf, real } from '@instatune/nsga2';
 * const axis = axisOf(real(0.1, 0.5, { step: 0.1 }));
 * console.log(axis.upper, axis.value(2)); // => 4 0.3
 * ```
 */
export function axisOf(variable: Variable): Axis | undefined {
  if (variable.type !== 'real' && variable.type !== 'integer') return undefined;
  const { lower, upper, scale, step } = variable;
  if (scale === 'log') return logAxis(lower, upper, variable.type === 'integer');
  return step === undefined || (variable.type === 'integer' && step === 1) ? undefined : stepAxis(lower, upper, step);
}

function logAxis(lower: number, upper: number, whole: boolean): Axis {
  // Each integer has the stretch that rounds to it, the first and the last too.
  const margin = whole ? 0.5 : 0;
  const ends = [Math.log(lower - margin), Math.log(upper + margin)] as const;
  return {
    lower: ends[0],
    upper: ends[1],
    whole: false,
    place: (value) => clamped(Math.log(value), ...ends),
    value: (place) => {
      const value = Math.exp(place);
      return clamped(whole ? Math.round(value) : rounded(value), lower, upper);
    },
  };
}

/** How far a quotient may be from a whole number by rounding. */
const NEAR = 1e-9;

function stepAxis(lower: number, upper: number, step: number): Axis {
  const last = Math.floor((upper - lower) / step + NEAR);
  return {
    lower: 0,
    upper: last,
    whole: true,
    place: (value) => clamped(Math.round((value - lower) / step), 0, last),
    value: (place) => clamped(place === 0 ? lower : rounded(lower + Math.round(place) * step), lower, upper),
  };
}

/** How far from its step a value may be written. */
const WRITTEN = 1e-9;

/** Whether a value in range lies on one of the axis's values; on a log scale every value does. */
export function onAxis(axis: Axis, value: number): boolean {
  if (!axis.whole) return true;
  const nearest = axis.value(axis.place(value));
  return Math.abs(nearest - value) <= WRITTEN * Math.max(1, Math.abs(value));
}
