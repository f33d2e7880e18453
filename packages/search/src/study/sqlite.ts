// Studies in a SQLite file (Node's own driver): WAL, a transaction per change, so a killed process loses at most its running trials.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { SearchError, messageOf } from '../errors.ts';
import { migrate, schemaVersion } from './migrate.ts';
import { OWNER_STALE_MS, ownerAlive, thisOwner, type Owner } from './owner.ts';
import { SCHEMA_VERSION } from './schema.ts';
import { Study, type StudyContents, type StudyHeader, type StudyJournal } from './study.ts';
import type { RoundInfo, Trial, TrialReport, TrialStatus } from './trial.ts';
import { decodeValues, encodeValues, jsonOf } from './values.ts';

type Row = Record<string, SQLOutputValue>;

/** SQLITE_CORRUPT and SQLITE_NOTADB: https://sqlite.org/rescode.html */
const DAMAGED = new Set([11, 26]);

/** SQLITE_PERM, SQLITE_READONLY and SQLITE_CANTOPEN. */
const CLOSED = new Set([3, 8, 14]);

const HEARTBEAT_MS = OWNER_STALE_MS / 4;

/**
 * Node's modules, asked of the process: what is imported, even dynamically, bundlers for browsers try to find.
 *
 * @throws SearchError `invalid-option` where there is no Node to read and write the file
 */
function node(path: string) {
  // Some bundlers put a `process` of their own into pages; a Node that is too old has no SQLite.
  const known = typeof process === 'object' && typeof process.getBuiltinModule === 'function';
  const sqlite = known ? process.getBuiltinModule('node:sqlite') : undefined;
  if (!sqlite) {
    throw new SearchError(
      'invalid-option',
      `the study file ${path} needs Node 24 or newer (its node:sqlite), which this is not: leave \`study\` out, which keeps the study in memory, or pass a Study instead of a path`,
      { path },
    );
  }
  const fs = process.getBuiltinModule('node:fs');
  return { fs, paths: process.getBuiltinModule('node:path'), url: process.getBuiltinModule('node:url'), sqlite };
}

/** A path that means the same file in every folder. */
export const absolute = (path: string): string => node(path).paths.resolve(path);

/** How long a file that others write is waited for. */
const BUSY_MS = 10_000;
const SQLITE_BUSY = 5;

