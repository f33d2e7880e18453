// Two writers, full disks, damaged rows, trials that end the process: a study's rows are right or refused.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SearchError } from '../../src/errors.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { Heartbeat } from '../../src/study/heartbeat.ts';
import { OWNER_STALE_MS, ownerAlive, thisOwner } from '../../src/study/owner.ts';
import { createStudy, openStudy, readStudy } from '../../src/study/sqlite.ts';
import type { StudyHeader } from '../../src/study/header.ts';
import type { Study } from '../../src/study/study.ts';
import { createProblem } from '../fixtures/knobs.ts';

const folder = mkdtempSync(join(tmpdir(), 'fence-'));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);
const header: StudyHeader = {
  name: 'default',
  uid: 'uid',
  problem: 'p',
  space: [{ type: 'integer', lower: 0, upper: 99_999 }],
  objectives: [{ name: 'loss', direction: 'minimize', kind: 'measured' }],
  fingerprint: 'f',
  tactic: 'random',
  settings: { evaluations: 3 },
  seed: 1,
  createdAt: 1,
};
/** Each candidate's value is its gene: a row that holds another's values is seen. */
const candidate = (gene: number) => ({ genes: [gene], key: String(gene), origin: 'random', seed: gene });
const outcome = (gene: number) => ({
  values: { loss: gene },
  host: 'h',
  worker: 'w',
  startedAt: 1,
  durationMs: 1,
  attempts: 1,
});

const thrown = (action: () => void): unknown => {
  try {
    action();
    return undefined;
  } catch (error) {
    return error;
  }
};
const codeOf = (error: unknown) => (error instanceof SearchError ? error.code : 'untyped');

/** Makes the file forget its writer's life, as a host that went to sleep does. */
function orphan(path: string): void {
  const database = new DatabaseSync(path);
  database.prepare("UPDATE studies SET owner = '1:1', owner_host = 'elsewhere', owner_seen_at = 0").run();
  database.close();
}

/** Opens it then: once more where the writer gave a sign of life in between. */
function takeOver(path: string): Study {
  for (let tries = 0; ; tries++) {
    orphan(path);
    try {
      return openStudy(path);
    } catch (error) {
      if (codeOf(error) !== 'study-busy' || tries === 200) throw error;
    }
  }
}

describe('two writers of one study', () => {
  it('never leave a row with another’s values, however they take turns', () => {
    const turn = fc.record({
      who: fc.constantFrom(0, 1),
      what: fc.constantFrom('propose', 'start', 'complete', 'fail', 'release', 'take', 'close') as fc.Arbitrary<
        'propose' | 'start' | 'complete' | 'fail' | 'release' | 'take' | 'close'
      >,
    });
    fc.assert(
      fc.property(fc.array(turn, { minLength: 4, maxLength: 24 }), (turns) => {
        const path = newPath();
        const writers: (Study | undefined)[] = [createStudy(path, header), undefined];
        const begun: (number | undefined)[] = [undefined, undefined];
        let gene = 0;
        const rows = () => readStudy(path).trials;
        for (const { who, what } of turns) {
          if (what === 'take') {
            writers[who] = takeOver(path);
            begun[who] = undefined;
            continue;
          }
          const study = writers[who];
          if (!study) continue;
          const before = rows();
          const error = thrown(() => {
            const waiting = study.trials.find(({ status }) => status === 'pending')?.number;
            if (what === 'propose') study.propose(study.rounds.length, [candidate(who * 50_000 + gene++)], {});
            else if (what === 'close') {
              study.close();
              writers[who] = undefined;
            } else if (what === 'start' && waiting !== undefined) study.start((begun[who] = waiting), 1);
            else if (begun[who] !== undefined) {
              const number = begun[who];
              if (what === 'complete') study.complete(number, outcome(study.trials[number]!.genes[0]!));
              if (what === 'fail') study.fail(number, 'no', 1);
              if (what === 'release') study.release(number);
              if (what !== 'start') begun[who] = undefined;
            }
          });
          if (error !== undefined) writers[who] = undefined;
          // Only who was taken over is refused, and then nothing changed.
          const isRight = error === undefined || (codeOf(error) === 'study-taken' && isDeepStrictEqual(rows(), before));
          expect(isRight, String(error)).toBe(true);
        }
        for (const { values, genes, key } of rows()) {
          expect(values?.['loss'] ?? genes[0]).toBe(genes[0]);
          expect(key).toBe(String(genes[0]));
        }
        for (const study of writers) study?.close();
      }),
      { numRuns: 40 },
    );
  });

  it('the one that was taken over stops at its next write, and takes nothing from the other by closing', () => {
    const path = newPath();
    const first = createStudy(path, header);
    first.propose(0, [candidate(1)]);
    const second = takeOver(path);
    expect(() => first.start(0, 1)).toThrow(expect.objectContaining({ code: 'study-taken' }));
    first.close();
    second.start(0, 1);
    second.complete(0, outcome(1));
    second.close();
    expect(readStudy(path).trials[0]).toMatchObject({ status: 'complete', values: { loss: 1 } });
  });

  // Where no such space can be made, it is not tested.
  (process.platform === 'linux' && spawnSync('unshare', ['-p', '-f', 'true']).status === 0 ? it : () => {})(
    'a process in another space of process ids is refused while this one gives signs of life',
    () => {
      const path = newPath();
      const study = createStudy(path, header);
      const script = `const { openStudy } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/study/sqlite.ts'))});
        try { openStudy(${JSON.stringify(path)}); console.log('opened'); } catch (error) { console.log(error.code); }`;
      const said = execFileSync('unshare', [
        '-p',
        '-f',
        '--mount-proc',
        process.execPath,
        '--input-type=module',
        '-e',
        script,
      ]);
      if (String(said).trim() !== 'study-busy') throw new Error(`it was ${String(said)}, not refused as busy`);
      study.close();
    },
  );
});

