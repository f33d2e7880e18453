// Where an open study's changes go: into its file, as long as the file is still this opening's.
import type { DatabaseSync } from 'node:sqlite';
import { SearchError } from '../errors.ts';
import { guard, transaction } from './connection.ts';
import { heartbeat } from './heartbeat.ts';
import { ownerAlive, release, thisOwner } from './owner.ts';
import type { StudyJournal } from './storage.ts';
import type { IntermediateValues, RoundInfo, Trial, TrialReport } from './trial.ts';
import { encodeValues, jsonOf } from './values.ts';

/** One opening of a study for writing: whoever opens it next raises the number. */
export interface Claim {
  readonly id: number;
  readonly fence: number;
  readonly owner: ReturnType<typeof thisOwner>;
}

/**
 * Takes a study for this process.
 *
 * @throws SearchError `study-busy` while another live process writes it
 */
export function claim(path: string, database: DatabaseSync, id: number): Claim {
  const owner = thisOwner();
  try {
    const fence = transaction(path, database, () => {
      const row = database
        .prepare('SELECT name, fence, owner, owner_host, owner_seen_at FROM studies WHERE id = ?')
        .get(id);
      if (row && typeof row['owner'] === 'string') {
        const holder = { id: row['owner'], host: String(row['owner_host']) };
        if (ownerAlive(holder, Number(row['owner_seen_at']))) {
          const [pid] = holder.id.split(':');
          throw new SearchError(
            'study-busy',
            `study "${String(row['name'])}" in ${path} is being written by process ${pid} on ${holder.host}: stop it first, or use another study name`,
            { path, ...holder },
          );
        }
      }
      const next = Number(row?.['fence'] ?? 0) + 1;
      database
        .prepare('UPDATE studies SET fence = ?, owner = ?, owner_host = ?, owner_seen_at = ? WHERE id = ?')
        .run(next, owner.id, owner.host, Date.now(), id);
      return next;
    });
    return { id, fence, owner };
  } catch (error) {
    release(owner);
    throw error;
  }
}

/** A trial as a row, but for the study's id. */
export function rowOf(t: Trial) {
  return [t.number, t.round, t.origin, JSON.stringify(t.genes), t.key, t.seed, ...changing(t)] as const;
}

/** What changes of a row: the columns of {@link UPDATE}. */
export function changing(t: Trial) {
  return [
    t.status,
    t.values ? jsonOf(encodeValues(t.values), `the values of trial ${t.number}`) : null,
    t.error ?? null,
    t.attempts,
    t.host ?? null,
    t.worker ?? null,
    t.startedAt ?? null,
    t.finishedAt ?? null,
    t.durationMs ?? null,
  ] as const;
}

const CHANGING = 'status, trial_values, error, attempts, host, worker, started_at, finished_at, duration_ms';
/** Takes a study's id, {@link rowOf}, then the extra columns. */
export const insertInto = (...extra: readonly string[]): string => {
  const columns = ['study_id, number, round, origin, genes, key, seed', CHANGING, ...extra].join(', ');
  return `INSERT INTO trials (${columns}) VALUES (${columns.replaceAll(/\w+/g, '?')})`;
};
/** Takes {@link changing}, the extra columns, then study, number and key. The key says whose row it is: a row of other genes is never changed. */
export const updateOf = (...extra: readonly string[]): string =>
  `UPDATE trials SET ${[CHANGING, ...extra].join(', ').replaceAll(/\w+/g, '$& = ?')} WHERE study_id = ? AND number = ? AND key = ?`;

/** Everything but trials: written alike by one process and by several. */
export function writersOf(database: DatabaseSync, id: number) {
  return {
    round({ round, info }: RoundInfo): void {
      const text = jsonOf(info, `what the tactic says of round ${round}`);
      database.prepare('INSERT OR REPLACE INTO rounds (study_id, round, info) VALUES (?, ?, ?)').run(id, round, text);
    },
    reference(reference: readonly number[]): void {
      database.prepare('UPDATE studies SET reference = ? WHERE id = ?').run(JSON.stringify(reference), id);
    },
    settings(settings: Readonly<Record<string, unknown>>): void {
      database.prepare('UPDATE studies SET settings = ? WHERE id = ?').run(jsonOf(settings, 'the settings'), id);
    },
    report({ number, split, values, host, durationMs }: TrialReport): void {
      const text = jsonOf(encodeValues(values), `the report of trial ${number}`);
      database
        .prepare(
          'INSERT OR REPLACE INTO reports (study_id, number, split, report_values, host, duration_ms) VALUES (?, ?, ?, ?, ?, ?)',
        )
        .run(id, number, split, text, host, durationMs);
    },
    intermediate(number: number, { step, values }: IntermediateValues): void {
      const text = jsonOf(encodeValues(values), `what trial ${number} reported`);
      database
        .prepare(
          'INSERT OR REPLACE INTO intermediate (study_id, number, step, intermediate_values) VALUES (?, ?, ?, ?)',
        )
        .run(id, number, step, text);
    },
  };
}

export function journal(path: string, database: DatabaseSync, { id, fence, owner }: Claim): StudyJournal {
  const insert = database.prepare(insertInto());
  const update = database.prepare(updateOf());
  const current = database.prepare('SELECT name, fence FROM studies WHERE id = ?');
  const writers = writersOf(database, id);
  const taken = (): SearchError =>
    new SearchError(
      'study-taken',
      `another process has taken this study in ${path}, because this one gave no sign of life for too long: what was not written by then is lost to it; resume the study where it is written now`,
      { path, study: id, fence },
    );
  /** A change, unless another opening has raised the fence since. */
  const write = (action: () => void): void =>
    transaction(path, database, () => {
      if (Number(current.get(id)?.['fence']) !== fence) throw taken();
      action();
    });
  const beating = heartbeat.add({ path, id, fence });
  return {
    addTrials(trials, round) {
      write(() => {
        for (const trial of trials) insert.run(id, ...rowOf(trial));
        if (round) writers.round(round);
      });
    },
    updateTrial(trial) {
      const values = changing(trial);
      write(() => {
        if (Number(update.run(...values, id, trial.number, trial.key).changes) !== 1) throw taken();
      });
    },
    setReference: (reference) => write(() => writers.reference(reference)),
    setSettings: (settings) => write(() => writers.settings(settings)),
    addReport: (report) => write(() => writers.report(report)),
    addIntermediate: (number, values) => write(() => writers.intermediate(number, values)),
    close() {
      heartbeat.remove(beating);
      release(owner);
      try {
        guard(path, () =>
          database
            .prepare('UPDATE studies SET owner = NULL, owner_host = NULL WHERE id = ? AND fence = ?')
            .run(id, fence),
        );
      } catch {
        // A full, locked or failing disk: the owner that stays in the file is known not to live any more.
      } finally {
        database.close();
      }
    },
  };
}
