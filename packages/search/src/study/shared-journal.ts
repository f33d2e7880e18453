// Where a study's changes go that several processes write: one after the other, each on what the others have written.
import type { DatabaseSync } from 'node:sqlite';
import { guard, transaction } from './connection.ts';
import { Heartbeat } from './heartbeat.ts';
import { changing, insertInto, rowOf, updateOf, writersOf } from './journal.ts';
import { OWNER_STALE_MS, ownerAlive, release, thisOwner } from './owner.ts';
import { loadChanges } from './load.ts';
import { headerOf } from './rows.ts';
import type { StudyHeader } from './header.ts';
import type { StudyChanges, StudyJournal } from './storage.ts';
import type { Trial } from './trial.ts';

export interface SharedOptions {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly id: number;
  readonly header: StudyHeader;
  /** The study's revision that was read. */
  readonly revision: number;
  readonly round: number;
  /** How long a trial stays with a process that gives no sign of life. @defaultValue 120000 */
  readonly leaseMs?: number | undefined;
}

/** The revision of a study: every change of a shared one raises it. */
export function revisionOf(database: DatabaseSync, id: number): number {
  return Number(database.prepare('SELECT revision FROM studies WHERE id = ?').get(id)?.['revision']);
}

const LEASE = ['lease', 'lease_owner', 'lease_host', 'lease_until', 'revision'] as const;

/**
 * A journal whose changes are made inside `exclusively`: SQLite lets one process write at a time, and what others wrote since is read
 * first. Rows say by `revision` when they changed. Leases are kept by a thread of their own, as long as this process lives and is not suspended.
 */
export function sharedJournal(options: SharedOptions): StudyJournal {
  const { path, database, id, header, leaseMs = OWNER_STALE_MS } = options;
  const owner = thisOwner();
  const insert = database.prepare(insertInto(...LEASE));
  const update = database.prepare(updateOf(...LEASE));
  const raise = database.prepare('UPDATE studies SET revision = revision + 1 WHERE id = ?');
  const running = database.prepare(
    "SELECT number, lease_owner, lease_host, lease_until FROM trials WHERE study_id = ? AND status = 'running'",
  );
  const writers = writersOf(database, id);
  const heartbeat = new Heartbeat(leaseMs / 4);
  heartbeat.add({ path, id, fence: 0, lease: { owner: owner.id, ms: leaseMs } });
  /** What was read, and the revision that this change writes. */
  let read = { revision: options.revision, round: options.round };
  let writing = 0;
  const leaseOf = ({ status, lease = 0 }: Trial) =>
    status === 'running'
      ? ([lease, owner.id, owner.host, Date.now() + leaseMs, writing] as const)
      : ([lease, null, null, null, writing] as const);
  return {
    addTrials(trials, round) {
      for (const trial of trials) insert.run(id, ...rowOf(trial), ...leaseOf(trial));
      if (!round) return;
      writers.round(round);
      read = { ...read, round: round.round };
    },
    updateTrial(trial) {
      update.run(...changing(trial), ...leaseOf(trial), id, trial.number, trial.key);
    },
    setReference: (reference) => writers.reference(reference),
    setSettings: (settings) => writers.settings(settings),
    addReport: (report) => writers.report(report),
    addIntermediate(number, values) {
      writers.intermediate(number, values);
      database.prepare('UPDATE trials SET revision = ? WHERE study_id = ? AND number = ?').run(writing, id, number);
    },
    sharing: {
      exclusively(change) {
        try {
          const result = transaction(path, database, () => {
            raise.run(id);
            writing = revisionOf(database, id);
            return change();
          });
          read = { ...read, revision: writing };
          return result;
        } catch (error) {
          // What was changed in memory is not in the file: all of it is read again.
          read = { revision: -1, round: -1 };
          throw error;
        }
      },
      changes(): StudyChanges | undefined {
        const revision = guard(path, () => revisionOf(database, id));
        const whole = read.revision < 0;
        if (revision === read.revision) return undefined;
        const row = guard(path, () => database.prepare('SELECT * FROM studies WHERE id = ?').get(id));
        const contents = loadChanges(path, database, id, header, read);
        read = { revision, round: contents.rounds.at(-1)?.round ?? read.round };
        return { ...contents, whole, settings: row ? headerOf(path, row).settings : header.settings };
      },
      abandoned() {
        const now = Date.now();
        return guard(path, () => running.all(id))
          .filter((row) => {
            const other = { id: String(row['lease_owner']), host: String(row['lease_host']) };
            if (other.id === owner.id) return false;
            return Number(row['lease_until']) < now || !ownerAlive(other, now, now);
          })
          .map((row) => Number(row['number']));
      },
      accompanied: () => guard(path, () => running.all(id)).some((row) => row['lease_owner'] !== owner.id),
    },
    close() {
      void heartbeat.end();
      release(owner);
      database.close();
    },
  };
}
