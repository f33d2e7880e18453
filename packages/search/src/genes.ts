// The genes of a space one by one: how many values each has, and their places in a one-hot vector.
import { axisOf, createLayout, type Axis, type Random, type Variable } from '@instatune/nsga2';
import { SearchError } from './errors.ts';

/** One number of a candidate. */
export interface Gene {
  readonly lower: number;
  readonly upper: number;
  /** `real` genes have no levels; a permutation's genes are drawn together. */
  readonly kind: 'real' | 'level' | 'permutation';
  /** Whether neighbouring values are alike (integers) or not (categories). */
  readonly ordered: boolean;
  readonly name: string;
  /** Of a log scale or steps: the line on which the values lie evenly. */
  readonly axis?: Axis | undefined;
}

/** Each gene of a space belongs to the variable of this number. */
export function variableOfGenes(space: readonly Variable[]): readonly number[] {
  return space.flatMap((variable, index) =>
    Array.from({ length: variable.type === 'permutation' ? variable.length : 1 }, () => index),
  );
}

/** Flattens variables into genes: one each, `length` for a permutation. */
export function genesOf(space: readonly Variable[]): readonly Gene[] {
  return space.flatMap((variable, index): Gene[] => {
    const name = variable.name ?? `x${index}`;
    switch (variable.type) {
      case 'real':
      case 'integer': {
        const { lower, upper, type } = variable;
        const axis = axisOf(variable);
        const kind = type === 'real' ? 'real' : 'level';
        return [{ lower, upper, kind, ordered: true, name, ...(axis ? { axis } : {}) }];
      }
      case 'ordinal':
        return [{ lower: 0, upper: variable.values.length - 1, kind: 'level', ordered: true, name }];
      case 'categorical':
        return [{ lower: 0, upper: variable.values.length - 1, kind: 'level', ordered: false, name }];
      case 'boolean':
        return [{ lower: 0, upper: 1, kind: 'level', ordered: false, name }];
      case 'permutation':
        return Array.from({ length: variable.length }, (_, i): Gene => ({
          lower: 0,
          upper: variable.length - 1,
          kind: 'permutation',
          ordered: false,
          name: `${name}.${i}`,
        }));
    }
  });
}

/** Uniform random genes: evenly on a log scale and among steps, integers inclusive, permutations in random order. */
export function sampleGenes(space: readonly Variable[], random: Random): number[] {
  return space.flatMap((variable): number[] => {
    const axis = axisOf(variable);
    if (axis) {
      const { lower, upper, whole } = axis;
      return [axis.value(whole ? random.integer(lower, upper) : random.uniform(lower, upper))];
    }
    switch (variable.type) {
      case 'real':
        return [random.uniform(variable.lower, variable.upper)];
      case 'integer':
        return [random.integer(variable.lower, variable.upper)];
      case 'categorical':
      case 'ordinal':
        return [random.integer(0, variable.values.length - 1)];
      case 'boolean':
        return [random.integer(0, 1)];
      case 'permutation':
        return [...random.permutation(variable.length)];
    }
  });
}

/** @throws Nsga2Error unless the variables make a space */
export function checkVariables(space: readonly Variable[]): void {
  createLayout(space);
}

/** How far from its step a value may be written: a table has 0.30000000000000004 and 0.3. */
const WRITTEN = 1e-9;

/** @throws SearchError `invalid-genes` unless there is one number in range per gene */
export function checkGenes(all: readonly Gene[], genes: readonly number[], problem: string): void {
  if (genes.length !== all.length) {
    throw new SearchError('invalid-genes', `${genes.length} genes for problem "${problem}" of ${all.length}`, {
      genes,
      expected: all.length,
    });
  }
  all.forEach(({ lower, upper, kind, name, axis }, index) => {
    const value = genes[index]!;
    const stepped = axis?.whole && value >= lower && value <= upper ? axis.value(axis.place(value)) : value;
    if (Math.abs(stepped - value) > WRITTEN * Math.max(1, Math.abs(value)))
      throw new SearchError('invalid-genes', `gene ${index} (${name}) is ${value}, between two steps: use ${stepped}`, {
        index,
        value,
      });
    if (!(value >= lower && value <= upper) || (kind !== 'real' && !Number.isInteger(value))) {
      throw new SearchError(
        'invalid-genes',
        `gene ${index} (${name}) is ${value}: use ${kind === 'real' ? 'a number' : 'an integer'} from ${lower} to ${upper}`,
        { index, value, lower, upper },
      );
    }
  });
}
