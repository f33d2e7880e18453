import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createStudy, listStudies, openStudy, readStudy } from '../../src/study/sqlite.ts';
import { APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION } from '../../src/study/schema.ts';
import type { StudyHeader } from '../../src/study/header.ts';
import type { TrialOutcome } from '../../src/study/trial.ts';

const folder = mkdtempSync(join(tmpdir(), 'study-'));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);

const header = (name = 'default'): StudyHeader => ({
  name,
  uid: `uid-${name}`,
  problem: 'p',
  space: [{ type: 'integer', lower: 0, upper: 999 }],
  objectives: [{ name: 'loss', direction: 'minimize', kind: 'measured' }],
  fingerprint: 'f00',
  tactic: 'random',
  settings: { evaluations: 3 },
  seed: 12,
  createdAt: 1700,
});
const candidate = (gene: number) => ({ genes: [gene], key: String(gene), origin: 'random', seed: gene + 1 });
const outcome = (values: Record<string, number>): TrialOutcome => ({
  values,
  host: 'h',
  worker: 'w',
  startedAt: 5000.5,
  durationMs: 12.25,
  attempts: 1,
});

describe('a study file', () => {
  it('refuses a number of no trial, changing nothing', () => {
    const study = createStudy(newPath(), header());
    study.propose(0, [candidate(1)]);
    for (const act of [() => study.start(1, 0), () => study.complete(7, outcome({ loss: 1 })), () => study.release(-1)])
      expect(act).toThrow(expect.objectContaining({ name: 'SearchError', code: 'invalid-option' }));
    expect(study.trials.map(({ status }) => status)).toEqual(['pending']);
    study.close();
  });

  it('gives back everything that was put in', () => {
    const path = newPath();
    const study = createStudy(path, header());
    study.propose(0, [candidate(1), candidate(2), candidate(3)], { predictor: 'none' });
    study.start(0, 4000);
    study.complete(0, outcome({ loss: 0.1 + 0.2, macs: 1e300 }));
    study.start(1, 4001);
    study.fail(1, 'it broke', 2, { host: 'h2', worker: 'w2' });
    study.setReference([1.5]);
    study.setSettings({ evaluations: 9 });
    study.addReport({ number: 0, split: 'test', values: { loss: 0.4 }, host: 'h', durationMs: 3 });
    const { trials, rounds, reports, reference } = study;
    study.close();
    const again = openStudy(path);
    expect(again.header).toEqual({ ...header(), settings: { evaluations: 9 } });
    expect(again.trials).toEqual(trials);
    expect(again.rounds).toEqual(rounds);
    expect(again.reports).toEqual(reports);
    expect(again.reference).toEqual(reference);
    expect(again.trials[0]!.values!['loss']).toBe(0.1 + 0.2);
    again.close();
  });

  it('keeps any double exactly', () => {
    const path = newPath();
    const study = createStudy(path, header());
    let round = 0;
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const [trial] = study.propose(round++, [candidate(round)]);
        study.complete(trial!.number, outcome({ loss: value }));
        expect(readStudy(path).trials[trial!.number]!.values!['loss']).toBe(value === 0 ? 0 : value);
      }),
      { numRuns: 40 },
    );
    study.close();
  });

  it('returns a trial that was running to pending', () => {
    const path = newPath();
    const study = createStudy(path, header());
    study.propose(0, [candidate(1)]);
    study.start(0, 1);
    study.close();
    expect(readStudy(path).trials[0]!.status).toBe('pending');
  });

  it('refuses an equal candidate, and records none of its round', () => {
    const study = createStudy(newPath(), header());
    study.propose(0, [candidate(1)]);
    expect(() => study.propose(1, [candidate(2), candidate(1)])).toThrow(
      expect.objectContaining({ code: 'invalid-genes' }),
    );
    expect(study.trials).toHaveLength(1);
    study.close();
  });

  it('holds several studies', () => {
    const path = newPath();
    for (const name of ['a', 'b']) {
      const study = createStudy(path, header(name));
      study.propose(0, [candidate(name === 'a' ? 1 : 2)]);
      if (name === 'b') study.complete(0, outcome({ loss: 1 }));
      study.close();
    }
    expect(listStudies(path).map(({ name, trials, complete }) => [name, trials, complete])).toEqual([
      ['a', 1, 0],
      ['b', 1, 1],
    ]);
    expect(readStudy(path, 'a').trials[0]!.genes).toEqual([1]);
    expect(() => readStudy(path)).toThrow(
      expect.objectContaining({ code: 'study-missing', message: expect.stringContaining('a, b') as string }),
    );
    expect(() => readStudy(path, 'c')).toThrow(expect.objectContaining({ code: 'study-missing' }));
    expect(() => createStudy(path, header('a'))).toThrow(expect.objectContaining({ code: 'study-exists' }));
  });

  it('has one writer at a time; readers may look', () => {
    const path = newPath();
    const study = createStudy(path, header());
    expect(() => openStudy(path)).toThrow(
      expect.objectContaining({ code: 'study-busy', message: expect.stringContaining(String(process.pid)) as string }),
    );
    expect(readStudy(path).trials).toEqual([]);
    study.close();
    openStudy(path).close();
  });

  it('of processes that create it at once, one does, and the others are told', async () => {
    const path = newPath();
    const code = `import { createStudy } from ${JSON.stringify(new URL('../../src/study/sqlite.ts', import.meta.url).href)};
      const start = ${Date.now() + 1200};
      while (Date.now() < start);
      try { createStudy(${JSON.stringify(path)}, ${JSON.stringify(header())}); console.log('created'); }
      catch (error) { console.log(error.code); }
      setTimeout(() => process.exit(), 300);`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', code]);
    const said = (await Promise.all(Array.from({ length: 6 }, run))).map(({ stdout }) => stdout.trim());
    expect(said.toSorted()).toEqual(['created', ...Array.from({ length: 5 }, () => 'study-exists')]);
  });

  it('a sign of life that cannot be written does not end the process', () => {
    vi.useFakeTimers();
    try {
      const path = newPath();
      const study = createStudy(path, header());
      const other = new DatabaseSync(path);
      other.exec('ALTER TABLE studies RENAME TO gone');
      expect(() => vi.advanceTimersByTime(60_000)).not.toThrow();
      other.exec('ALTER TABLE gone RENAME TO studies');
      other.close();
      study.close();
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes over from a writer that is gone', () => {
    const path = newPath();
    createStudy(path, header()).close();
    const database = new DatabaseSync(path);
    // Same process id, another start time: a process that died and whose number was given again.
    database
      .prepare('UPDATE studies SET owner = ?, owner_host = (SELECT ?), owner_seen_at = ?')
      .run(`${process.pid}:1`, readHost(), Date.now());
    database.close();
    const study = openStudy(path);
    expect(study.trials).toEqual([]);
    study.close();
  });
});

