// Trials that report on their way: what is kept, what is stopped, and that a front loses nothing by it.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hypervolume, integer, Random } from '@instatune/nsga2';
import { describe, expect, it } from 'vitest';
import { inProcess } from '../../src/evaluate/in-process.ts';
import { processPool } from '../../src/evaluate/process-pool.ts';
import { workerPool } from '../../src/evaluate/worker-pool.ts';
import { TrialStopped, type SearchProblem } from '../../src/problem.ts';
import { resume, runSearch } from '../../src/run/run-search.ts';
import { isHopeless, stoppingOf, type EarlyStoppingOptions } from '../../src/run/stopping.ts';
import { Space } from '../../src/space.ts';
import { studyToCsv } from '../../src/study/export.ts';
import { readStudy } from '../../src/study/sqlite.ts';
import type { CompleteTrial, Trial } from '../../src/study/trial.ts';
import { calibrationAt, expectedTrials, expectedValues } from '../../src/tactics/partial.ts';
import { createProblem, STEPS } from '../fixtures/batches.ts';
import { completeTrial } from '../fixtures/trials.ts';

const folder = mkdtempSync(join(tmpdir(), 'stopping-'));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);
const options = { tactic: { name: 'nsga2', population: 20 }, evaluations: 120, seed: 1 } as const;
const bare = (trials: readonly Trial[]) =>
  trials.map(({ key, status, values, intermediate }) => ({ key, status, values, intermediate }));
const stepsOf = (trials: readonly Trial[]) =>
  trials.reduce(
    (sum, { status, intermediate }) => sum + (status === 'stopped' ? intermediate!.at(-1)!.step : STEPS),
    0,
  );

