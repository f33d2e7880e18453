// Rows of a study's file as what they mean, each checked: a damaged file is said to be one, whatever it breaks.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import * as v from 'valibot';
import type { Variable } from '@instatune/nsga2';
import { SearchError, messageOf } from '../errors.ts';
import { checkGenes, checkVariables, genesOf, type Gene } from '../genes.ts';
import { guard, type Row } from './connection.ts';
import type { StudyHeader } from './header.ts';
import type { StudyContents } from './storage.ts';
import type { IntermediateValues, RoundInfo, Trial, TrialReport } from './trial.ts';
import { decodeValues } from './values.ts';

const record = v.record(v.string(), v.unknown());
/** What was measured: numbers, `NaN` and infinities as words, null. */
const valuesSchema = v.record(
  v.string(),
  v.nullable(v.union([v.number(), v.boolean(), v.string(), v.array(v.unknown()), record])),
);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const optionalText = v.optional(v.string());
const optionalNumber = v.optional(v.pipe(v.number(), v.finite()));

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

const intermediateSchema = v.object({ step: v.pipe(v.number(), v.finite()), values: valuesSchema });
const roundSchema = v.object({ round: count, info: record });
const reportSchema = v.object({
  number: count,
  split: v.string(),
  values: valuesSchema,
  host: v.string(),
  durationMs: v.number(),
});

const number = (value: SQLOutputValue | undefined) => (value === null ? Number.NaN : Number(value));

function corrupt(path: string, what: string, reason: string, cause?: unknown): SearchError {
  return new SearchError(
    'corrupt-study',
    `${path}: ${what} ${reason.slice(0, 200)}: restore a copy or start a new study`,
    { path, what },
    cause === undefined ? undefined : { cause },
  );
}

function parse(path: string, text: SQLOutputValue | undefined, what: string): unknown {
  try {
    return JSON.parse(String(text)) as unknown;
  } catch (error) {
    throw corrupt(path, what, `is not JSON (${messageOf(error)})`, error);
  }
}

function checked<S extends v.GenericSchema>(path: string, schema: S, value: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw corrupt(path, what, `cannot be (${v.getDotPath(issue) ?? 'itself'}: ${issue.message})`);
}

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
function checkTrial(path: string, trial: Trial, genes: readonly Gene[], header: StudyHeader): void {
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

/** Trials that changed after a revision (−1: all), in order. */
function trialsOf(path: string, database: DatabaseSync, id: number, header: StudyHeader, from: From): readonly Trial[] {
  const genes = genesOf(header.space as unknown as readonly Variable[]);
  const { shared, after } = from;
  const reports = intermediateOf(path, database, id, after);
  return database
    .prepare('SELECT * FROM trials WHERE study_id = ? AND revision > ? ORDER BY number')
    .all(id, after)
    .map((row) => {
      const trial = trialOf(path, row, shared);
      checkTrial(path, trial, genes, header);
      const intermediate = reports.get(trial.number);
      return intermediate ? { ...trial, intermediate } : trial;
    });
}

/** What trials that changed reported on their way, by number. */
function intermediateOf(
  path: string,
  database: DatabaseSync,
  id: number,
  after: number,
): ReadonlyMap<number, readonly IntermediateValues[]> {
  const found = new Map<number, IntermediateValues[]>();
  const rows = database
    .prepare(
      `SELECT i.number, i.step, i.intermediate_values FROM intermediate i JOIN trials t USING (study_id, number)
       WHERE i.study_id = ? AND t.revision > ? ORDER BY i.number, i.step`,
    )
    .all(id, after);
  for (const row of rows) {
    const what = `what trial ${number(row['number'])} reported`;
    const given = { step: number(row['step']), values: parse(path, row['intermediate_values'], what) };
    const { step, values } = checked(path, intermediateSchema, given, what);
    const list = found.get(number(row['number'])) ?? [];
    list.push({ step, values: decodeValues(values) });
    found.set(number(row['number']), list);
  }
  return found;
}

/** Trials in order, none missing, none twice. */
function allTrials(path: string, database: DatabaseSync, id: number, header: StudyHeader, shared: boolean) {
  const trials = trialsOf(path, database, id, header, { shared, after: -1 });
  const keys = new Set<string>();
  trials.forEach((trial, index) => {
    if (trial.number !== index) throw corrupt(path, `trial ${index}`, 'is missing');
    if (keys.has(trial.key))
      throw corrupt(path, `trial ${index}`, `has the key ${trial.key}, which is not its genes' or another's`);
    keys.add(trial.key);
  });
  return trials;
}

interface From {
  readonly shared: boolean;
  readonly after: number;
}

/** Everything of a study. @throws SearchError `corrupt-study` */
export function load(
  path: string,
  database: DatabaseSync,
  id: number,
  header: StudyHeader,
  shared = false,
): StudyContents {
  return guard(path, () => {
    const trials = allTrials(path, database, id, header, shared);
    return { trials, ...besides(path, database, id, header, { trials: trials.length, round: -1 }) };
  });
}

/** What changed in a shared study after a revision. @throws SearchError `corrupt-study` */
export function loadChanges(
  path: string,
  database: DatabaseSync,
  id: number,
  header: StudyHeader,
  { revision, round }: { readonly revision: number; readonly round: number },
): StudyContents {
  return guard(path, () => {
    const trials = trialsOf(path, database, id, header, { shared: true, after: revision });
    return { trials, ...besides(path, database, id, header, { trials: Infinity, round }) };
  });
}

/** Rounds after one, reports, reference. */
function besides(
  path: string,
  database: DatabaseSync,
  id: number,
  header: StudyHeader,
  known: { readonly trials: number; readonly round: number },
): Omit<StudyContents, 'trials'> {
  const rounds = database
    .prepare('SELECT * FROM rounds WHERE study_id = ? AND round > ? ORDER BY round')
    .all(id, known.round)
    .map((row): RoundInfo => {
      const round = number(row['round']);
      const info = parse(path, row['info'], `round ${round}`);
      return checked(path, roundSchema, { round, info }, `round ${round}`);
    });
  const reports = database
    .prepare('SELECT * FROM reports WHERE study_id = ? ORDER BY split, number')
    .all(id)
    .map((row): TrialReport => {
      const of = number(row['number']);
      const what = `the report of trial ${of}`;
      const report = checked(
        path,
        reportSchema,
        {
          number: of,
          split: row['split'],
          values: parse(path, row['report_values'], what),
          host: row['host'],
          durationMs: number(row['duration_ms']),
        },
        what,
      );
      if (of >= known.trials) throw corrupt(path, what, 'is of no trial');
      return { ...report, values: decodeValues(report.values) };
    });
  const stored = database.prepare('SELECT reference FROM studies WHERE id = ?').get(id)?.['reference'] ?? null;
  const reference =
    stored === null
      ? undefined
      : checked(
          path,
          v.pipe(v.array(v.pipe(v.number(), v.finite())), v.length(header.objectives.length)),
          parse(path, stored, 'the reference'),
          'the reference',
        );
  return { rounds, reports, reference };
}
