// What a candidate is made of: real, integer, ordinal, categorical, boolean and permutation variables, mixed at will.
import { Nsga2Error } from './errors.ts';

/** When a variable matters: another one, named before it, has one of these values (and matters itself). */
export interface Condition {
  /** Name of the other variable. */
  readonly variable: string;
  /** Its values as a person writes them: numbers, choices, `true` and `false`. */
  readonly in: readonly unknown[];
}

/** What any variable may have. */
export interface VariableOptions {
  readonly name?: string;
  /** Where it does not hold the variable's gene has no effect and is its first value. @defaultValue always */
  readonly when?: Condition;
}

/** What a number may have. */
export interface NumberOptions extends VariableOptions {
  /** `log`: as many candidates from 1 to 10 as from 10 to 100; for positive numbers. @defaultValue 'linear' */
  readonly scale?: 'linear' | 'log';
  /** Only lower, lower + step, lower + 2·step, … No step with `log`. @defaultValue none; 1 for integers */
  readonly step?: number;
}

/** A real number in [lower, upper]. One gene. */
export interface RealVariable extends NumberOptions {
  readonly type: 'real';
  readonly lower: number;
  readonly upper: number;
}

/** An integer in [lower, upper], both inclusive. One gene. */
export interface IntegerVariable extends NumberOptions {
  readonly type: 'integer';
  readonly lower: number;
  readonly upper: number;
}

/** One of a list of values without order. One gene: the index into `values`. */
export interface CategoricalVariable extends VariableOptions {
  readonly type: 'categorical';
  readonly values: readonly unknown[];
}

/** One of a list of values in an order: neighbours are alike. One gene: the index into `values`. */
export interface OrdinalVariable extends VariableOptions {
  readonly type: 'ordinal';
  readonly values: readonly unknown[];
}

/** Yes or no. One gene: 0 or 1. */
export interface BooleanVariable extends VariableOptions {
  readonly type: 'boolean';
}

/** An order of `length` items. `length` genes, a permutation of 0 … length − 1. */
export interface PermutationVariable extends VariableOptions {
  readonly type: 'permutation';
  readonly length: number;
}

export type Variable =
  | RealVariable
  | IntegerVariable
  | CategoricalVariable
  | OrdinalVariable
  | BooleanVariable
  | PermutationVariable;
export type VariableType = Variable['type'];
/** Kinds of variable that have operators of their own: an ordinal's are an integer's. */
export type OperatorType = Exclude<VariableType, 'ordinal'>;

const OPTIONS = ['name', 'when'] as const;
const NUMBER_OPTIONS = [...OPTIONS, 'scale', 'step'] as const;

/** A name, or all that is optional. @throws Nsga2Error `invalid-variable` for an option that there is not */
function optional<T extends VariableOptions>(
  what: string,
  options: string | T | undefined,
  known: readonly string[] = OPTIONS,
): T {
  if (options === undefined || typeof options === 'string')
    return (options === undefined ? {} : { name: options }) as T;
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Nsga2Error('invalid-variable', `${what} has no option "${unknown}": use ${known.join(', ')}`, {
      option: unknown,
      known,
    });
  return options;
}

/** @throws Nsga2Error `invalid-variable` for a scale or a step that the bounds do not allow */
function checkNumber(what: string, lower: number, upper: number, whole: boolean, options: NumberOptions): void {
  const { scale = 'linear', step } = options;
  const fail = (message: string): never => {
    throw new Nsga2Error('invalid-variable', `${what}: ${message}`, { lower, upper, scale, step });
  };
  if (scale !== 'linear' && scale !== 'log') fail(`scale is ${JSON.stringify(scale)}: use 'linear' or 'log'`);
  if (scale === 'log' && !(lower > 0)) fail('a log scale needs a positive lower bound');
  if (step === undefined) return;
  if (scale === 'log') fail('a step and a log scale do not go together: leave one out');
  if (!(step > 0) || !Number.isFinite(step) || (whole && !Number.isSafeInteger(step)))
    fail(`step is ${step}: needs a positive ${whole ? 'integer' : 'number'}`);
  if (!Number.isSafeInteger(Math.floor((upper - lower) / step))) fail(`step ${step} is too small for the range`);
}

/**
 * A real number in [lower, upper].
 *
 * @param options a name, or name, `scale`, `step` and `when`
 * @throws Nsga2Error `invalid-variable` unless both are finite, their difference too, and lower <= upper
 * @example
 * ```ts
 * import { real } from '@instatune/nsga2';
 * console.log(real(1e-5, 1e-1, { name: 'rate', scale: 'log' }).scale); // => log
 * ```
 */
