// Rows of a study's tables: the head of a study, one trial.
import * as v from 'valibot';
import type { Variable } from '@instatune/nsga2';
import { messageOf } from '../errors.ts';
import { checkGenes, checkVariables, type Gene } from '../genes.ts';
import {
  checked,
  corrupt,
  count,
  number,
  optionalNumber,
  optionalText,
  parse,
  record,
  valuesSchema,
} from './checked-rows.ts';
import type { Row } from './connection.ts';
import type { StudyHeader } from './header.ts';
import type { Trial } from './trial.ts';
import { decodeValues } from './values.ts';

const headerSchema = v.object({
  name: v.string(),
  uid: v.string(),
  problem: v.string(),
  space: v.array(record),
  objectives: v.pipe(
    v.array(
      v.object({
        name: v.string(),
        direction: v.picklist(['minimize', 'maximize']),
        kind: v.picklist(['measured', 'exact']),
        unit: optionalText,
      }),
    ),
    v.minLength(1),
  ),
  fingerprint: v.string(),
  tactic: v.string(),
  settings: record,
  seed: v.pipe(v.number(), v.safeInteger()),
  createdAt: v.number(),
});

const trialSchema = v.object({
  number: count,
  round: count,
  origin: v.string(),
  genes: v.array(v.pipe(v.number(), v.finite())),
  key: v.string(),
  seed: v.pipe(v.number(), v.safeInteger()),
  status: v.picklist(['pending', 'running', 'complete', 'failed', 'stopped']),
  attempts: count,
  lease: v.optional(count),
  values: v.optional(valuesSchema),
  error: optionalText,
  host: optionalText,
  worker: optionalText,
  startedAt: optionalNumber,
  finishedAt: optionalNumber,
  durationMs: optionalNumber,
});

export function headerOf(path: string, row: Row): StudyHeader {
  const what = `the head of study ${JSON.stringify(String(row['name'])).slice(0, 60)}`;
  const header = checked(
    path,
    headerSchema,
    {
      name: row['name'],
      uid: row['uid'],
      problem: row['problem'],
      space: parse(path, row['space'], 'the space'),
      objectives: parse(path, row['objectives'], 'the objectives'),
      fingerprint: row['fingerprint'],
      tactic: row['tactic'],
      settings: parse(path, row['settings'], 'the settings'),
      seed: number(row['seed']),
      createdAt: number(row['created_at']),
    },
    what,
  );
  try {
    checkVariables(header.space as unknown as readonly Variable[]);
  } catch (error) {
    throw corrupt(path, 'the space', `cannot be (${messageOf(error)})`, error);
  }
  return header as StudyHeader;
}

/**
 * One row of `trials`.
 *
 * @param shared whether a trial that runs is another process's, instead of one that ended with its process
 * @throws SearchError `corrupt-study`
 */
export function trialOf(path: string, row: Row, shared = false): Trial {
  const n = number(row['number']);
  const values = row['trial_values'];
  const given = {
    number: n,
    round: number(row['round']),
    origin: row['origin'],
    genes: parse(path, row['genes'], `the genes of trial ${n}`),
    key: row['key'],
    seed: number(row['seed']),
    // A trial that was running when its process died is to be done again; its attempt counts.
    status: row['status'] === 'running' && !shared ? 'pending' : row['status'],
    attempts: number(row['attempts']),
    // A file of an earlier version, looked at as it is, has none.
    lease: row['lease'] ? number(row['lease']) : undefined,
    values: values === null ? undefined : parse(path, values, `the values of trial ${n}`),
    error: row['error'] ?? undefined,
    host: row['host'] ?? undefined,
    worker: row['worker'] ?? undefined,
    startedAt: row['started_at'] ?? undefined,
    finishedAt: row['finished_at'] ?? undefined,
    durationMs: row['duration_ms'] ?? undefined,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const trial = checked(path, trialSchema, known, `trial ${n}`);
  return { ...trial, ...(trial.values ? { values: decodeValues(trial.values) } : {}) } as Trial;
}

/** One trial, with genes of the space and, where complete, a number for each objective. */
export function checkTrial(path: string, trial: Trial, genes: readonly Gene[], header: StudyHeader): void {
  const what = `trial ${trial.number}`;
  try {
    checkGenes(genes, trial.genes, header.problem);
  } catch (error) {
    throw corrupt(path, what, `cannot be (${messageOf(error)})`, error);
  }
  if (trial.key !== trial.genes.join(','))
    throw corrupt(path, what, `has the key ${trial.key}, which is not its genes' or another's`);
  if (trial.status !== 'complete') return;
  const lacking = header.objectives.find(({ name }) => !Number.isFinite(trial.values?.[name]));
  if (lacking) throw corrupt(path, what, `is complete without a number for ${lacking.name}`);
}