describe('early stopping', () => {
  it('ends what others dominate, spends much less, keeps the front of what it measured, and what was reported', async () => {
    const problem = createProblem();
    const study = newPath();
    const { trials, front } = await runSearch(problem, { ...options, earlyStopping: true, study });
    const stopped = trials.filter(({ status }) => status === 'stopped');
    expect(stopped.length).toBeGreaterThan(30);
    expect(stepsOf(trials)).toBeLessThan(0.6 * STEPS * trials.length);
    expect(trials.slice(0, 20).every(({ status }) => status === 'complete')).toBe(true);
    expect(front.every(({ number }) => trials[number]!.status === 'complete')).toBe(true);
    const [first] = stopped;
    expect(first!.values).toBeUndefined();
    expect(first!.intermediate!.map(({ step }) => step)).toEqual(
      [1, 2, 4, 8].filter((step) => step <= first!.intermediate!.at(-1)!.step),
    );
    expect(bare(readStudy(study).trials)).toEqual(bare(trials));
    expect(studyToCsv(readStudy(study))).toContain(',stopped,');
  });

  it('is seldom wrong: measured whole, what was stopped would have been dominated', async () => {
    const problem = createProblem();
    let stopped = 0;
    let wrong = 0;
    for (const seed of [1, 2, 3, 4, 5]) {
      const { trials, front } = await runSearch(problem, { ...options, seed, earlyStopping: true });
      for (const { status, genes } of trials) {
        if (status !== 'stopped') continue;
        stopped++;
        const cost = genes.reduce((a, b) => a + b, 0);
        const loss = problem.truth(genes);
        if (!front.some(({ values }) => values['cost']! <= cost && values['loss']! <= loss)) wrong++;
      }
    }
    expect(stopped).toBeGreaterThan(250);
    expect(wrong).toBeLessThanOrEqual(0.08 * stopped);
  });

  it('leaves NSGA-II its search: what was stopped is dominated, not failed', async () => {
    const problem = createProblem();
    const volumeOf = async (seed: number, earlyStopping: boolean): Promise<number> => {
      const { front } = await runSearch(problem, { ...options, seed, earlyStopping });
      return hypervolume(
        front.map(({ values }) => [values['loss']!, values['cost']!]),
        [4, 37],
      );
    };
    // Told as failed, what was stopped cost .07 of the front with the first of these seeds, .06 with the second.
    for (const seed of [1, 5]) expect(await volumeOf(seed, true)).toBeGreaterThan(0.96 * (await volumeOf(seed, false)));
  });

  it('in rounds, the same trials end alike in this process, on threads and in processes, and after an interruption', async () => {
    const problem = createProblem();
    const small = { ...options, evaluations: 60, earlyStopping: true } as const;
    const serial = bare((await runSearch(problem, small)).trials);
    const module = join(import.meta.dirname, '../fixtures/batches.ts');
    const lanes = inProcess(problem, { concurrency: 5 });
    const threads = workerPool({ module, threads: 2 });
    const processes = processPool({ module, processes: 2 });
    for (const evaluator of [lanes, threads, processes]) {
      expect(bare((await runSearch(problem, { ...small, evaluator })).trials)).toEqual(serial);
      await evaluator.close();
    }
    const study = newPath();
    const abort = new AbortController();
    const onProgress = ({ evaluations }: { evaluations: number }) => evaluations === 33 && abort.abort();
    await expect(runSearch(problem, { ...small, study, signal: abort.signal, onProgress })).rejects.toThrow(/abort/);
    expect(bare((await resume(problem, { study })).trials)).toEqual(serial);
    expect(serial.filter(({ status }) => status === 'stopped').length).toBeGreaterThan(5);
  });

  it('works with asynchronous proposals and LINAS, which learns from what was stopped', async () => {
    const problem = createProblem();
    const { trials, front, study } = await runSearch(problem, {
      tactic: { name: 'linas', population: 15, innerEvaluations: 600 },
      proposals: 'asynchronous',
      evaluations: 60,
      earlyStopping: { rungs: [2, 8], margin: 1, leastTrials: 5 },
      evaluator: inProcess(problem, { concurrency: 3 }),
    });
    const complete = trials.filter(({ status }) => status === 'complete').length;
    expect(complete).toBeLessThan(trials.length);
    expect(front.length).toBeGreaterThan(3);
    const rows = study.rounds.map(
      ({ info }) => (info['predictors'] as { loss: { rows: number } } | undefined)?.loss.rows ?? 0,
    );
    expect(Math.max(...rows)).toBeGreaterThan(complete * 0.8);
  });

  it('a problem that catches its end, or goes on reporting, is stopped all the same; other errors are failures', async () => {
    let seen: unknown;
    const problem = createProblem();
    const stubborn: SearchProblem = {
      ...problem,
      async measure(genes, context) {
        try {
          return await problem.measure!(genes, context);
        } catch (error) {
          if (error instanceof TrialStopped)
            seen = await context.report(99, { loss: 0 }).catch((again: unknown) => again);
          return { loss: 0 };
        }
      },
    };
    const { trials } = await runSearch(stubborn, { ...options, evaluations: 60, earlyStopping: true });
    expect(trials.some(({ status }) => status === 'stopped')).toBe(true);
    expect(seen).toBeInstanceOf(TrialStopped);
    const backwards: SearchProblem = {
      ...problem,
      async measure(genes, { report }) {
        await report(2, { loss: 1 });
        if (genes[0] === 0) await report(2, { loss: 1 });
        return { loss: 1 };
      },
    };
    const failed = (await runSearch(backwards, { ...options, evaluations: 40 })).trials.filter(
      ({ status }) => status === 'failed',
    );
    expect(failed.length).toBeGreaterThan(0);
    expect(failed[0]!.error).toMatch(/reported step 2 after 2: report rising numbers/);
    for (const [values, message] of [
      [{ los: 1 }, /reported "los" and no loss: is loss meant\?/],
      [{ loss: '1' as unknown as number }, /reported loss as "1": report numbers/],
    ] as const) {
      const misspelt: SearchProblem = {
        ...problem,
        measure: async (_, { report }) => (await report(1, values), { loss: 1 }),
      };
      await expect(runSearch(misspelt, { ...options, evaluations: 20 })).rejects.toThrow(message);
    }
  });

  it('never stops the baseline, nor where a rung has too few whole trials, nor what the margin spares', () => {
    const problem = createProblem();
    const space = new Space(problem);
    const stopping = { rungs: [2], margin: 2, leastTrials: 4 };
    const random = new Random(1);
    const whole = Array.from({ length: 8 }, (_, number): CompleteTrial => {
      const genes = [number % 10, 0, 0, 0];
      // What a rung does not tell deviates by about .1.
      const loss = 1 + number / 10;
      const intermediate = [{ step: 2, values: { loss: loss - 0.5 + 0.1 * random.normal() } }];
      return completeTrial({ number, genes, values: { loss, cost: 1 + number }, intermediate });
    });
    const trial = (cost: number, origin = 'random'): Trial => ({
      number: 9,
      round: 1,
      origin,
      genes: [cost, 0, 0, 0],
      key: 'x',
      seed: 0,
      attempts: 1,
      status: 'running',
    });
    const ends = (loss: number, one = trial(9), trials: readonly Trial[] = whole) =>
      isHopeless(space, trials, one, { step: 2, values: { loss } }, { stopping, bounds: [] });
    expect(ends(3)).toBe(true);
    expect(ends(0.5)).toBe(false); // may become as good as the first
    expect(ends(3, trial(0))).toBe(false); // nothing costs as little
    expect(ends(3, trial(9, 'baseline'))).toBe(false);
    expect(ends(3, trial(9), whole.slice(0, 3))).toBe(false);
    expect(ends(Number.NaN)).toBe(false);
    expect(isHopeless(space, whole, trial(9), { step: 3, values: { loss: 9 } }, { stopping, bounds: [] })).toBe(false);
    const stopped: Trial = { ...trial(9), status: 'stopped', intermediate: [{ step: 2, values: { loss: 2 } }] };
    const [expected] = expectedTrials(space, [...whole, stopped]);
    expect(expected!.values['loss']).toBeGreaterThan(2.3);
    expect(expected!.values['loss']).toBeLessThan(2.7);
    expect(expectedTrials(space, [...whole.slice(0, 5), stopped])).toEqual([]);
    // What ranks is told as much, however little there is to go by; of what did not report, or failed, nothing.
    expect(expectedValues(space, stopped, whole)).toEqual(expected!.values);
    expect(expectedValues(space, stopped, whole.slice(0, 5))!['loss']).toBeGreaterThan(2);
    expect(expectedValues(space, stopped, whole.slice(0, 1))).toBeUndefined();
    expect(expectedValues(space, { ...stopped, intermediate: [] }, whole)).toBeUndefined();
    expect(expectedValues(space, { ...stopped, status: 'failed' }, whole)).toBeUndefined();
  });

  it('says what it needs', () => {
    const { steps: _, ...unknown } = createProblem();
    const codes = [
      () => stoppingOf(new Space(unknown), true),
      () => stoppingOf(new Space(unknown), { rungs: [3, 2] }),
      () => stoppingOf(new Space(createProblem()), { margin: -1 }),
      () => stoppingOf(new Space(createProblem()), { leastTrials: 1 }),
      () => stoppingOf(new Space(createProblem()), { rung: [1] } as EarlyStoppingOptions),
    ];
    for (const wrong of codes) expect(wrong).toThrow(expect.objectContaining({ code: 'invalid-option' }));
    expect(stoppingOf(new Space(createProblem()), true)).toEqual({ rungs: [1, 2, 4, 8], margin: 1, leastTrials: 10 });
    expect(stoppingOf(new Space(unknown), { rungs: [5] })?.rungs).toEqual([5]);
    expect(() => new Space({ ...createProblem(), steps: 0 })).toThrow(
      expect.objectContaining({ code: 'invalid-problem' }),
    );
    expect(new Space({ ...unknown, space: [integer(0, 1)] }).problem.steps).toBeUndefined();
  });
});