/** Runs a statement that SQLite gives up on at once, without its own waiting, while others open the file. */
function whenFree(action: () => void): void {
  const end = performance.now() + BUSY_MS;
  for (;;) {
    try {
      return action();
    } catch (error) {
      const { errcode } = error as { errcode?: number };
      if (errcode === undefined || (errcode & 0xff) !== SQLITE_BUSY || performance.now() > end) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function guard<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = (error as { errcode?: number }).errcode;
    if (code !== undefined && (code & 0xff) === SQLITE_BUSY) {
      throw new SearchError(
        'study-busy',
        `${path} has been locked for ${BUSY_MS / 1000} s by another process (${messageOf(error)}): let that one end its transaction, then try again`,
        { path },
        { cause: error },
      );
    }
    if (code !== undefined && DAMAGED.has(code & 0xff)) {
      throw new SearchError(
        'corrupt-study',
        `${path} is not a readable SQLite file (${messageOf(error)}): restore a copy or start a new study`,
        { path },
        {
          cause: error,
        },
      );
    }
    if (code !== undefined && CLOSED.has(code & 0xff)) {
      throw new SearchError(
        'study-unreadable',
        `cannot use ${path} as a study (${messageOf(error)}): give a file, in a folder, that this user may read and write`,
        { path },
        { cause: error },
      );
    }
    throw error;
  }
}

function parse<T>(path: string, text: SQLOutputValue | undefined, what: string): T {
  try {
    return JSON.parse(String(text)) as T;
  } catch (error) {
    throw new SearchError(
      'corrupt-study',
      `${path}: ${what} is not JSON (${messageOf(error)}): restore a copy or start a new study`,
      { path, what },
      {
        cause: error,
      },
    );
  }
}

function connect(path: string, create: boolean): DatabaseSync {
  // SQLite takes it for a temporary file, gone when it is closed.
  if (path === '') throw new SearchError('invalid-option', 'the path of the study is empty: give a file', { path });
  const { fs, paths, sqlite } = node(path);
  if (!create && !fs.existsSync(path)) {
    throw new SearchError(
      'study-missing',
      `no study file at ${path}: start one with \`instatune search --study ${path}\``,
      { path },
    );
  }
  const folder = paths.dirname(paths.resolve(path));
  if (!fs.existsSync(folder)) {
    throw new SearchError('study-missing', `no folder ${folder}: create it before the study`, { path });
  }
  const database = guard(path, () => new sqlite.DatabaseSync(path, { timeout: BUSY_MS }));
  try {
    guard(path, () => {
      whenFree(() => database.exec('PRAGMA journal_mode = WAL'));
      database.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
      migrate(database, path);
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** A file that may only be read: on a read-only medium, or of another user. */
function connectToRead(path: string): DatabaseSync {
  const { fs, url, sqlite } = node(path);
  try {
    return connect(path, false);
  } catch (error) {
    if (!(error instanceof SearchError) || error.code !== 'study-unreadable' || !fs.existsSync(path)) throw error;
    // SQLite would have to write beside the file to read what a killed process left there.
    if ((fs.statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) throw error;
    const address = url.pathToFileURL(path);
    address.search = 'immutable=1';
    let database: DatabaseSync | undefined;
    try {
      database = new sqlite.DatabaseSync(address, { readOnly: true });
      const version = schemaVersion(database, path);
      if (version === SCHEMA_VERSION) return database;
      throw new SearchError(
        'wrong-schema',
        `${path} has schema version ${version} and cannot be written: copy it to where it can be brought to version ${SCHEMA_VERSION}`,
        { path, version, supported: SCHEMA_VERSION },
      );
    } catch (second) {
      database?.close();
      throw second instanceof SearchError ? second : error;
    }
  }
}

const number = (value: SQLOutputValue | undefined) => Number(value);
const optional = <K extends string, V>(key: K, value: V | undefined) =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };

function headerOf(path: string, row: Row): StudyHeader {
  return {
    name: String(row['name']),
    uid: String(row['uid']),
    problem: String(row['problem']),
    space: parse(path, row['space'], 'the space'),
    objectives: parse(path, row['objectives'], 'the objectives'),
    fingerprint: String(row['fingerprint']),
    tactic: String(row['tactic']),
    settings: parse(path, row['settings'], 'the settings'),
    seed: number(row['seed']),
    createdAt: number(row['created_at']),
  };
}

function trialOf(path: string, row: Row): Trial {
  const text = (key: string) => (row[key] === null ? undefined : String(row[key]));
  const float = (key: string) => (row[key] === null ? undefined : number(row[key]));
  const n = number(row['number']);
  return {
    number: n,
    round: number(row['round']),
    origin: String(row['origin']),
    genes: parse(path, row['genes'], `the genes of trial ${n}`),
    key: String(row['key']),
    seed: number(row['seed']),
    // A trial that was running when its process died is simply to be done.
    status: row['status'] === 'running' ? 'pending' : (String(row['status']) as TrialStatus),
    attempts: number(row['attempts']),
    ...(row['trial_values'] === null
      ? {}
      : {
          values: decodeValues(parse<Record<string, unknown>>(path, row['trial_values'], `the values of trial ${n}`)),
        }),
    ...optional('error', text('error')),
    ...optional('host', text('host')),
    ...optional('worker', text('worker')),
    ...optional('startedAt', float('started_at')),
    ...optional('finishedAt', float('finished_at')),
    ...optional('durationMs', float('duration_ms')),
  };
}

function load(path: string, database: DatabaseSync, id: number): StudyContents {
  return guard(path, () => {
    const trials = database
      .prepare('SELECT * FROM trials WHERE study_id = ? ORDER BY number')
      .all(id)
      .map((row) => trialOf(path, row));
    trials.forEach((trial, index) => {
      if (trial.number !== index)
        throw new SearchError(
          'corrupt-study',
          `${path}: trial ${index} is missing: restore a copy or start a new study`,
          { path, index },
        );
    });
    const rounds = database
      .prepare('SELECT * FROM rounds WHERE study_id = ? ORDER BY round')
      .all(id)
      .map((row): RoundInfo => ({
        round: number(row['round']),
        info: parse(path, row['info'], `round ${number(row['round'])}`),
      }));
    const reports = database
      .prepare('SELECT * FROM reports WHERE study_id = ? ORDER BY split, number')
      .all(id)
      .map((row): TrialReport => ({
        number: number(row['number']),
        split: String(row['split']),
        values: decodeValues(parse(path, row['report_values'], `the report of trial ${number(row['number'])}`)),
        host: String(row['host']),
        durationMs: number(row['duration_ms']),
      }));
    const reference = database.prepare('SELECT reference FROM studies WHERE id = ?').get(id)?.['reference'];
    return {
      trials,
      rounds,
      reports,
      reference: reference === null ? undefined : parse(path, reference, 'the reference'),
    };
  });
}

/** All of it or nothing, once no other process writes. */
function transaction<T>(path: string, database: DatabaseSync, action: () => T): T {
  return guard(path, () => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  });
}

/** Claims a study for this process, in a transaction. */
function claim(path: string, database: DatabaseSync, id: number, owner: Owner): void {
  transaction(path, database, () => {
    const row = database.prepare('SELECT name, owner, owner_host, owner_seen_at FROM studies WHERE id = ?').get(id);
    if (row && typeof row['owner'] === 'string') {
      const holder = { id: row['owner'], host: String(row['owner_host']) };
      if (ownerAlive(holder, number(row['owner_seen_at']))) {
        const [pid] = holder.id.split(':');
        throw new SearchError(
          'study-busy',
          `study "${String(row['name'])}" in ${path} is being written by process ${pid} on ${holder.host}: stop it first, or use another study name`,
          {
            path,
            ...holder,
          },
        );
      }
    }
    database
      .prepare('UPDATE studies SET owner = ?, owner_host = ?, owner_seen_at = ? WHERE id = ?')
      .run(owner.id, owner.host, Date.now(), id);
  });
}

function journal(path: string, database: DatabaseSync, id: number): StudyJournal {
  const put = database.prepare(
    `INSERT INTO trials (study_id, number, round, origin, genes, key, seed, status, trial_values, error, attempts, host, worker, started_at, finished_at, duration_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (study_id, number) DO UPDATE SET status = excluded.status, trial_values = excluded.trial_values, error = excluded.error, attempts = excluded.attempts,
       host = excluded.host, worker = excluded.worker, started_at = excluded.started_at, finished_at = excluded.finished_at, duration_ms = excluded.duration_ms`,
  );
  const putRound = database.prepare('INSERT OR REPLACE INTO rounds (study_id, round, info) VALUES (?, ?, ?)');
  const putReport = database.prepare(
    'INSERT OR REPLACE INTO reports (study_id, number, split, report_values, host, duration_ms) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const seen = database.prepare('UPDATE studies SET owner_seen_at = ? WHERE id = ?');
  const write = (t: Trial) =>
    put.run(
      id,
      t.number,
      t.round,
      t.origin,
      JSON.stringify(t.genes),
      t.key,
      t.seed,
      t.status,
      t.values ? jsonOf(encodeValues(t.values), `the values of trial ${t.number}`) : null,
      t.error ?? null,
      t.attempts,
      t.host ?? null,
      t.worker ?? null,
      t.startedAt ?? null,
      t.finishedAt ?? null,
      t.durationMs ?? null,
    );
  const heartbeat = setInterval(() => {
    try {
      seen.run(Date.now(), id);
    } catch {
      // A locked or full file is said by the next change; thrown here, it would end the process.
    }
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    addTrials(trials, round) {
      transaction(path, database, () => {
        for (const trial of trials) write(trial);
        if (round) putRound.run(id, round.round, jsonOf(round.info, `what the tactic says of round ${round.round}`));
      });
    },
    updateTrial(trial) {
      guard(path, () => write(trial));
    },
    setReference(reference) {
      const put = database.prepare('UPDATE studies SET reference = ? WHERE id = ?');
      guard(path, () => put.run(JSON.stringify(reference), id));
    },
    setSettings(settings) {
      const put = database.prepare('UPDATE studies SET settings = ? WHERE id = ?');
      guard(path, () => put.run(jsonOf(settings, 'the settings'), id));
    },
    addReport({ number: trial, split, values, host, durationMs }) {
      const text = jsonOf(encodeValues(values), `the report of trial ${trial}`);
      guard(path, () => putReport.run(id, trial, split, text, host, durationMs));
    },
    close() {
      clearInterval(heartbeat);
      database.prepare('UPDATE studies SET owner = NULL, owner_host = NULL WHERE id = ?').run(id);
      database.close();
    },
  };
}

function find(database: DatabaseSync, path: string, name: string | undefined): Row | undefined {
  if (name !== undefined) return database.prepare('SELECT * FROM studies WHERE name = ?').get(name);
  const rows = database.prepare('SELECT * FROM studies ORDER BY id').all();
  if (rows.length > 1) {
    const names = rows.map((row) => String(row['name']));
    throw new SearchError('study-missing', `${path} holds ${rows.length} studies: name one of ${names.join(', ')}`, {
      path,
      names,
    });
  }
  return rows[0];
}

function missing(path: string, database: DatabaseSync, name: string | undefined): SearchError {
  const names = database
    .prepare('SELECT name FROM studies ORDER BY id')
    .all()
    .map((row) => String(row['name']));
  return new SearchError(
    'study-missing',
    `no study ${name === undefined ? '' : `"${name}" `}in ${path}: it holds ${names.length === 0 ? 'none' : names.join(', ')}`,
    {
      path,
      names,
    },
  );
}

/**
 * Creates a study in a file (the file too, if need be) and takes it for writing.
 *
 * @throws SearchError `study-exists`, `study-busy` (locked for 10 s), `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function createStudy(path: string, header: StudyHeader): Study {
  const database = connect(path, true);
  try {
    // Of two processes that create one at once, one is told that it exists.
    const { lastInsertRowid } = transaction(path, database, () => {
      if (database.prepare('SELECT 1 FROM studies WHERE name = ?').get(header.name)) {
        throw new SearchError(
          'study-exists',
          `study "${header.name}" is already in ${path}: resume it, or choose another name`,
          { path, name: header.name },
        );
      }
      const owner = thisOwner();
      return database
        .prepare(
          `INSERT INTO studies (name, uid, problem, space, objectives, fingerprint, tactic, settings, seed, created_at, owner, owner_host, owner_seen_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          header.name,
          header.uid,
          header.problem,
          JSON.stringify(header.space),
          JSON.stringify(header.objectives),
          header.fingerprint,
          header.tactic,
          jsonOf(header.settings, 'the settings'),
          header.seed,
          header.createdAt,
          owner.id,
          owner.host,
          Date.now(),
        );
    });
    return new Study(header, journal(path, database, Number(lastInsertRowid)));
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens a study for going on with it.
 *
 * @param name may be left out where the file holds one study
 * @throws SearchError `study-missing`, `study-busy` (another live process writes it), `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function openStudy(path: string, name?: string): Study {
  const database = connect(path, false);
  try {
    const row = find(database, path, name);
    if (!row) throw missing(path, database, name);
    const id = number(row['id']);
    claim(path, database, id, thisOwner());
    return new Study(headerOf(path, row), journal(path, database, id), load(path, database, id));
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Reads a study as it is now, even while another process writes it, or from a file that cannot be written. Changes to the result stay
 * in memory.
 *
 * @throws SearchError `study-missing`, `study-unreadable`, `corrupt-study`, `wrong-schema`
 */
export function readStudy(path: string, name?: string): Study {
  const database = connectToRead(path);
  try {
    const row = find(database, path, name);
    if (!row) throw missing(path, database, name);
    return new Study(headerOf(path, row), undefined, load(path, database, number(row['id'])));
  } finally {
    database.close();
  }
}

/** The studies of a file, oldest first. */
export function listStudies(
  path: string,
): readonly (StudyHeader & { readonly trials: number; readonly complete: number })[] {
  const database = connectToRead(path);
  try {
    const count = database.prepare(
      "SELECT count(*) AS trials, sum(status = 'complete') AS complete FROM trials WHERE study_id = ?",
    );
    return database
      .prepare('SELECT * FROM studies ORDER BY id')
      .all()
      .map((row) => {
        const counts = count.get(number(row['id']));
        return {
          ...headerOf(path, row),
          trials: number(counts?.['trials']),
          complete: number(counts?.['complete'] ?? 0),
        };
      });
  } finally {
    database.close();
  }
}
