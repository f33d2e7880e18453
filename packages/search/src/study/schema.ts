// The study file's tables, one migration per schema version. Versions only ever grow; a migration never changes once released.

/** "inst" in ASCII: tells a study file from any other SQLite file. */
export const APPLICATION_ID = 0x69_6e_73_74;

/** `MIGRATIONS[i]` turns version i into version i + 1. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE studies (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     uid TEXT NOT NULL,
     problem TEXT NOT NULL,
     space TEXT NOT NULL,
     objectives TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     tactic TEXT NOT NULL,
     settings TEXT NOT NULL,
     seed INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     reference TEXT,
     owner TEXT,
     owner_host TEXT,
     owner_seen_at INTEGER
   ) STRICT;
   CREATE TABLE trials (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     round INTEGER NOT NULL,
     origin TEXT NOT NULL,
     genes TEXT NOT NULL,
     key TEXT NOT NULL,
     seed INTEGER NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'complete', 'failed')),
     trial_values TEXT,
     error TEXT,
     attempts INTEGER NOT NULL,
     host TEXT,
     worker TEXT,
     started_at REAL,
     finished_at REAL,
     duration_ms REAL,
     PRIMARY KEY (study_id, number),
     UNIQUE (study_id, key)
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE rounds (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     round INTEGER NOT NULL,
     info TEXT NOT NULL,
     PRIMARY KEY (study_id, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE reports (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     split TEXT NOT NULL,
     report_values TEXT NOT NULL,
     host TEXT NOT NULL,
     duration_ms REAL NOT NULL,
     PRIMARY KEY (study_id, number, split)
   ) STRICT, WITHOUT ROWID;`,
  // A number that each opening for writing raises: who holds an older one has lost the study, and may write nothing more.
  `ALTER TABLE studies ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;`,
  // Trials that several processes take from one study: a lease with its number, whose it is and how long it holds; what changed since when.
  // Trials stopped early, with what they reported on the way. A table's CHECK cannot be changed, so it is written anew.
  `CREATE TABLE trials_4 (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     round INTEGER NOT NULL,
     origin TEXT NOT NULL,
     genes TEXT NOT NULL,
     key TEXT NOT NULL,
     seed INTEGER NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'complete', 'failed', 'stopped')),
     trial_values TEXT,
     error TEXT,
     attempts INTEGER NOT NULL,
     host TEXT,
     worker TEXT,
     started_at REAL,
     finished_at REAL,
     duration_ms REAL,
     details TEXT,
     lease INTEGER NOT NULL DEFAULT 0,
     lease_owner TEXT,
     lease_host TEXT,
     lease_until REAL,
     revision INTEGER NOT NULL DEFAULT 0,
     PRIMARY KEY (study_id, number),
     UNIQUE (study_id, key)
   ) STRICT, WITHOUT ROWID;
   INSERT INTO trials_4 (study_id, number, round, origin, genes, key, seed, status, trial_values, error, attempts, host, worker, started_at, finished_at, duration_ms)
     SELECT study_id, number, round, origin, genes, key, seed, status, trial_values, error, attempts, host, worker, started_at, finished_at, duration_ms FROM trials;
   DROP TABLE trials;
   ALTER TABLE trials_4 RENAME TO trials;
   CREATE INDEX trials_by_revision ON trials (study_id, revision);
   ALTER TABLE studies ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
   CREATE TABLE intermediate (
     study_id INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     step REAL NOT NULL,
     intermediate_values TEXT NOT NULL,
     PRIMARY KEY (study_id, number, step)
   ) STRICT, WITHOUT ROWID;`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;