describe('what a rung tells', () => {
  const trialOf = (part: number, whole: number, number: number): CompleteTrial =>
    completeTrial({
      number,
      genes: [number],
      values: { loss: whole },
      intermediate: [{ step: 1, values: { loss: part } }],
    });

  it('is a line, for first batches are harder by a sum and by a factor', () => {
    const random = new Random(3);
    const line = (part: number, noise: number): number => 0.5 + 0.8 * part + noise * random.normal();
    const trials = Array.from({ length: 40 }, (_, i) => trialOf(i / 10, line(i / 10, 0.05), i));
    const calibration = calibrationAt(trials, 'loss', 1, 10)!;
    for (const part of [0, 2, 4]) expect(Math.abs(calibration.expected(part) - line(part, 0))).toBeLessThan(0.05);
    expect(calibration.residual).toBeGreaterThan(0.03);
    expect(calibration.residual).toBeLessThan(0.07);
    expect(calibration.deviation(2)).toBeGreaterThan(calibration.residual);
    expect(calibration.deviation(20)).toBeGreaterThan(2 * calibration.residual);
    expect(calibrationAt(trials, 'loss', 2, 1)).toBeUndefined();
    expect(calibrationAt(trials.slice(0, 9), 'loss', 1, 10)).toBeUndefined();
  });

  it('of few trials, or of parts that are all alike, is a shift', () => {
    const few = [trialOf(1, 3, 0), trialOf(2, 3, 1), trialOf(3, 6, 2)];
    expect(calibrationAt(few, 'loss', 1, 2)!.expected(5)).toBeCloseTo(7, 12);
    const alike = Array.from({ length: 12 }, (_, i) => trialOf(1, 2 + (i % 2), i));
    const calibration = calibrationAt(alike, 'loss', 1, 10)!;
    expect(calibration.expected(4)).toBeCloseTo(5.5, 12);
    expect(calibration.deviation(4)).toBeGreaterThan(0.5);
  });
});