describe('a writer', () => {
  it('gives signs of life while a measurement holds its thread', async () => {
    const path = newPath();
    const study = createStudy(path, header);
    const seen = () => {
      const database = new DatabaseSync(path);
      const row = database.prepare('SELECT id, fence, owner_seen_at AS at FROM studies').get();
      database.close();
      return row as { id: number; fence: number; at: number };
    };
    const { id, fence, at } = seen();
    const beating = new Heartbeat(50);
    beating.add({ path, id, fence });
    const end = performance.now() + 200_000;
    // This thread is busy: nothing of its own could run.
    while (performance.now() < end && seen().at === at)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    expect(seen().at).toBeGreaterThan(at);
    // Whoever was taken over gives no more of them.
    const other = takeOver(path);
    const taken = seen().at;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    expect(seen().at).toBe(taken);
    await beating.end();
    other.close();
    study.close();
  });

  it('that was closed owns nothing, even where the file could not be told', () => {
    const owner = thisOwner();
    expect(ownerAlive(owner, 0)).toBe(true);
    const [pid, started, , where] = owner.id.split(':');
    expect(ownerAlive({ ...owner, id: `${pid}:${started}:none:${where}` }, Date.now())).toBe(false);
    // Of another boot or container: by its signs of life.
    const elsewhere = { ...owner, id: `${pid}:${started}:1:other/1` };
    expect([ownerAlive(elsewhere, Date.now()), ownerAlive(elsewhere, Date.now() - OWNER_STALE_MS)]).toEqual([
      true,
      false,
    ]);
  });
});

const SMALL = join(folder, 'small');
const canMount =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('sh', ['-c', `mkdir -p ${SMALL} && mount -t tmpfs -o size=3m tmpfs ${SMALL}`]).status === 0;

// Where it cannot be made, it is not tested; the errors' codes are in the file's other tests.
(canMount ? describe : () => {})('a full disk', () => {
  it('is said with what to do, and the search goes on in the same process', async () => {
    const path = join(SMALL, 's.db');
    const { bavail, bsize } = statfsSync(SMALL);
    writeFileSync(join(SMALL, 'fill'), Buffer.alloc(bavail * bsize - 120 * 1024));
    const options = { evaluations: 60, population: 12, seed: 3, tactic: 'random', study: path } as const;
    const error: unknown = await runSearch(createProblem(), options).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'SearchError', code: 'study-unwritable' });
    expect((error as SearchError).message).toMatch(/free space on its disk, then resume/);
    const kept = readStudy(path).trials.filter(({ status }) => status === 'complete').length;
    rmSync(join(SMALL, 'fill'));
    const { trials } = await resume(createProblem(), { study: path });
    expect(trials.length).toBe(60);
    expect(trials.filter(({ status }) => status === 'complete').length).toBeGreaterThanOrEqual(kept);
    const { trials: whole } = await runSearch(createProblem(), { ...options, study: undefined });
    expect(trials.map(({ values }) => values)).toEqual(whole.map(({ values }) => values));
    execFileSync('umount', [SMALL]);
  });
});

