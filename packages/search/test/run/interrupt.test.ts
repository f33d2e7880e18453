import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../../src/evaluate/in-process.ts';
import { bertSynth } from '../../src/problems/bert-synth.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { readStudy } from '../../src/study/sqlite.ts';
import type { Trial } from '../../src/study/trial.ts';
import { createProblem } from '../fixtures/knobs.ts';

const CHILD = join(import.meta.dirname, '../fixtures/search-child.ts');
const newFolder = () => mkdtempSync(join(tmpdir(), 'interrupt-'));
const bare = (trials: readonly Trial[]) =>
  trials.map(({ number, round, origin, genes, seed, values, status }) => ({
    number,
    round,
    origin,
    genes,
    seed,
    values,
    status,
  }));
const lines = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0);

describe('kill -9', () => {
  it.each([
    ['linas', 1],
    ['nsga2', 3],
  ] as const)(
    '%s, %i at a time: only the trials that were running are measured again, and the end is the same',
    async (tactic, concurrency) => {
      const evaluations = 60;
      const folder = newFolder();
      const path = join(folder, 'study.db');
      const log = join(folder, 'log');
      let kills = 0;
      for (const begun of [5, 14, 26, 36]) {
        const child = spawn(process.execPath, [CHILD, path, log, tactic, String(evaluations), String(concurrency)], {
          stdio: 'ignore',
        });
        const exited = new Promise((settle) => child.once('exit', settle));
        while (lines(log) < begun + kills * concurrency && child.exitCode === null) await sleep(2);
        child.kill('SIGKILL');
        await exited;
        kills++;
        const { trials } = readStudy(path);
        // Everything that was begun is safe, but for what was running.
        const safe = trials.filter(({ status }) => status === 'complete').length;
        expect(safe).toBeGreaterThanOrEqual(lines(log) - kills * concurrency);
        expect(safe).toBeLessThan(evaluations);
      }
      const problem = createProblem({ log });
      const resumed = await resume(problem, { study: path });
      const whole = await runSearch(createProblem(), { tactic, evaluations, population: 12, seed: 3 });
      expect(bare(resumed.trials)).toEqual(bare(whole.trials));
      expect(resumed.front).toEqual(whole.front);
      expect(resumed.history).toEqual(whole.history);
      expect(lines(log)).toBeLessThanOrEqual(evaluations + kills * concurrency);
      // Killed in the middle of something at least once, or this shows nothing.
      expect(lines(log)).toBeGreaterThan(evaluations);
    },
  );
});

describe('abort', () => {
  it('rejects with the reason, keeps what is done, and resumes to the same end', async () => {
    const path = join(newFolder(), 'study.db');
    const abort = new AbortController();
    const problem = createProblem({ delay: 2 });
    const reason = new Error('Ctrl-C');
    const running = runSearch(problem, {
      study: path,
      evaluations: 40,
      population: 10,
      seed: 4,
      signal: abort.signal,
      onProgress({ evaluations }) {
        if (evaluations === 17) abort.abort(reason);
      },
    });
    await expect(running).rejects.toBe(reason);
    expect(readStudy(path).trials.filter(({ status }) => status === 'complete').length).toBeGreaterThanOrEqual(17);
    const resumed = await resume(problem, { study: path });
    const whole = await runSearch(problem, { evaluations: 40, population: 10, seed: 4 });
    expect(bare(resumed.trials)).toEqual(bare(whole.trials));
  });
});

describe.each(['linas', 'nsga2', 'random', 'successive'] as const)('%s', (tactic) => {
  const settings = {
    name: tactic,
    ...(tactic === 'successive' ? { optimize: 'loss' } : {}),
    ...(tactic === 'linas' || tactic === 'successive' ? { innerEvaluations: 3000 } : {}),
  };
  const options = { tactic: settings, evaluations: 45, population: 10, constraints: ['cost <= 18'] } as const;

  it('serial and parallel runs of one seed are the same; another seed is not', async () => {
    const problem = createProblem();
    const slow = createProblem({ delay: 3 });
    const serial = await runSearch(problem, { ...options, seed: 8 });
    const parallel = await runSearch(slow, { ...options, seed: 8, evaluator: inProcess(slow, { concurrency: 4 }) });
    const other = await runSearch(problem, { ...options, seed: 9 });
    expect(bare(parallel.trials)).toEqual(bare(serial.trials));
    expect(parallel.history).toEqual(serial.history);
    expect(bare(other.trials)).not.toEqual(bare(serial.trials));
  });

  it('measures no canonical candidate twice, and none outside an exact constraint', async () => {
    const { trials } = await runSearch(createProblem(), { ...options, seed: 2 });
    expect(new Set(trials.map(({ key }) => key)).size).toBe(trials.length);
    expect(trials).toHaveLength(45);
    for (const { genes, values } of trials) {
      expect(values!['cost']).toBeLessThanOrEqual(18);
      genes.slice(genes[0]! + 2).forEach((unused) => expect(unused).toBe(0));
    }
  });
});

describe.each(['linas', 'nsga2', 'random', 'successive'] as const)('%s', (name) => {
  const inner = name === 'linas' || name === 'successive' ? { innerEvaluations: 2000 } : {};
  const options = { tactic: { name, ...inner }, population: 12, seed: 6 };

  // 24 is two rounds; 17 and 5 cut the second and the first short.
  it.each([24, 17, 5])('a budget raised from %i ends where it would have ended from the start', async (evaluations) => {
    const path = join(newFolder(), 'study.db');
    const problem = createProblem();
    await runSearch(problem, { ...options, study: path, evaluations });
    const raised = await resume(problem, { study: path, evaluations: 48 });
    const whole = await runSearch(problem, { ...options, evaluations: 48 });
    expect(bare(raised.trials)).toEqual(bare(whole.trials));
    expect(readStudy(path).header.settings['evaluations']).toBe(48);
  });
});

it('NSGA-II plays through any number of generations when it goes on', async () => {
  const path = join(newFolder(), 'study.db');
  const options = { tactic: 'nsga2', population: 2, seed: 1 } as const;
  await runSearch(bertSynth(), { ...options, study: path, evaluations: 250 });
  const { trials } = await resume(bertSynth(), { study: path, evaluations: 260 });
  expect(bare(trials)).toEqual(bare((await runSearch(bertSynth(), { ...options, evaluations: 260 })).trials));
});
