// A candidate as people and other tools give it: genes, or values by the names of variables.
import type { Variable } from '@instatune/nsga2';
import { SearchError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import type { Space } from '../space.ts';
import { valueText, variableNames } from '../study/labels.ts';

/** Genes in order, or a value for each variable by its name: a number, a category's own value, `true` or `false`, a list for a permutation. */
export type GivenCandidate = readonly number[] | Readonly<Record<string, unknown>>;

export interface GivenOptions {
  /** What is read, for messages: "candidate 3", "row 7 of known.csv". */
  readonly where: string;
  /** Names that mean something else here: objectives, columns of a table. @defaultValue every name must be a variable's */
  readonly others?: 'allowed' | undefined;
}

/**
 * Canonical genes. Texts are read as a table has them ("3", "true"); a variable that has no value may be missing where its gene is unused.
 *
 * @throws SearchError `invalid-genes` naming the variable, the value and what it may be
 */
export function givenGenes(space: Space, given: GivenCandidate, options: GivenOptions): number[] {
  if (Array.isArray(given)) return checked(space, given as readonly number[], options);
  if (typeof given !== 'object' || given === null)
    throw wrong(options, `is ${JSON.stringify(given)}`, 'give genes, or values by name');
  const values = given as Readonly<Record<string, unknown>>;
  const variables = space.problem.space;
  const names = variableNames(variables);
  if (options.others === undefined) {
    for (const name of Object.keys(values)) {
      if (names.includes(name) || variables.some((variable, i) => placeOf(variable, names[i]!, name))) continue;
      const meant = nearest(name, names);
      throw wrong(
        options,
        `has "${name}", which is no variable${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
        `the variables are ${names.join(', ')}`,
      );
    }
  }
  const missing: string[] = [];
  const genes = variables.flatMap((variable, i) => {
    const found = geneOf(variable, names[i]!, values, options);
    if (found) return found;
    missing.push(names[i]!);
    return firstOf(variable);
  });
  const canonical = checked(space, genes, options);
  if (missing.length === 0) return canonical;
  const active = space.active(canonical);
  const geneOfName = (name: string) => space.genes.findIndex((gene) => gene.name === name || gene.name === `${name}.0`);
  const needed = missing.find((name) => active[geneOfName(name)] !== false);
  if (needed === undefined) return canonical;
  const meant = nearest(
    needed,
    Object.keys(values).filter((name) => !names.includes(name)),
  );
  throw wrong(
    options,
    `has no ${needed}`,
    meant === undefined ? `give a value for each of ${names.join(', ')}` : `is "${meant}" meant?`,
    needed,
  );
}

function checked(space: Space, genes: readonly number[], { where }: GivenOptions): number[] {
  try {
    space.check(genes);
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    throw new SearchError('invalid-genes', `${where}: ${error.message}`, { where, ...error.details }, { cause: error });
  }
  return space.canonical(genes);
}

/** `name.0`, `name.1`, … of a permutation. */
function placeOf(variable: Variable, name: string, key: string): boolean {
  return (
    variable.type === 'permutation' && Array.from({ length: variable.length }, (_, i) => `${name}.${i}`).includes(key)
  );
}

function firstOf(variable: Variable): readonly number[] {
  if (variable.type === 'permutation') return Array.from({ length: variable.length }, (_, place) => place);
  return [variable.type === 'real' || variable.type === 'integer' ? variable.lower : 0];
}

/** Undefined where nothing is given. */
function geneOf(
  variable: Variable,
  name: string,
  values: Readonly<Record<string, unknown>>,
  options: GivenOptions,
): readonly number[] | undefined {
  if (variable.type === 'permutation') {
    const { length } = variable;
    const places = values[name] ?? Array.from({ length }, (_, i) => values[`${name}.${i}`]);
    const list = typeof places === 'string' ? places.split(/\s+/) : places;
    if (variable.when && Array.isArray(list) && list.every(isAbsent)) return undefined;
    if (!Array.isArray(list) || list.length !== length || list.some(isAbsent))
      throw wrong(options, `has ${name} as ${valueText(places)}`, `give the ${length} places of a permutation`);
    return list.map(Number);
  }
  const value = values[name];
  if (isAbsent(value)) return isNullChoice(variable, value) ? [variable.values.indexOf(null)] : undefined;
  switch (variable.type) {
    case 'real':
    case 'integer': {
      const number = typeof value === 'string' ? Number(value.trim() || Number.NaN) : value;
      if (typeof number === 'number' && Number.isFinite(number)) return [number];
      throw wrong(
        options,
        `has ${name} as ${JSON.stringify(value)}`,
        `give a number from ${variable.lower} to ${variable.upper}`,
      );
    }
    case 'categorical':
    case 'ordinal': {
      const index = variable.values.findIndex((one) => Object.is(one, value) || valueText(one) === valueText(value));
      if (index >= 0) return [index];
      throw wrong(
        options,
        `has ${name} as ${valueText(value)}`,
        `give one of ${variable.values.map(valueText).join(', ')}`,
      );
    }
    case 'boolean': {
      const text = valueText(value).toLowerCase();
      if (['true', '1', '1.0'].includes(text)) return [1];
      if (['false', '0', '0.0'].includes(text)) return [0];
      throw wrong(options, `has ${name} as ${valueText(value)}`, 'give true or false');
    }
  }
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === '';

/** Whether a missing value is a choice: null where it is one, and a table's empty cell, unless that may say that the variable is unused. */
function isNullChoice(
  variable: Variable,
  value: unknown,
): variable is Extract<Variable, { readonly type: 'categorical' | 'ordinal' }> {
  if (variable.type !== 'categorical' && variable.type !== 'ordinal') return false;
  return variable.values.includes(null as never) && (value === null || (value === '' && !variable.when));
}

function wrong({ where }: GivenOptions, what: string, fix: string, missing?: string): SearchError {
  return new SearchError('invalid-genes', `${where} ${what}: ${fix}`, { where, missing });
}
