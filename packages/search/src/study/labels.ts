// A candidate as a person reads it: variables by name, categories and booleans by value.
import { activeVariables, type Variable } from '@instatune/nsga2';
import { genesOf } from '../genes.ts';

/** Names that differ: an unnamed variable is `x` and its place, a name that was used gets a number. */
export function uniqueNames(names: readonly string[], taken: Iterable<string> = []): readonly string[] {
  const used = new Set(taken);
  return names.map((name) => {
    let unique = name;
    for (let n = 2; used.has(unique); n++) unique = `${name} (${n})`;
    used.add(unique);
    return unique;
  });
}

/** Names of variables, `x0`, `x1`, … where they have none. */
export function variableNames(space: readonly Variable[], taken: Iterable<string> = []): readonly string[] {
  return uniqueNames(
    space.map(({ name }, index) => name ?? `x${index}`),
    taken,
  );
}

/** Names of genes: a variable's own, or one for each place of a permutation. */
export function geneNames(space: readonly Variable[], taken: Iterable<string> = []): readonly string[] {
  return uniqueNames(
    genesOf(space).map(({ name }) => name),
    taken,
  );
}

/**
 * Values of variables in order: a choice's own value, a boolean, a number, the numbers of a permutation; undefined for one whose condition does not
 * hold.
 */
export function variableValues(space: readonly Variable[], genes: readonly number[]): readonly unknown[] {
  let at = 0;
  const active = activeVariables(space, genes);
  return space.map((variable, index): unknown => {
    if (variable.type === 'permutation') {
      at += variable.length;
      return active[index] ? genes.slice(at - variable.length, at) : undefined;
    }
    const gene = genes[at++]!;
    if (!active[index]) return undefined;
    if (variable.type === 'categorical' || variable.type === 'ordinal') return variable.values[gene];
    return variable.type === 'boolean' ? gene === 1 : gene;
  });
}

/** Values in the order of {@link geneNames}. */
export function geneValues(space: readonly Variable[], genes: readonly number[]): readonly unknown[] {
  const values = variableValues(space, genes);
  return space.flatMap((variable, index) => {
    const value = values[index];
    if (variable.type !== 'permutation') return [value];
    return Array.isArray(value) ? (value as number[]) : Array.from({ length: variable.length }, () => undefined);
  });
}

/** One value as text. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueText).join(' ');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

/** `name value, name value`: the problem's own description where there is one. */
export function candidateText(
  space: readonly Variable[],
  genes: readonly number[],
  describe?: (genes: readonly number[]) => Readonly<Record<string, unknown>>,
): string {
  const parts = describe ? Object.entries(describe(genes)) : named(space, genes);
  return parts.map(([name, value]) => `${name} ${valueText(value)}`).join(', ');
}

/** Variables that matter, by name. */
function named(space: readonly Variable[], genes: readonly number[]): readonly (readonly [string, unknown])[] {
  const values = variableValues(space, genes);
  return variableNames(space).flatMap((name, index) =>
    values[index] === undefined ? [] : [[name, values[index]] as const],
  );
}
