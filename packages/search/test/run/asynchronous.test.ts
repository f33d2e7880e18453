// Asynchronous proposals: no lane waits for another, one study for several processes, and never two results of a trial.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../../src/evaluate/in-process.ts';
import type { SearchProblem } from '../../src/problem.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { openStudy, readStudy } from '../../src/study/sqlite.ts';
import type { TacticName } from '../../src/tactics/create.ts';
import { createProblem, loss } from '../fixtures/knobs.ts';

const folder = mkdtempSync(join(tmpdir(), 'asynchronous-'));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);
const asynchronous = { proposals: 'asynchronous', population: 10 } as const;
const small = (tactic: TacticName) =>
  tactic === 'linas' || tactic === 'successive' ? { name: tactic, innerEvaluations: 600 } : tactic;
const keys = (trials: readonly { readonly key: string }[]) => trials.map(({ key }) => key);

/** A study that children can join. */
async function begun(path: string, evaluations: number): Promise<void> {
  const abort = new AbortController();
  await runSearch(createProblem(), {
    ...asynchronous,
    tactic: small('nsga2'),
    evaluations,
    seed: 3,
    study: path,
    signal: abort.signal,
    onProgress: ({ evaluations: done }) => done >= 2 && abort.abort(),
  }).catch(() => {});
}

interface Child {
  readonly process: ChildProcess;
  readonly log: string;
  readonly ended: Promise<number | null>;
  said(): string;
}

function child(path: string, { concurrency = 2, leaseMs = 60_000, delay = 20 } = {}): Child {
  const log = `${path}.${files++}.log`;
  const file = join(import.meta.dirname, '../fixtures/shared-child.ts');
  const one = spawn(process.execPath, [file, path, log, String(concurrency), String(leaseMs), String(delay)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  one.stdout.on('data', (data: Buffer) => (text += data.toString()));
  return { process: one, log, ended: new Promise((settle) => one.on('close', settle)), said: () => text };
}

const begins = (log: string): number => {
  try {
    return readFileSync(log, 'utf8').trim().split('\n').length;
  } catch {
    return 0;
  }
};

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !condition(); await sleep(10))
    if (performance.now() > end) throw new Error('waited for a minute');
}

/** Suspends a process where it does not hold the file: what does would keep every other from writing. */
async function suspend(one: Child, path: string): Promise<void> {
  for (;;) {
    one.process.kill('SIGSTOP');
    const database = new DatabaseSync(path, { timeout: 500 });
    try {
      database.exec('BEGIN IMMEDIATE; ROLLBACK');
      return;
    } catch {
      one.process.kill('SIGCONT');
      await sleep(20);
    } finally {
      database.close();
    }
  }
}

/** Right genes' values in every row, each candidate once, the budget exactly. */
function checkRows(path: string, evaluations: number): void {
  const { trials } = readStudy(path);
  expect(trials).toHaveLength(evaluations);
  expect(new Set(keys(trials)).size).toBe(evaluations);
  for (const { status, values, genes, seed } of trials) {
    expect(status).toBe('complete');
    expect(values?.['loss']).toBe(loss(genes, seed));
  }
}

