// Variables that matter only where another one has a value.
import { Nsga2Error } from './errors.ts';
import type { Variable } from './variables.ts';

/** A condition by places: the gene that decides, and its values as genes. */
interface Resolved {
  readonly gene: number;
  readonly values: ReadonlySet<number>;
  /** The variable that decides: it must matter itself. */
  readonly variable: number;
}

const widthOf = (variable: Variable): number => (variable.type === 'permutation' ? variable.length : 1);

/** @throws Nsga2Error `invalid-variable` unless every condition names a variable before its own and values that this one has */
export function resolveConditions(variables: readonly Variable[]): readonly (Resolved | undefined)[] {
  const starts: number[] = [];
  let start = 0;
  for (const variable of variables) {
    starts.push(start);
    start += widthOf(variable);
  }
  return variables.map((variable, index) => {
    const { when } = variable;
    if (when === undefined) return undefined;
    const fail = (message: string): never => {
      throw new Nsga2Error('invalid-variable', `variable ${index} (${variable.name ?? 'unnamed'}): when ${message}`, {
        index,
        when,
      });
    };
    if (typeof when !== 'object' || when === null || typeof when.variable !== 'string' || !Array.isArray(when.in))
      fail('is no condition: give { variable: NAME, in: [VALUES] }');
    const parent = variables.findIndex(({ name }) => name === when.variable);
    if (parent < 0 || parent >= index)
      fail(`names "${when.variable}": name a variable before this one, of ${namesOf(variables.slice(0, index))}`);
    if (when.in.length === 0) fail('holds for no value: give at least one');
    const values = new Set(
      when.in.map((value) => geneOf(variables[parent]!, value) ?? fail(missing(when.variable, value))),
    );
    return { gene: starts[parent]!, values, variable: parent };
  });
}

const namesOf = (variables: readonly Variable[]): string =>
  variables.flatMap(({ name }) => (name === undefined ? [] : [name])).join(', ') || 'which none has a name';
const missing = (name: string, value: unknown): string => `${name} is ${JSON.stringify(value)}, which it cannot be`;

/** The gene of a value that decides; undefined for a value the variable does not have. */
function geneOf(variable: Variable, value: unknown): number | undefined {
  switch (variable.type) {
    case 'categorical':
    case 'ordinal': {
      const index = variable.values.findIndex(
        (one) => Object.is(one, value) || JSON.stringify(one) === JSON.stringify(value),
      );
      return index < 0 ? undefined : index;
    }
    case 'boolean':
      return typeof value === 'boolean' ? Number(value) : undefined;
    case 'integer':
      return Number.isInteger(value) && (value as number) >= variable.lower && (value as number) <= variable.upper
        ? (value as number)
        : undefined;
    // Nothing can be said to equal a number that is drawn from all of them, or an order.
    default:
      return undefined;
  }
}

const resolved = new WeakMap<readonly Variable[], readonly (Resolved | undefined)[]>();

function conditionsOf(variables: readonly Variable[]): readonly (Resolved | undefined)[] {
  let known = resolved.get(variables);
  if (!known) {
    known = resolveConditions(variables);
    resolved.set(variables, known);
  }
  return known;
}

/** Whether any variable has a condition. */
export function isConditional(variables: readonly Variable[]): boolean {
  return variables.some(({ when }) => when !== undefined);
}

/**
 * Which variables matter for a candidate, one flag a variable: those whose condition holds, and whose condition's variable matters.
 *
 * @throws Nsga2Error `invalid-variable` for a condition that cannot hold
 * @example
 * ```ts
 * import { activeVariables, categorical, real } from '@instatune/nsga2';
 * const variables = [
 *   categorical(['sgd', 'adam'], 'optimizer'),
 *   real(0, 0.99, { name: 'momentum', when: { variable: 'optimizer', in: ['sgd'] } }),
 * ];
 * console.log(activeVariables(variables, [1, 0.9])); // => [ true, false ]
 * ```
 */
export function activeVariables(variables: readonly Variable[], genes: ArrayLike<number>): boolean[] {
  const conditions = conditionsOf(variables);
  const active: boolean[] = [];
  for (const condition of conditions)
    active.push(!condition || (active[condition.variable]! && condition.values.has(genes[condition.gene]!)));
  return active;
}

/** Sets genes that do not matter to their variable's first value, in place: candidates that differ only in them are one. */
export function clearInactive(variables: readonly Variable[], genes: Float64Array | number[]): void {
  if (!isConditional(variables)) return;
  const active = activeVariables(variables, genes);
  let start = 0;
  variables.forEach((variable, index) => {
    const width = widthOf(variable);
    if (!active[index])
      for (let i = 0; i < width; i++)
        genes[start + i] =
          variable.type === 'permutation'
            ? i
            : variable.type === 'real' || variable.type === 'integer'
              ? variable.lower
              : 0;
    start += width;
  });
}
