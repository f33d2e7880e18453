// Trials in processes of their own: the limit of memory holds for every kind of memory, and nothing ends the search.
import { mkdtempSync, readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runSearch } from '../../src/run/run-search.ts';
import { childArguments, processPool, type ProcessPoolOptions } from '../../src/evaluate/process-pool.ts';
import type { EvaluationJob } from '../../src/evaluate/evaluator.ts';
import { problemFingerprint } from '../../src/space.ts';
import { createProblem } from '../fixtures/knobs.ts';

const MODULE = join(import.meta.dirname, '../fixtures/knobs.ts');
const fingerprint = problemFingerprint(createProblem());
const job = (number: number): EvaluationJob => ({
  study: 'test',
  number,
  genes: [number, 1, 2, 3, 4, 0],
  seed: 100 + number,
  split: 'search',
  fingerprint,
});

async function results(options: Omit<ProcessPoolOptions, 'module'>, numbers: readonly number[]) {
  const pool = processPool({ module: MODULE, ...options });
  try {
    return await Promise.all(numbers.map((n) => pool.evaluate(job(n))));
  } finally {
    await pool.close();
  }
}

describe('processPool', () => {
  it.each([
    ['buffers', /took 1?\d{3} MB of memory, maxRssMb is 300 \(2 attempts\)/, 2],
    ['kill', /worker process was ended by SIGKILL \(2 attempts\)/, 2],
    ['exit', /worker process exited with code 7 \(2 attempts\)/, 2],
    ['hang', /took longer than 4000 ms \(2 attempts\)/, 2],
    ['throw', /the measurement threw/, 1],
  ] as const)('a measurement that does "%s" fails its own trial only', async (how, error, attempts) => {
    const limits = { ...(how === 'buffers' ? { maxRssMb: 300 } : {}), ...(how === 'hang' ? { timeoutMs: 4000 } : {}) };
    const [before, failed, after] = await results({ processes: 1, options: { on: 3, how }, ...limits }, [1, 3, 2]);
    expect(failed).toMatchObject({ status: 'failed', attempts, error: expect.stringMatching(error) as string });
    expect([before!.status, after!.status]).toEqual(['complete', 'complete']);
  });

  it('takes its module as a URL, too', async () => {
    const pool = processPool({ module: pathToFileURL(MODULE), processes: 1 });
    expect((await pool.evaluate(job(0))).status).toBe('complete');
    await pool.close();
    const wrong = 7 as unknown as string;
    const evaluator = processPool({ module: wrong, processes: 1 });
    await expect(evaluator.evaluate(job(0))).rejects.toMatchObject({ code: 'problem-module' });
    await evaluator.close();
  });

  it('gives the trials of a search in this process', async () => {
    const problem = createProblem();
    const options = { tactic: 'random', evaluations: 8, population: 4, seed: 2 } as const;
    const evaluator = processPool({ module: MODULE, processes: 2 });
    const [here, there] = [await runSearch(problem, options), await runSearch(problem, { ...options, evaluator })];
    await evaluator.close();
    expect(there.trials.map(({ values }) => values)).toEqual(here.trials.map(({ values }) => values));
  });

  it('starts children that run their file, whatever the search was started with', () => {
    expect(
      childArguments(['--conditions=a', '-e', 'x', '--input-type=module', '--inspect-brk', '--no-warnings']),
    ).toEqual(['--conditions=a', '--no-warnings']);
  });

  it('refuses limits that make no sense', () => {
    for (const limit of [{ maxRssMb: 10 }, { maxRssMb: Number.NaN }, { processes: 0 }, { retries: -1 }])
      expect(() => processPool({ module: MODULE, ...limit })).toThrow(
        expect.objectContaining({ code: 'invalid-option' }),
      );
  });

  it('leaves no process behind when the search is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'process-pool-'));
    const log = join(folder, 'log');
    const script = `
      import { processPool } from ${JSON.stringify(join(import.meta.dirname, '../../src/evaluate/process-pool.ts'))};
      const options = { log: ${JSON.stringify(log)}, on: 3, how: 'hang' };
      await processPool({ module: ${JSON.stringify(MODULE)}, processes: 1, options }).evaluate(${JSON.stringify(job(3))});`;
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: 'ignore' });
    const read = () => {
      try {
        return readFileSync(log, 'utf8');
      } catch {
        return '';
      }
    };
    await expect.poll(read, { timeout: 200_000, interval: 50 }).not.toBe('');
    const child = Number(read().trim().split(' ')[2]);
    const gone = new Promise((settle) => parent.once('exit', settle));
    parent.kill('SIGKILL');
    await gone;
    const isAlive = () => {
      try {
        // A killed child of nobody may wait as a zombie for its new parent.
        return !/\) Z /.test(readFileSync(`/proc/${child}/stat`, 'utf8'));
      } catch {
        return false;
      }
    };
    await expect.poll(isAlive, { timeout: 200_000, interval: 20 }).toBe(false);
  });
});