describe('asynchronous proposals in one process', () => {
  it('go on while one trial takes for ever', async () => {
    const problem = createProblem();
    let done = 0;
    let release = (): void => {};
    const others = new Promise<void>((resolve) => (release = resolve));
    const slow: SearchProblem = {
      ...problem,
      async measure(genes, context) {
        // The third of the first round ends when fifty others have: no round could be proposed before.
        if (context.number === 2) await others;
        if (++done === 50) release();
        return problem.measure!(genes, context);
      },
    };
    for (const tactic of ['linas', 'nsga2', 'random', 'successive'] as const) {
      done = 0;
      const evaluator = inProcess(slow, { concurrency: 4 });
      const patience = tactic === 'successive' ? { patience: 20 } : {};
      const named = typeof small(tactic) === 'string' ? small(tactic) : { ...(small(tactic) as object), ...patience };
      const options = { ...asynchronous, tactic: named as TacticName, evaluations: 60, seed: 1, evaluator };
      const { trials } = await runSearch(slow, options);
      expect(trials.filter(({ status }) => status === 'complete')).toHaveLength(60);
      expect(new Set(keys(trials)).size).toBe(60);
    }
  });

  it.each(['linas', 'nsga2', 'random', 'successive'] as const)(
    '%s: with one lane, the same trials for a seed, in memory, in a file, interrupted and resumed',
    async (tactic) => {
      const problem = createProblem();
      const options = { ...asynchronous, tactic: small(tactic) as TacticName, evaluations: 36, seed: 2 };
      const whole = await runSearch(problem, options);
      const study = newPath();
      const abort = new AbortController();
      const onProgress = ({ evaluations }: { evaluations: number }) => evaluations === 17 && abort.abort();
      await expect(runSearch(problem, { ...options, study, signal: abort.signal, onProgress })).rejects.toThrow(
        /abort/,
      );
      const resumed = await resume(problem, { study });
      expect(keys(resumed.trials)).toEqual(keys(whole.trials));
      expect(resumed.front).toEqual(whole.front);
      expect(new Set(whole.trials.map(({ round }) => round)).size).toBeGreaterThan(5);
    },
  );

  it('ends with a small space, a failing trial costs only itself, and a whole failed first round says so', async () => {
    const problem: SearchProblem = {
      name: 'tiny',
      space: [{ type: 'integer', lower: 0, upper: 6 }],
      objectives: [{ name: 'y', kind: 'measured' }],
      measure([x]) {
        if (x === 3) throw new Error('three');
        return { y: x! };
      },
    };
    for (const tactic of ['linas', 'nsga2', 'random'] as const) {
      const { trials } = await runSearch(problem, {
        ...asynchronous,
        tactic: small(tactic) as TacticName,
        evaluations: 50,
      });
      expect(trials.map(({ genes }) => genes[0]!).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect(trials.filter(({ status }) => status === 'failed')).toHaveLength(1);
    }
    const failing: SearchProblem = { ...problem, measure: () => Promise.reject(new Error('always')) };
    await expect(runSearch(failing, { ...asynchronous, tactic: 'random', evaluations: 50 })).rejects.toMatchObject({
      code: 'measurement-failed',
    });
  });

  it('a larger budget goes on; constraints, a baseline and a report hold as in rounds', async () => {
    const problem: SearchProblem = { ...createProblem(), baseline: [4, 4, 4, 4, 4, 4], constraints: ['cost <= 0.8x'] };
    const study = newPath();
    const options = { ...asynchronous, tactic: 'nsga2', evaluations: 20, study, reportSplit: 'report' } as const;
    await runSearch(problem, options);
    const { trials, front, reports } = await resume(problem, { study, evaluations: 32 });
    expect(trials).toHaveLength(32);
    expect(trials[0]).toMatchObject({ origin: 'baseline', number: 0 });
    expect(front.every(({ values }) => values['cost']! <= 0.8 * trials[0]!.values!['cost']!)).toBe(true);
    const reported = new Set(reports.map(({ number }) => number));
    expect(front.every(({ number }) => reported.has(number))).toBe(true);
  });
});

describe('one study for several processes', () => {
  it('they share its trials; one is killed, and what it had is measured by the others', async () => {
    const path = newPath();
    await begun(path, 70);
    // Slow, so that it has something however late the others start.
    const victim = child(path, { delay: 2000 });
    await until(() => begins(victim.log) >= 3);
    const others = [child(path), child(path)];
    const children = [victim, ...others];
    await until(() => others.some(({ log }) => begins(log) >= 1));
    victim.process.kill('SIGKILL');
    expect(await Promise.all(others.map(({ ended }) => ended))).toEqual([0, 0]);
    expect(others.map((one) => one.said().trim())).toEqual(['70', '70']);
    checkRows(path, 70);
    // What the others measured more often than they finished is what the victim had: at most its two lanes.
    const all = children.reduce((sum, { log }) => sum + begins(log), 0);
    expect(all).toBeGreaterThanOrEqual(68);
    expect(all).toBeLessThanOrEqual(70);
    const hosts = new Set(readStudy(path).trials.map(({ host }) => host));
    expect(hosts.size).toBeGreaterThanOrEqual(3);
  });

  it('one that is suspended loses its trial, and its late result is refused', async () => {
    const path = newPath();
    await begun(path, 30);
    const stalled = child(path, { concurrency: 1, leaseMs: 1000, delay: 3000 });
    await until(() => begins(stalled.log) >= 2);
    await suspend(stalled, path);
    const other = child(path, { concurrency: 2, leaseMs: 1000, delay: 20 });
    expect(await other.ended).toBe(0);
    checkRows(path, 30);
    const rows = readStudy(path).trials;
    stalled.process.kill('SIGCONT');
    expect(await stalled.ended).toBe(0);
    expect(readStudy(path).trials).toEqual(rows);
    expect(rows.some(({ lease = 0 }) => lease > 1)).toBe(true);
  });

  it('a killed process alone loses nothing that was done', async () => {
    const path = newPath();
    await begun(path, 40);
    const one = child(path, { concurrency: 3 });
    await until(() => begins(one.log) >= 12);
    one.process.kill('SIGKILL');
    await one.ended;
    const before = readStudy(path).trials.filter(({ status }) => status === 'complete');
    const { trials } = await resume(createProblem(), { study: path });
    expect(trials).toHaveLength(40);
    for (const trial of before) expect(trials[trial.number]).toEqual(trial);
    checkRows(path, 40);
  });

  it('each sees what the others wrote, in either order of opening', async () => {
    const path = newPath();
    await begun(path, 30);
    using first = openStudy(path);
    using second = openStudy(path);
    const taken = first.take(1)!;
    expect(second.take(1)!.number).not.toBe(taken.number);
    expect(() => second.complete(taken.number, outcome)).toThrow(expect.objectContaining({ code: 'lease-lost' }));
    first.complete(taken.number, outcome);
    expect(second.refresh().map(({ number, status }) => [number, status])).toContainEqual([taken.number, 'complete']);
    expect(second.trials[taken.number]).toEqual(first.trials[taken.number]);
  });
});

const outcome = { values: { loss: 1, cost: 1 }, host: 'h', worker: 'w', startedAt: 1, durationMs: 1, attempts: 1 };
