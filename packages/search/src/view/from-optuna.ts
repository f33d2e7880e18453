// A view from an Optuna storage's tables.
import * as v from 'valibot';
import { SearchError } from '../errors.ts';
import { constraintBounds, constraintValueName, type NamedConstraints } from '../given/constraint-values.ts';
import { optunaConstraints } from '../study/optuna-constraints.ts';
import { attributesByTrial, byTrial, CONSTRAINT_ATTRIBUTES, finiteValue } from '../study/optuna-values.ts';
import type { StudyView, ViewObjective, ViewTrial, ViewValue, ViewVariable } from './data.ts';
import { missing, type DatabaseViewOptions, type Query } from './query.ts';

const distributionSchema = v.object({
  name: v.string(),
  attributes: v.object({
    choices: v.optional(v.array(v.unknown())),
    low: v.optional(v.number()),
    high: v.optional(v.number()),
    log: v.optional(v.boolean()),
    step: v.nullish(v.number()),
    q: v.optional(v.number()),
  }),
});

type Distribution = v.InferOutput<typeof distributionSchema>;

const STATES: Readonly<Record<string, string>> = {
  COMPLETE: 'complete',
  FAIL: 'failed',
  PRUNED: 'stopped',
  RUNNING: 'running',
  WAITING: 'pending',
};

const shown = (value: unknown): string | number | boolean =>
  typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string' ? value : JSON.stringify(value);

/** @throws SearchError `study-missing`, `corrupt-study` */
export async function viewFromOptuna(query: Query, options: DatabaseViewOptions): Promise<StudyView> {
  const { study: wanted, path = 'the file' } = options;
  const studies = await query('SELECT study_id, study_name FROM studies ORDER BY study_id');
  const found = wanted === undefined ? studies.at(-1) : studies.find(({ study_name: name }) => name === wanted);
  if (!found)
    throw missing(
      path,
      wanted,
      studies.map(({ study_name: name }) => String(name)),
    );
  const id = Number(found['study_id']);
  const objectives = await objectivesOf(query, id, options.objectives);
  const own = `IN (SELECT trial_id FROM trials WHERE study_id = ${id})`;
  const params = await query(`SELECT * FROM trial_params WHERE trial_id ${own} ORDER BY param_id`);
  const values = byTrial(await query(`SELECT * FROM trial_values WHERE trial_id ${own}`));
  const trials = await query(`SELECT * FROM trials WHERE study_id = ${id} ORDER BY number`);
  const constraints = await constraintsByTrial(query, id, trials);
  const variables = new Map<string, ViewVariable>();
  const assigned = new Map<unknown, Record<string, ViewValue>>();
  for (const { trial_id: trial, param_name: param, param_value: value, distribution_json: json } of params) {
    const name = String(param);
    const distribution = v.parse(distributionSchema, JSON.parse(String(json)));
    variables.set(name, widened(variables.get(name), variableOf(name, distribution)));
    const record = assigned.get(trial) ?? {};
    record[name] = valueOf(Number(value), distribution, `${path}, ${name}`);
    assigned.set(trial, record);
  }
  return {
    name: String(found['study_name']),
    variables: [...variables.values()],
    objectives,
    constraints: constraintBounds(
      [...constraints.values()].flatMap((own) => Object.keys(own)),
      true,
    ),
    trials: trials.map((row): ViewTrial => {
      const seconds = (Date.parse(String(row['datetime_complete'])) - Date.parse(String(row['datetime_start']))) / 1000;
      return {
        number: Number(row['number']),
        state: STATES[String(row['state'])] ?? String(row['state']).toLowerCase(),
        values: assigned.get(row['trial_id']) ?? {},
        objectives: Object.fromEntries([
          ...(values.get(row['trial_id']) ?? []).flatMap((measured): [string, number][] => {
            const value = finiteValue(measured);
            return value === undefined ? [] : [[objectives[Number(measured['objective'])]!.name, value]];
          }),
          ...Object.entries(constraints.get(row['trial_id']) ?? {}).map(([name, value]): [string, number] => [
            constraintValueName(name),
            value,
          ]),
        ]),
        ...(Number.isFinite(seconds) ? { seconds } : {}),
      };
    }),
  };
}

/** Of complete trials, by `trial_id`. */
async function constraintsByTrial(
  query: Query,
  id: number,
  trials: readonly Readonly<Record<string, unknown>>[],
): Promise<ReadonlyMap<unknown, NamedConstraints>> {
  const own = `(SELECT trial_id FROM trials WHERE study_id = ${id})`;
  const attributes = attributesByTrial(await query(`${CONSTRAINT_ATTRIBUTES} ${own}`));
  const complete = trials.filter(({ state }) => state === 'COMPLETE').map(({ trial_id: trial }) => trial);
  const constraints = optunaConstraints(complete.map((trial) => attributes.get(trial) ?? {}));
  return new Map(complete.map((trial, index) => [trial, constraints[index]!]));
}

async function objectivesOf(
  query: Query,
  id: number,
  given: readonly string[] | undefined,
): Promise<readonly ViewObjective[]> {
  const directions = await query(
    `SELECT objective, direction FROM study_directions WHERE study_id = ${id} ORDER BY objective`,
  );
  const [row] = await query(
    `SELECT value_json FROM study_system_attributes WHERE study_id = ${id} AND key = 'study:metric_names'`,
  );
  const stored = row && v.safeParse(v.array(v.string()), JSON.parse(String(row['value_json'])));
  if (given && given.length !== directions.length)
    throw new SearchError(
      'invalid-option',
      `the study has ${directions.length} objectives, and ${given.length} names are given: name them in their order`,
      { names: given },
    );
  const names = given ?? (stored?.success ? stored.output : undefined);
  return directions.map(({ direction }, index) => ({
    name: names?.[index] ?? (directions.length === 1 ? 'objective' : `objective ${index}`),
    direction: direction === 'MAXIMIZE' ? 'maximize' : 'minimize',
  }));
}

function variableOf(name: string, { name: kind, attributes }: Distribution): ViewVariable {
  // Optuna 2 has a distribution a scale and step: LogUniformDistribution, DiscreteUniformDistribution, IntLogUniformDistribution.
  const { choices, low, high, log = kind.includes('Log'), q, step = q } = attributes;
  if (choices) return { name, kind: 'categorical', values: choices.map(shown) };
  const bounds = low === undefined || high === undefined ? {} : { bounds: [low, high] as const };
  return {
    name,
    kind: /Int/.test(kind) ? 'integer' : 'real',
    ...bounds,
    ...(log ? { scale: 'log' } : {}),
    ...(typeof step === 'number' && (step !== 1 || !/Int/.test(kind)) ? { step } : {}),
  };
}

/** A parameter may have been asked for with other bounds in another trial. */
function widened(known: ViewVariable | undefined, next: ViewVariable): ViewVariable {
  if (!known?.bounds || !next.bounds) return next;
  const bounds = [Math.min(known.bounds[0], next.bounds[0]), Math.max(known.bounds[1], next.bounds[1])] as const;
  return { ...next, bounds };
}

function valueOf(value: number, { attributes: { choices } }: Distribution, where: string): ViewValue {
  if (!choices) return value;
  if (Number.isInteger(value) && value >= 0 && value < choices.length) return shown(choices[value]);
  throw new SearchError('corrupt-study', `${where} is choice ${value} of ${choices.length}: restore a copy`, { where });
}
