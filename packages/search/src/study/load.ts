// Everything of a study, or what changed in it, from its file.
import type { DatabaseSync } from 'node:sqlite';
import * as v from 'valibot';
import type { Variable } from '@instatune/nsga2';
import { genesOf } from '../genes.ts';
import { checked, corrupt, count, number, parse, record, valuesSchema } from './checked-rows.ts';
import { guard } from './connection.ts';
import type { StudyHeader } from './header.ts';
import { checkTrial, trialOf } from './rows.ts';
import type { StudyContents } from './storage.ts';
import type { IntermediateValues, RoundInfo, Trial, TrialReport } from './trial.ts';
import { decodeValues } from './values.ts';

const intermediateSchema = v.object({ step: v.pipe(v.number(), v.finite()), values: valuesSchema });
const roundSchema = v.object({ round: count, info: record });
const reportSchema = v.object({
  number: count,
  split: v.string(),
  values: valuesSchema,
  host: v.string(),
  durationMs: v.number(),
});

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