function readHost(): string {
  const path = newPath();
  const study = createStudy(path, header());
  const database = new DatabaseSync(path);
  const host = String(database.prepare('SELECT owner_host FROM studies').get()!['owner_host']);
  database.close();
  study.close();
  return host;
}

/** Reads a study, lists it, and tries to open it, as a user who may write neither the file nor its folder. */
async function asNobody(path: string, module: string) {
  const script = `
    const { listStudies, openStudy, readStudy } = await import(${JSON.stringify(pathToFileURL(module).href)});
    // Root may write everywhere.
    if (process.getuid?.() === 0) { process.setgid(65534); process.setuid(65534); }
    const codeOf = (action) => { try { action().close(); return 'none'; } catch (error) { return error.code; } };
    try {
      const [trial, ...more] = readStudy(${JSON.stringify(path)}).trials;
      const listed = listStudies(${JSON.stringify(path)}).length;
      const open = codeOf(() => openStudy(${JSON.stringify(path)}));
      console.log(JSON.stringify({ trials: 1 + more.length, loss: trial.values.loss, listed, open }));
    } catch (error) { console.error(error.code); process.exit(1); }`;
  chmodSync(folder, 0o555);
  chmodSync(path, 0o444);
  try {
    return await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  } finally {
    chmodSync(folder, 0o755);
  }
}

