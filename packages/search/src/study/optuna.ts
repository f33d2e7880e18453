// Studies of Optuna in SQLite, read from its tables (those of version 2 and later).
import type { DatabaseSync } from 'node:sqlite';
import * as v from 'valibot';
import { SearchError, messageOf } from '../errors.ts';
import type { KnownMeasurement, KnownMeasurements } from '../given/known.ts';
import type { Row } from './connection.ts';
import { optunaConstraints } from './optuna-constraints.ts';
import { attributesByTrial, byTrial, CONSTRAINT_ATTRIBUTES, finiteValue } from './optuna-values.ts';

/** Whether the file has Optuna's tables. */
export function isOptuna(database: DatabaseSync): boolean {
  const names = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
    .all()
    .map((row) => String(row['name']));
  return ['studies', 'study_directions', 'trials', 'trial_params', 'trial_values'].every((name) =>
    names.includes(name),
  );
}

const distributionSchema = v.object({
  name: v.string(),
  attributes: v.object({ choices: v.optional(v.array(v.unknown())) }),
});

interface OptunaOptions {
  readonly study?: string | undefined;
  readonly objectives?: readonly string[] | undefined;
}

/** @throws SearchError `study-missing`, `invalid-option` where objectives have no names, `corrupt-study` naming the trial */
export function readOptuna(database: DatabaseSync, path: string, options: OptunaOptions): KnownMeasurements {
  try {
    const study = findStudy(database, path, options.study);
    const directions = database
      .prepare('SELECT objective, direction FROM study_directions WHERE study_id = ? ORDER BY objective')
      .all(study);
    const names = options.objectives ?? metricNames(database, study);
    if (names?.length !== directions.length) {
      throw new SearchError(
        'invalid-option',
        `the study in ${path} has ${directions.length} objectives ${names ? `, and ${names.length} names` : 'without names'}: name them in their order, \`objectives: ['accuracy', 'latency']\``,
        { path, names },
      );
    }
    const objectives = directions.map((row, index) => ({
      name: names[index]!,
      direction: row['direction'] === 'MAXIMIZE' ? ('maximize' as const) : ('minimize' as const),
    }));
    return { rows: readTrials(database, study, path, names), objectives };
  } catch (error) {
    if (error instanceof SearchError) throw error;
    throw new SearchError(
      'corrupt-study',
      `${path} looks like a study of Optuna, but cannot be read as one (${messageOf(error)}): export it as CSV (study.trials_dataframe) and give that`,
      { path },
      { cause: error },
    );
  }
}

function findStudy(database: DatabaseSync, path: string, wanted: string | undefined): number {
  const rows = database.prepare('SELECT study_id, study_name FROM studies ORDER BY study_id').all();
  const found = wanted === undefined && rows.length === 1 ? rows[0] : rows.find((row) => row['study_name'] === wanted);
  if (found) return Number(found['study_id']);
  const names = rows.map((row) => String(row['study_name']));
  throw new SearchError(
    'study-missing',
    wanted === undefined
      ? `${path} holds ${names.length} studies: name one of ${names.join(', ')}`
      : `no study "${wanted}" in ${path}: it holds ${names.join(', ')}`,
    { path, names },
  );
}

function metricNames(database: DatabaseSync, study: number): readonly string[] | undefined {
  const row = database
    .prepare("SELECT value_json FROM study_system_attributes WHERE study_id = ? AND key = 'study:metric_names'")
    .get(study);
  if (!row) return undefined;
  const result = v.safeParse(v.array(v.string()), JSON.parse(String(row['value_json'])));
  return result.success ? result.output : undefined;
}

function readTrials(database: DatabaseSync, study: number, path: string, names: readonly string[]): KnownMeasurement[] {
  const params = byTrial(
    database
      .prepare(
        'SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trial_params p JOIN trials t ON t.trial_id = p.trial_id WHERE t.study_id = ? ORDER BY p.param_id',
      )
      .all(study),
  );
  const values = byTrial(
    database
      .prepare('SELECT v.* FROM trial_values v JOIN trials t ON t.trial_id = v.trial_id WHERE t.study_id = ?')
      .all(study),
  );
  const trials = database
    .prepare(
      "SELECT trial_id, number, state FROM trials WHERE study_id = ? AND state IN ('COMPLETE', 'FAIL') ORDER BY number",
    )
    .all(study);
  const attributes = attributesByTrial(
    database.prepare(`${CONSTRAINT_ATTRIBUTES} (SELECT trial_id FROM trials WHERE study_id = ?)`).all(study),
  );
  const constraints = optunaConstraints(trials.map((trial) => attributes.get(trial['trial_id']) ?? {}));
  return trials.flatMap((trial, index): KnownMeasurement[] => {
    const where = `trial ${Number(trial['number'])} of ${path}`;
    const own = params.get(trial['trial_id']) ?? [];
    const candidate = Object.fromEntries(own.map((row) => [String(row['param_name']), parameterOf(row, where)]));
    // One that failed before it had asked for all parameters says nothing of any candidate.
    if (trial['state'] === 'FAIL') return own.length === 0 ? [] : [{ candidate, error: 'failed in Optuna', where }];
    const measured: Record<string, number> = {};
    for (const row of values.get(trial['trial_id']) ?? []) {
      measured[names[Number(row['objective'])]!] = finiteValue(row) ?? Infinity;
    }
    // What is infinite there ranks behind everything, which is what a failed trial does here.
    if (Object.values(measured).some((value) => !Number.isFinite(value)))
      return [{ candidate, error: 'an objective was infinite in Optuna', where }];
    return [{ candidate, values: measured, constraints: constraints[index], where }];
  });
}

/** A number, or the choice that a categorical parameter's number stands for. */
function parameterOf(row: Row, where: string): unknown {
  const value = Number(row['param_value']);
  const { name, attributes } = v.parse(distributionSchema, JSON.parse(String(row['distribution_json'])));
  if (name !== 'CategoricalDistribution') return value;
  const { choices = [] } = attributes;
  if (Number.isInteger(value) && value >= 0 && value < choices.length) return choices[value];
  throw new SearchError(
    'corrupt-study',
    `${where} has ${String(row['param_name'])} as choice ${value} of ${choices.length}: the file is damaged; restore a copy`,
    { where, value },
  );
}