export function real(lower: number, upper: number, options?: string | NumberOptions): RealVariable {
  if (!Number.isFinite(lower) || !Number.isFinite(upper) || lower > upper || !Number.isFinite(upper - lower)) {
    throw new Nsga2Error('invalid-variable', `real(${lower}, ${upper}): needs finite lower <= upper`, { lower, upper });
  }
  const what = `real(${lower}, ${upper})`;
  const rest = optional(what, options, NUMBER_OPTIONS);
  checkNumber(what, lower, upper, false, rest);
  return { type: 'real', lower, upper, ...rest };
}

/**
 * An integer in [lower, upper], both inclusive.
 *
 * @param options a name, or name, `scale`, `step` and `when`
 * @throws Nsga2Error `invalid-variable` unless both are safe integers, lower <= upper
 */
export function integer(lower: number, upper: number, options?: string | NumberOptions): IntegerVariable {
  if (!Number.isSafeInteger(lower) || !Number.isSafeInteger(upper) || lower > upper) {
    throw new Nsga2Error('invalid-variable', `integer(${lower}, ${upper}): needs safe integers lower <= upper`, {
      lower,
      upper,
    });
  }
  const what = `integer(${lower}, ${upper})`;
  const rest = optional(what, options, NUMBER_OPTIONS);
  checkNumber(what, lower, upper, true, rest);
  return { type: 'integer', lower, upper, ...rest };
}

/**
 * One of a list of values (any type), or of 0 … count − 1 where a count is given.
 *
 * @throws Nsga2Error `invalid-variable` without a value
 */
export function categorical(
  values: readonly unknown[] | number,
  options?: string | VariableOptions,
): CategoricalVariable {
  const list = typeof values === 'number' ? Array.from({ length: values }, (_, index) => index) : [...values];
  if (list.length === 0) {
    throw new Nsga2Error('invalid-variable', 'categorical([]): needs at least one value', { values });
  }
  return { type: 'categorical', values: list, ...optional('categorical', options) };
}

/**
 * One of a list of values (any type) in their order: predictors take neighbours for alike.
 *
 * @throws Nsga2Error `invalid-variable` without a value
 */
export function ordinal(values: readonly unknown[], options?: string | VariableOptions): OrdinalVariable {
  if (values.length === 0) {
    throw new Nsga2Error('invalid-variable', 'ordinal([]): needs at least one value', { values });
  }
  return { type: 'ordinal', values: [...values], ...optional('ordinal', options) };
}

/** Yes or no. */
export function boolean(options?: string | VariableOptions): BooleanVariable {
  return { type: 'boolean', ...optional('boolean', options) };
}

/**
 * An order of `length` items.
 *
 * @throws Nsga2Error `invalid-variable` unless the length is a positive integer
 */
export function permutation(length: number, options?: string | VariableOptions): PermutationVariable {
  if (!Number.isInteger(length) || length < 1) {
    throw new Nsga2Error('invalid-variable', `permutation(${length}): needs a positive integer`, { length });
  }
  return { type: 'permutation', length, ...optional(`permutation(${length})`, options) };
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
 * Genes → values: categorical and ordinal indices become their value, booleans `true`/`false`, permutations an array.
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
      case 'ordinal':
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
 * Values → genes, the inverse of {@link decode}. Categorical and ordinal values are compared with `Object.is`.
 *
 * @throws Nsga2Error `invalid-genes` for a wrong number of values, or a value that a categorical or ordinal variable does not have
 */
export function encode(variables: readonly Variable[], values: readonly Value[]): number[] {
  if (values.length !== variables.length) {
    throw new Nsga2Error('invalid-genes', `${values.length} values for ${variables.length} variables`, { values });
  }
  return variables.flatMap((variable, index) => {
    const value = values[index];
    if (variable.type === 'permutation') return [...(value as readonly number[])];
    if (variable.type === 'boolean') return [value ? 1 : 0];
    if (variable.type !== 'categorical' && variable.type !== 'ordinal') return [value as number];
    const position = variable.values.findIndex((candidate) => Object.is(candidate, value));
    if (position < 0) {
      throw new Nsga2Error('invalid-genes', `variable ${index} has no value ${String(value)}`, { index, value });
    }
    return [position];
  });
}