describe('files that are not good studies', () => {
  it('missing file and missing folder', () => {
    expect(() => openStudy(newPath())).toThrow(expect.objectContaining({ code: 'study-missing' }));
    expect(() => createStudy(join(folder, 'no/such/x.db'), header())).toThrow(
      expect.objectContaining({ code: 'study-missing' }),
    );
  });

  it('no path at all', () => {
    for (const use of [() => createStudy('', header()), () => openStudy(''), () => readStudy('')])
      expect(use).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });
  it('a folder', () => {
    expect(() => createStudy(folder, header())).toThrow(
      expect.objectContaining({ code: 'study-unreadable', message: expect.stringContaining(folder) as string }),
    );
  });
  it('of another user: read, listed, not opened', async () => {
    const path = newPath();
    const study = createStudy(path, header());
    study.propose(0, [candidate(3)]);
    study.complete(0, outcome({ loss: 0.5 }));
    study.close();
    const module = join(import.meta.dirname, '../../src/study/sqlite.ts');
    const { stdout } = await asNobody(path, module);
    expect(JSON.parse(stdout)).toEqual({ trials: 1, loss: 0.5, listed: 1, open: 'study-unreadable' });
    // What a killed process left beside the file can be read only where SQLite may write.
    writeFileSync(`${path}-wal`, 'left');
    await expect(asNobody(path, module)).rejects.toThrow('study-unreadable');
  });

  it('locked for long by another process', () => {
    const path = newPath();
    const study = createStudy(path, header());
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    try {
      expect(() => study.propose(0, [candidate(3)])).toThrow(
        expect.objectContaining({ code: 'study-busy', message: expect.stringContaining('locked for 10 s') as string }),
      );
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
    study.propose(0, [candidate(3)]);
    study.close();
    expect(readStudy(path).trials).toHaveLength(1);
  });

  it('not SQLite', () => {
    const path = newPath();
    writeFileSync(path, 'this is a text file, long enough to have a header in it. '.repeat(40));
    expect(() => openStudy(path)).toThrow(
      expect.objectContaining({ code: 'corrupt-study', message: expect.stringContaining(path) as string }),
    );
    expect(readFileSync(path, 'utf8')).toContain('text file');
  });

  it('cut in half', () => {
    const path = newPath();
    const study = createStudy(path, header());
    study.propose(
      0,
      Array.from({ length: 400 }, (_, n) => candidate(n)),
    );
    study.close();
    const { length } = readFileSync(path);
    truncateSync(path, Math.floor(length / 2 / 4096) * 4096);
    expect(() => readStudy(path)).toThrow(expect.objectContaining({ code: 'corrupt-study' }));
  });

  it('broken JSON inside', () => {
    const path = newPath();
    const study = createStudy(path, header());
    study.propose(0, [candidate(1)]);
    study.close();
    const database = new DatabaseSync(path);
    database.exec(`UPDATE trials SET genes = '[1,'`);
    database.close();
    expect(() => readStudy(path)).toThrow(
      expect.objectContaining({
        code: 'corrupt-study',
        message: expect.stringContaining('genes of trial 0') as string,
      }),
    );
  });

  it("another program's SQLite file is left alone", () => {
    const path = newPath();
    const database = new DatabaseSync(path);
    database.exec('CREATE TABLE bookmarks (url TEXT)');
    database.close();
    expect(() => createStudy(path, header())).toThrow(expect.objectContaining({ code: 'wrong-schema' }));
    const after = new DatabaseSync(path);
    expect(after.prepare('SELECT count(*) AS n FROM sqlite_schema').get()!['n']).toBe(1);
    after.close();
  });

  it('a newer schema', () => {
    const path = newPath();
    createStudy(path, header()).close();
    const database = new DatabaseSync(path);
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    database.close();
    expect(() => openStudy(path)).toThrow(
      expect.objectContaining({ code: 'wrong-schema', message: expect.stringContaining('upgrade') as string }),
    );
  });
});

describe('migration', () => {
  it('brings a version 1 file to the newest version with its trials', () => {
    const path = newPath();
    const database = new DatabaseSync(path);
    database.exec(`${MIGRATIONS[0]!}; PRAGMA user_version = 1; PRAGMA application_id = ${APPLICATION_ID}`);
    const h = header('old');
    database
      .prepare(
        `INSERT INTO studies (id, name, uid, problem, space, objectives, fingerprint, tactic, settings, seed, created_at) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        h.name,
        h.uid,
        h.problem,
        JSON.stringify(h.space),
        JSON.stringify(h.objectives),
        h.fingerprint,
        h.tactic,
        JSON.stringify(h.settings),
        h.seed,
        h.createdAt,
      );
    database.exec(
      `INSERT INTO trials (study_id, number, round, origin, genes, key, seed, status, trial_values, attempts) VALUES (1, 0, 0, 'random', '[4]', '4', 9, 'complete', '{"loss":0.5}', 1)`,
    );
    database.close();
    const study = openStudy(path);
    expect(study.header).toEqual(h);
    expect(study.trials).toMatchObject([{ genes: [4], status: 'complete', values: { loss: 0.5 } }]);
    study.addReport({ number: 0, split: 'test', values: { loss: 1 }, host: 'h', durationMs: 1 });
    study.close();
    expect(readStudy(path).reports).toHaveLength(1);
    const after = new DatabaseSync(path);
    expect(after.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION });
    after.close();
  });
});
