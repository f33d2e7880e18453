// SQLite's write-ahead log beside a study, without a browser: applied as SQLite applies it, refused where it is of something else.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { droppedStudy } from '../../src/studies/dropped.ts';
import { applyLog, usesLog, withoutLog } from '../../src/studies/write-ahead-log.ts';
import { studyFiles, type StudyFiles } from './files.ts';

let files: StudyFiles;
beforeAll(async () => {
  files = await studyFiles();
});
afterAll(() => files?.[Symbol.dispose]());

describe('a write-ahead log', () => {
  const read = (bytes: Uint8Array): unknown[] => {
    const file = join(files.folder, 'applied.db');
    rmSync(file, { force: true });
    writeFileSync(file, bytes);
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      expect(database.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
      return database.prepare('SELECT * FROM t ORDER BY id').all();
    } finally {
      database.close();
    }
  };

  it('gives what SQLite itself reads, after any transactions, checkpoints and a torn end', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ rows: fc.integer({ min: 1, max: 60 }), from: fc.nat(200) }) },
      { weight: 2, arbitrary: fc.constantFrom('PASSIVE', 'RESTART', 'TRUNCATE') },
      { weight: 1, arbitrary: fc.constantFrom('shrink', 'rolled back') },
    );
    const sizes = fc.constantFrom(512, 4096, 65_536);
    let run = 0;
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 12 }),
        sizes,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (steps, size, torn) => {
          const file = join(files.folder, `log-${run++}.db`);
          const database = new DatabaseSync(file);
          database.exec(`PRAGMA page_size = ${size}; PRAGMA journal_mode = WAL; PRAGMA auto_vacuum = FULL`);
          database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)');
          for (const each of steps) {
            if (typeof each === 'object') {
              database.exec('BEGIN');
              for (let i = 0; i < each.rows; i++)
                database.exec(`INSERT OR REPLACE INTO t VALUES (${each.from + i}, '${'x'.repeat(7 * i)}')`);
              database.exec('COMMIT');
            } else if (each === 'shrink') database.exec('DELETE FROM t WHERE id > 20');
            else if (each === 'rolled back')
              database.exec("BEGIN; INSERT OR REPLACE INTO t VALUES (1, 'no'); ROLLBACK");
            else database.exec(`PRAGMA wal_checkpoint(${each})`);
          }
          const expected = database.prepare('SELECT * FROM t ORDER BY id').all();
          const [main, log] = [file, `${file}-wal`].map((name) => new Uint8Array(readFileSync(name)));
          const all = applyLog(main!.slice(), log!, 'a-wal');
          // Torn: the whole transactions before are what SQLite recovers too.
          const part = log!.slice(0, Math.floor(torn * log!.length));
          const tornFile = `${file}.torn`;
          writeFileSync(tornFile, main!);
          writeFileSync(`${tornFile}-wal`, part);
          database.close();
          expect(read(withoutLog(all))).toEqual(expected);
          if (part.length < 32) return;
          const recovered = new DatabaseSync(tornFile);
          const rows = recovered.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 't'").get() as {
            n: number;
          };
          const wanted = rows.n === 0 ? undefined : recovered.prepare('SELECT * FROM t ORDER BY id').all();
          recovered.close();
          expect(wanted && read(withoutLog(applyLog(main!.slice(), part, 'a-wal')))).toEqual(wanted);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('of something else is refused, and an empty one changes nothing', () => {
    const database = new Uint8Array(readFileSync(files.path));
    expect(usesLog(database)).toBe(true);
    expect(applyLog(database, new Uint8Array(), 'a-wal')).toBe(database);
    for (const log of [new Uint8Array(100), new TextEncoder().encode('no log at all, but a text of some length')])
      expect(() => applyLog(database, log, 'a-wal')).toThrow(expect.objectContaining({ code: 'corrupt-log' }));
    const other = new Uint8Array(readFileSync(join(files.folder, 'live.db-wal')));
    new DataView(other.buffer).setUint32(8, 512);
    expect(() => applyLog(database, other, 'a-wal')).toThrow(expect.objectContaining({ code: 'corrupt-log' }));
  });

  it('is found among what was dropped', () => {
    const file = (name: string): File => new File([], name);
    const [db, wal, shm] = ['a.db', 'a.db-wal', 'a.db-shm'].map(file) as [File, File, File];
    expect(droppedStudy([shm, wal, db])).toEqual({ file: db, log: wal });
    expect(droppedStudy([db])).toEqual({ file: db, log: undefined });
    for (const [some, code] of [
      [[wal, shm], 'no-study'],
      [[db, file('b.db')], 'several-studies'],
      [[db, file('b.db-wal')], 'other-log'],
    ] as const)
      expect(() => droppedStudy(some)).toThrow(expect.objectContaining({ code }));
  });
});