describe('a damaged file', () => {
  it('is corrupt-study or reads as it was, whatever a cell holds', async () => {
    const path = newPath();
    const problem = createProblem();
    await runSearch(problem, { tactic: 'random', evaluations: 6, population: 3, study: path });
    const cells = [
      ...['space', 'objectives', 'settings', 'seed', 'reference', 'problem'].map((column) => ['studies', column]),
      ...['genes', 'key', 'status', 'trial_values', 'attempts', 'seed', 'round', 'number'].map((column) => [
        'trials',
        column,
      ]),
      ['rounds', 'info'],
    ];
    const value = fc.oneof(
      fc.constantFrom(
        '',
        'null',
        '[]',
        '{}',
        '[1]',
        '[[]]',
        '{"a":1}',
        '"x"',
        'complete',
        '[{"type":"integer"}]',
        '[null]',
      ),
      fc.integer(),
      fc.string(),
      fc.json({ maxDepth: 2 }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...cells), value, ([table, column], changed) => {
        const copy = newPath();
        copyFileSync(path, copy);
        const database = new DatabaseSync(copy);
        try {
          database.exec('PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF');
          const row = table === 'trials' ? ' WHERE number = 2' : '';
          database.prepare(`UPDATE ${table} SET ${column} = ?${row}`).run(changed);
        } catch {
          return; // SQLite's own types refuse it
        } finally {
          database.close();
        }
        const error = thrown(() => {
          const { trials, header: read } = readStudy(copy);
          const isRight = trials.every(({ genes }) => genes.every((gene) => Number.isFinite(gene)));
          if (!isRight || !Array.isArray(read.space)) throw new Error('it was read');
        });
        expect(error === undefined || codeOf(error) === 'corrupt-study', String(error)).toBe(true);
        expect(String(error).length).toBeLessThan(600);
      }),
      { numRuns: 150 },
    );
  });
});

describe('a trial that ends the process', () => {
  it('fails after its retries, and the search ends as one in which it failed', async () => {
    const path = newPath();
    const script = join(folder, 'killing.ts');
    const source = (file: string) => JSON.stringify(join(import.meta.dirname, '../../src', file));
    writeFileSync(
      script,
      `import { runSearch, resume } from ${source('run/run-search.ts')};
      import { createProblem } from ${JSON.stringify(join(import.meta.dirname, '../fixtures/knobs.ts'))};
      const problem = createProblem({ on: 3, how: 'kill' });
      const study = ${JSON.stringify(path)};
      if (process.argv[2] === 'start') await runSearch(problem, { tactic: 'random', evaluations: 12, population: 6, seed: 5, study, retries: 1 });
      else await resume(problem, { study, retries: 1 });`,
    );
    let runs = 0;
    for (let how = 'start'; runs < 30; how = 'resume', runs++) {
      const child = spawn(process.execPath, [script, how], { stdio: ['ignore', 'ignore', 'inherit'] });
      const code = await new Promise<number | null>((settle) => child.once('exit', settle));
      if (code === 0) break;
      expect(code).toBeNull();
    }
    const { trials } = readStudy(path);
    expect(trials).toHaveLength(12);
    for (const { genes, status, attempts, error } of trials) {
      expect(status).toBe(genes[0] === 3 ? 'failed' : 'complete');
      if (status !== 'failed') continue;
      expect(attempts).toBe(2);
      expect(error).toMatch(/this process ended each time it was measured \(2 attempts\)/);
    }
    expect(trials.some(({ status }) => status === 'failed')).toBe(true);
    expect(runs).toBeGreaterThan(1);
  });
});
