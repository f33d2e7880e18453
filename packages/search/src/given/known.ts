// Measurements that were made before, elsewhere: checked against a problem, and made trials of a study that nobody measures again.
import { SearchError } from '../errors.ts';
import type { Space } from '../space.ts';
import { objectiveMismatch, type ComparedObjective } from '../study/compare.ts';
import type { Trial } from '../study/trial.ts';
import { trialSeed } from '../seeds.ts';
import { constraintValueName } from './constraint-values.ts';
import { givenGenes, type GivenCandidate, type GivenOptions } from './candidate.ts';

/** One candidate and what was measured of it. */
export interface KnownMeasurement {
  readonly candidate: GivenCandidate;
  /** Measured objectives by name, in this problem's units; exact ones must be what is computed here, others are left out. */
  readonly values?: Readonly<Record<string, unknown>> | undefined;
  /**
   * Constraints that were known where it was measured, by name or in order: feasible where each is 0 or less, as in Optuna and pymoo. Kept among the
   * trial's values as `constraint NAME`; what violates one is learnt from and never on the front. Trials of the search are held to those that the
   * problem measures, too (its `inequality`), and so are the known ones: without a value of such a constraint they are not feasible.
   */
  readonly constraints?: Readonly<Record<string, number>> | readonly number[] | undefined;
  /** Why it has no values: it failed, and is not tried again. One that failed before it had a value for each variable is left out. */
  readonly error?: string | undefined;
  /** For messages, e.g. "row 7 of known.csv". */
  readonly where?: string | undefined;
}

/** Measurements with what is known of the objectives there. */
export interface KnownMeasurements {
  readonly rows: readonly KnownMeasurement[];
  /** Checked against the problem's where they are given: another direction or unit is another number. */
  readonly objectives?: readonly ComparedObjective[] | undefined;
  /** Names in `candidate` that are no variables are left out: a table has other columns, too. @defaultValue false */
  readonly table?: boolean | undefined;
}

/** Origin of trials that were not measured by their study. */
export const KNOWN = 'known';

/** Computed and given values that differ by more than this share are of different units, or of different problems. */
const SAME = 1e-6;

interface Gathered {
  readonly genes: readonly number[];
  readonly values: Record<string, number>[];
  readonly errors: string[];
}

/**
 * Trials of round 0. Several measurements of one candidate count as their mean; one that failed once and worked once has worked.
 *
 * @throws SearchError `invalid-genes`, `space-mismatch` for another direction, unit or computed value, `measurement-failed` for a value that is
 * missing or no number; each names the row
 */
export function knownTrials(
  space: Space,
  given: KnownMeasurements | readonly KnownMeasurement[],
  seed: number,
): readonly Trial[] {
  const { rows, objectives = [], table = false } = 'rows' in given ? given : { rows: given };
  // A table says directions where it wants to.
  const said = table
    ? objectives.map((objective) => ({
        ...space.problem.objectives.find(({ name, direction }) => name === objective.name && direction !== undefined),
        ...objective,
      }))
    : objectives;
  const mismatch = objectiveMismatch(space.problem.objectives, said, new Set());
  if (mismatch !== undefined)
    throw new SearchError('space-mismatch', `the measurements have ${mismatch}: convert them first`, { objectives });
  const gathered = new Map<string, Gathered>();
  rows.forEach((row, index) => {
    const where = row.where ?? `measurement ${index}`;
    const genes = genesOf(space, row, { where, ...(table ? { others: 'allowed' as const } : {}) });
    if (genes === undefined) return;
    const key = space.key(genes);
    const known = gathered.get(key) ?? { genes, values: [], errors: [] };
    gathered.set(key, known);
    if (row.error === undefined) known.values.push(valuesOf(space, genes, row, where));
    else known.errors.push(row.error);
  });
  const now = Date.now();
  return [...gathered].map(([key, { genes, values, errors }], number): Trial => {
    const base = {
      number,
      round: 0,
      origin: KNOWN,
      genes,
      key,
      seed: trialSeed(seed, number),
      attempts: 0,
      finishedAt: now,
    };
    if (values.length === 0) return { ...base, status: 'failed', error: errors[0]! };
    return { ...base, status: 'complete', values: space.complete(genes, meanOf(values)) };
  });
}

/** Undefined for a measurement that failed before all was known of its candidate. */
function genesOf(space: Space, row: KnownMeasurement, options: GivenOptions): readonly number[] | undefined {
  try {
    return givenGenes(space, row.candidate, options);
  } catch (error) {
    const isHalf = error instanceof SearchError && error.details['missing'] !== undefined;
    if (isHalf && row.error !== undefined) return undefined;
    throw error;
  }
}

function valuesOf(
  space: Space,
  genes: readonly number[],
  row: KnownMeasurement,
  where: string,
): Record<string, number> {
  const given = row.values ?? {};
  const measured: Record<string, number> = {};
  for (const { name } of space.measured) {
    const value = numberOf(given[name]);
    if (value === undefined || !Number.isFinite(value)) {
      throw new SearchError(
        'measurement-failed',
        `${where} has ${name} as ${JSON.stringify(given[name])}: give a finite number, or leave the row out`,
        { where, name, value: given[name] },
      );
    }
    measured[name] = value;
  }
  for (const [name, computed] of Object.entries(space.exact(genes))) {
    const value = numberOf(given[name]);
    if (value === undefined || Math.abs(value - computed) <= SAME * Math.max(Math.abs(value), Math.abs(computed)))
      continue;
    throw new SearchError(
      'space-mismatch',
      `${where} has ${name} as ${value}, which this problem computes as ${computed}: another unit, or another problem; convert it, or leave it out`,
      { where, name, value, computed },
    );
  }
  return { ...measured, ...constraintsOf(row, where) };
}

function constraintsOf({ constraints = {} }: KnownMeasurement, where: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(constraints).map(([name, given]: [string, unknown]) => {
      const value = numberOf(given);
      if (value !== undefined && Number.isFinite(value)) return [constraintValueName(name), value];
      throw new SearchError(
        'measurement-failed',
        `${where} has the constraint ${name} as ${JSON.stringify(given)}: give a finite number, 0 or less where it is kept`,
        { where, name, value: given },
      );
    }),
  );
}

/** Numbers, and texts that are. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = Number(value);
  return Number.isNaN(number) ? undefined : number;
}

function meanOf(values: readonly Record<string, number>[]): Record<string, number> {
  const names = new Set(values.flatMap((one) => Object.keys(one)));
  return Object.fromEntries(
    [...names].map((name) => {
      const own = values.flatMap(({ [name]: value }) => (value === undefined ? [] : [value]));
      return [name, own.reduce((sum, value) => sum + value / own.length, 0)];
    }),
  );
}
