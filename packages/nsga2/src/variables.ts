// What a candidate is made of: real, integer, categorical, boolean and permutation variables, mixed at will.
import { Nsga2Error } from './errors.ts';

/** A real number in [lower, upper]. One gene. */
export interface RealVariable {
  readonly type: 'real';
  readonly lower: number;
  readonly upper: number;
  readonly name?: string;
}

/** An integer in [lower, upper], both inclusive. One gene. */
export interface IntegerVariable {
  readonly type: 'integer';
  readonly lower: number;
  readonly upper: number;
  readonly name?: string;
}

/** One of a list of values without order. One gene: the index into `values`. */
export interface CategoricalVariable {
  readonly type: 'categorical';
  readonly values: readonly unknown[];
  readonly name?: string;
}

/** Yes or no. One gene: 0 or 1. */
export interface BooleanVariable {
  readonly type: 'boolean';
  readonly name?: string;
}

/** An order of `length` items. `length` genes, a permutation of 0 … length − 1. */
export interface PermutationVariable {
  readonly type: 'permutation';
  readonly length: number;
  readonly name?: string;
}

export type Variable = RealVariable | IntegerVariable | CategoricalVariable | BooleanVariable | PermutationVariable;
export type VariableType = Variable['type'];

const named = (name: string | undefined): { name?: string } => (name === undefined ? {} : { name });

/**
 * A real number in [lower, upper].
 *
 * @throws Nsga2Error `invalid-variable` unless both are finite, their difference too, and lower <= upper
 */
export function real(lower: number, upper: number, name?: string): RealVariable {
  if (!Number.isFinite(lower) || !Number.isFinite(upper) || lower > upper || !Number.isFinite(upper - lower)) {
    throw new Nsga2Error('invalid-variable', `real(${lower}, ${upper}): needs finite lower <= upper`, { lower, upper });
  }
  return { type: 'real', lower, upper, ...named(name) };
}

/**
 * An integer in [lower, upper], both inclusive.
 *
 * @throws Nsga2Error `invalid-variable` unless both are safe integers, lower <= upper
 */
export function integer(lower: number, upper: number, name?: string): IntegerVariable {
  if (!Number.isSafeInteger(lower) || !Number.isSafeInteger(upper) || lower > upper) {
    throw new Nsga2Error('invalid-variable', `integer(${lower}, ${upper}): needs safe integers lower <= upper`, {
      lower,
      upper,
    });
  }
  return { type: 'integer', lower, upper, ...named(name) };
}

/**
 * One of a list of values (any type), or of 0 … count − 1 where a count is given.
 *
 * @throws Nsga2Error `invalid-variable` without a value
 */
export function categorical(values: readonly unknown[] | number, name?: string): CategoricalVariable {
  const list = typeof values === 'number' ? Array.from({ length: values }, (_, index) => index) : [...values];
  if (list.length === 0) {
    throw new Nsga2Error('invalid-variable', 'categorical([]): needs at least one value', { values });
  }
  return { type: 'categorical', values: list, ...named(name) };
}

/** Yes or no. */
export function boolean(name?: string): BooleanVariable {
  return { type: 'boolean', ...named(name) };
}

/**
 * An order of `length` items.
 *
 * @throws Nsga2Error `invalid-variable` unless the length is a positive integer
 */
export function permutation(length: number, name?: string): PermutationVariable {
  if (!Number.isInteger(length) || length < 1) {
    throw new Nsga2Error('invalid-variable', `permutation(${length}): needs a positive integer`, { length });
  }
  return { type: 'permutation', length, ...named(name) };
}

/**
 * The same variable `count` times.
 *
 * @example
 * ```ts
 * import { integer, repeat } from '@instatune/nsga2';
 * console.log(repeat(integer(0, 3), 12).length); // => 12
 * ```
 */
export function repeat<V extends Variable>(variable: V, count: number): V[] {
  return Array.from({ length: count }, () => variable);
}

/** The value a variable takes: number, one of `values`, boolean, or the order as an array. */
export type Value = unknown;

/**
 * Genes → values: categorical indices become their value, booleans `true`/`false`, permutations an array.
 *
 * @example
 * ```ts
 * import { boolean, categorical, decode, integer } from '@instatune/nsga2';
 * console.log(decode([integer(1, 9), categorical(['relu', 'gelu']), boolean()], [4, 1, 0])); // => [ 4, 'gelu', false ]
 * ```
 */
export function decode(variables: readonly Variable[], genes: ArrayLike<number>): Value[] {
  let position = 0;
  return variables.map((variable) => {
    switch (variable.type) {
      case 'categorical':
        return variable.values[genes[position++]!];
      case 'boolean':
        return genes[position++] === 1;
      case 'permutation': {
        const order = Array.from({ length: variable.length }, (_, i) => genes[position + i]!);
        position += variable.length;
        return order;
      }
      default:
        return genes[position++];
    }
  });
}

/**
 * Values → genes, the inverse of {@link decode}. Categorical values are compared with `Object.is`.
 *
 * @throws Nsga2Error `invalid-genes` for a wrong number of values, or a value that a categorical variable does not have
 */
export function encode(variables: readonly Variable[], values: readonly Value[]): number[] {
  if (values.length !== variables.length) {
    throw new Nsga2Error('invalid-genes', `${values.length} values for ${variables.length} variables`, { values });
  }
  return variables.flatMap((variable, index) => {
    const value = values[index];
    if (variable.type === 'permutation') return [...(value as readonly number[])];
    if (variable.type === 'boolean') return [value ? 1 : 0];
    if (variable.type !== 'categorical') return [value as number];
    const position = variable.values.findIndex((candidate) => Object.is(candidate, value));
    if (position < 0) {
      throw new Nsga2Error('invalid-genes', `variable ${index} has no value ${String(value)}`, { index, value });
    }
    return [position];
  });
}
