import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationJob } from '../../src/evaluate/evaluator.ts';
import { QUEUE_PREFIX, queueEvaluator, queueName } from '../../src/evaluate/queue.ts';
import { startWorker, type QueueWorker } from '../../src/evaluate/queue-worker.ts';
import type { ConnectionChange } from '../../src/evaluate/redis.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { problemFingerprint } from '../../src/space.ts';
import { createProblem as createBatches } from '../fixtures/batches.ts';
import { createProblem, loss } from '../fixtures/knobs.ts';
import { findRedis, startRedis, type RedisServer } from '../redis-server.ts';

const redis = findRedis();
const MODULE = join(import.meta.dirname, '../fixtures/knobs.ts');
const BATCHES = join(import.meta.dirname, '../fixtures/batches.ts');
const CHILD = join(import.meta.dirname, '../fixtures/queue-child.ts');
const fingerprint = problemFingerprint(createProblem());
const job = (number: number, study = 'queue-test'): EvaluationJob => ({
  study,
  number,
  genes: [number % 5, 1, 2, 3, 4, 0],
  seed: 100 + number,
  split: 'search',
  fingerprint,
});

/** A worker in a process of its own, once it is ready. */
async function workerProcess(url: string, options: Record<string, unknown>, lostAfter = 1): Promise<ChildProcess> {
  const args = [CHILD, url, MODULE, String(1000 * lostAfter), JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  await new Promise<void>((ready, reject) => {
    let text = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('worker ready')) ready();
    });
    child.once('exit', (code) => reject(new Error(`worker ended with ${code}: ${text}`)));
  });
  return child;
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((settle) => child.once('exit', settle));
  child.kill(signal);
  await exited;
}

// Without a Redis the reason stands in the skipped suite's name.
describe.skipIf(typeof redis === 'string')(`queue${typeof redis === 'string' ? ` (skipped: ${redis})` : ''}`, () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis(redis as Exclude<typeof redis, string>);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('gives the trials of a search run with local evaluation, whoever measures them', async () => {
    const problem = createProblem();
    const options = { tactic: 'random', evaluations: 24, population: 8, seed: 5 } as const;
    const local = await runSearch(problem, options);
    const workers: QueueWorker[] = [];
    for (const delay of [0, 7])
      workers.push(
        await startWorker({ url: server.url, module: MODULE, options: { delay }, threads: 1, lostAfterMs: 1000 }),
      );
    const evaluator = await queueEvaluator(problem, { url: server.url });
    try {
      const remote = await runSearch(problem, { ...options, evaluator });
      const bare = (trials: typeof local.trials) =>
        trials.map(({ number, genes, seed, values, status }) => ({ number, genes, seed, values, status }));
      expect(bare(remote.trials)).toEqual(bare(local.trials));
      expect(remote.front).toEqual(local.front);
      expect(remote.history).toEqual(local.history);
      expect(new Set(remote.trials.map(({ worker }) => worker)).size).toBeGreaterThanOrEqual(1);
    } finally {
      await evaluator.close();
      await Promise.all(workers.map((worker) => worker.close()));
    }
  });

  it('queues the trial of a killed worker process again', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'queue-')), 'log');
    const evaluator = await queueEvaluator(createProblem(), { url: server.url });
    const doomed = await workerProcess(server.url, { delay: 60_000, log });
    const pending = evaluator.evaluate(job(3, 'killed'));
    let survivor: ChildProcess | undefined;
    try {
      for (let i = 0; i < 400 && !existsSync(log); i++) await sleep(25);
      expect(readFileSync(log, 'utf8')).toContain('3 search');
      await stop(doomed, 'SIGKILL');
      survivor = await workerProcess(server.url, { delay: 5 });
      const result = await pending;
      expect(result).toMatchObject({ status: 'complete', attempts: 2, values: { loss: loss(job(3).genes, 103) } });
      expect(result.worker).toContain(String(survivor.pid));
    } finally {
      await stop(doomed, 'SIGKILL');
      if (survivor) await stop(survivor, 'SIGTERM');
      await evaluator.close();
    }
  });

  it('queues a trial again that the server lost', async () => {
    const evaluator = await queueEvaluator(createProblem(), { url: server.url, checkEveryMs: 200 });
    const client = new Redis(server.url);
    let worker: QueueWorker | undefined;
    try {
      const pending = evaluator.evaluate(job(4, 'flushed'));
      await sleep(300);
      await client.flushall();
      worker = await startWorker({ url: server.url, module: MODULE, threads: 1, lostAfterMs: 1000 });
      expect(await pending).toMatchObject({ status: 'complete', values: { loss: loss(job(4).genes, 104) } });
      // Aborted while it waits: taken back, and not queued again.
      await worker.close();
      const abort = new AbortController();
      const aborted = evaluator.evaluate(job(1, 'flushed'), { signal: abort.signal });
      setTimeout(() => abort.abort(new Error('enough')), 100);
      await expect(aborted).rejects.toThrow('enough');
      await sleep(500);
      expect(await client.keys('*flushed-1-search')).toEqual([]);
    } finally {
      client.disconnect();
      await evaluator.close();
      await worker?.close();
    }
  });

  it('a measurement that throws comes back as a failed trial with its error', async () => {
    const worker = await startWorker({
      url: server.url,
      module: MODULE,
      options: { on: 2, how: 'throw' },
      threads: 1,
      lostAfterMs: 1000,
    });
    const evaluator = await queueEvaluator(createProblem(), { url: server.url });
    try {
      expect(await evaluator.evaluate(job(2, 'throws'))).toMatchObject({
        status: 'failed',
        error: 'the measurement threw',
        attempts: 1,
      });
      expect(await evaluator.evaluate(job(1, 'throws'))).toMatchObject({ status: 'complete' });
    } finally {
      await evaluator.close();
      await worker.close();
    }
  });

  it('a resumed search picks up the result that arrived while it was away', async () => {
    const problem = createProblem();
    const first = await queueEvaluator(problem, { url: server.url });
    const abort = new AbortController();
    const worker = await startWorker({
      url: server.url,
      module: MODULE,
      options: { delay: 400 },
      threads: 1,
      lostAfterMs: 1000,
    });
    const log = join(mkdtempSync(join(tmpdir(), 'queue-')), 'log');
    try {
      const gone = first.evaluate(job(4, 'away'), { signal: abort.signal });
      await sleep(150); // the worker has it
      abort.abort(new Error('gone'));
      await expect(gone).rejects.toThrow('gone');
      await first.close();
      await sleep(600); // it finishes without us
      await worker.close();
      const second = await queueEvaluator(problem, { url: server.url });
      const other = await startWorker({
        url: server.url,
        module: MODULE,
        options: { log },
        threads: 1,
        lostAfterMs: 1000,
      });
      expect(await second.evaluate(job(4, 'away'))).toMatchObject({
        status: 'complete',
        values: { loss: loss(job(4).genes, 104) },
      });
      expect(existsSync(log)).toBe(false);
      await second.close();
      await other.close();
    } finally {
      await Promise.allSettled([first.close(), worker.close()]);
    }
  });

  it('takes an unstarted trial back on abort', async () => {
    const evaluator = await queueEvaluator(createProblem(), { url: server.url });
    const abort = new AbortController();
    const pending = evaluator.evaluate(job(0, 'aborted'), { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('stop')), 100);
    await expect(pending).rejects.toThrow('stop');
    const log = join(mkdtempSync(join(tmpdir(), 'queue-')), 'log');
    const worker = await startWorker({
      url: server.url,
      module: MODULE,
      options: { log },
      threads: 1,
      lostAfterMs: 1000,
    });
    await sleep(300);
    expect(existsSync(log)).toBe(false);
    await worker.close();
    await evaluator.close();
  });

  it('SIGTERM gives a running trial back long before its end, to be taken by another at once', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'queue-')), 'log');
    const evaluator = await queueEvaluator(createProblem(), { url: server.url });
    const slow = await workerProcess(server.url, { delay: 600_000, log }, 60);
    const pending = evaluator.evaluate(job(3, 'given-back'));
    await expect.poll(() => existsSync(log), { timeout: 200_000 }).toBe(true);
    const asked = performance.now();
    await stop(slow, 'SIGTERM');
    // Of ten minutes; the bound is for machines whose cores are shared.
    expect(performance.now() - asked).toBeLessThan(200_000);
    const worker = await startWorker({ url: server.url, module: MODULE, threads: 1 });
    expect(await pending).toMatchObject({ status: 'complete', attempts: 1, values: { loss: loss(job(3).genes, 103) } });
    await worker.close();
    await evaluator.close();
  });

  it('hears what workers report, keeps it, and stops the trials that it stops elsewhere', async () => {
    const problem = createBatches();
    const worker = await startWorker({ url: server.url, module: BATCHES, threads: 2, lostAfterMs: 5000 });
    const evaluator = await queueEvaluator(problem, { url: server.url });
    const settings = {
      tactic: { name: 'nsga2', population: 20 },
      evaluations: 60,
      seed: 1,
      earlyStopping: true,
    } as const;
    try {
      const bare = ({ trials }: Awaited<ReturnType<typeof runSearch>>) =>
        trials.map(({ key, status, values, intermediate }) => ({ key, status, values, intermediate }));
      const remote = bare(await runSearch(problem, { ...settings, evaluator }));
      expect(remote).toEqual(bare(await runSearch(problem, settings)));
      expect(remote.filter(({ status }) => status === 'stopped').length).toBeGreaterThan(5);
      // What cannot keep a report ends the wait, not the trial.
      const lost = { ...job(0, 'broken'), genes: [1, 2, 3, 4], fingerprint: problemFingerprint(problem) };
      const onReport = () => {
        throw new Error('the disk is full');
      };
      await expect(evaluator.evaluate(lost, { onReport })).rejects.toThrow('the disk is full');
    } finally {
      await evaluator.close();
      await worker.close();
    }
  });

  it('takes no result and no genes on trust', async () => {
    const problem = createProblem();
    const worker = await startWorker({ url: server.url, module: MODULE, threads: 1 });
    const evaluator = await queueEvaluator(problem, { url: server.url });
    const other = job(1, 'genes');
    expect(await evaluator.evaluate({ ...other, genes: [1, 2, 3, 4, 99, 0] })).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(/gene 4 \(knob3\) is 99: use an integer from 0 to 4/) as string,
    });
    expect(await evaluator.evaluate({ ...other, number: 2, genes: 'all' as never })).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('genes') as string,
    });
    await worker.close();
    // Another program that takes the queue's jobs.
    const forged: unknown[] = [
      { status: 'complete' },
      'done',
      null,
      { status: 'complete', values: { loss: 'low' }, host: 'h', worker: 'w', attempts: 1, startedAt: 1, durationMs: 1 },
      { status: 'complete', values: {}, host: 'h', worker: 'w', attempts: 1, startedAt: 1, durationMs: 1 },
    ];
    const impostor = new Worker(
      queueName(fingerprint),
      async ({ data }) => forged[(data as EvaluationJob).number - 10],
      {
        connection: { url: server.url, maxRetriesPerRequest: null },
        prefix: QUEUE_PREFIX,
      },
    );
    for (let number = 10; number < 10 + forged.length; number++)
      expect(await evaluator.evaluate({ ...other, number })).toMatchObject({ status: 'failed' });
    await impostor.close();
    await evaluator.close();
  });
});

describe.skipIf(typeof redis === 'string')('a server that is gone', () => {
  it('is said once, and once that it is back; a search then ends as if nothing had been', async () => {
    const server = await startRedis(redis as Exclude<typeof redis, string>);
    const said: ConnectionChange[] = [];
    const onConnection = (change: ConnectionChange) => said.push(change);
    const problem = createProblem();
    const evaluator = await queueEvaluator(problem, { url: server.url, checkEveryMs: 200, onConnection });
    const options = { module: MODULE, options: { delay: 30 }, threads: 1, lostAfterMs: 1000 };
    const worker = await startWorker({ url: server.url, ...options });
    const settings = { tactic: 'random', evaluations: 30, population: 15, seed: 3 } as const;
    const run = runSearch(problem, { ...settings, evaluator });
    await sleep(300);
    await server[Symbol.asyncDispose]();
    await expect.poll(() => said.length, { timeout: 200_000 }).toBe(1);
    await using again = await startRedis(redis as Exclude<typeof redis, string>, Number(new URL(server.url).port));
    const { trials } = await run;
    expect(trials.map(({ values }) => values)).toEqual(
      (await runSearch(problem, settings)).trials.map(({ values }) => values && { ...values }),
    );
    expect(said.map(({ connected }) => connected)).toEqual([false, true]);
    expect(said[0]!.message).toMatch(/Redis at redis:\/\/127\.0\.0\.1:\d+ is gone/);
    await worker.close();
    await evaluator.close();
    expect(again.url).toBe(server.url);
  });

  it('keeps no abort, no close and no worker waiting', async () => {
    const server = await startRedis(redis as Exclude<typeof redis, string>);
    const evaluator = await queueEvaluator(createProblem(), { url: server.url });
    const worker = await startWorker({ url: server.url, module: MODULE, options: { delay: 600_000 }, threads: 1 });
    const abort = new AbortController();
    const run = runSearch(createProblem(), {
      tactic: 'random',
      evaluations: 40,
      population: 20,
      evaluator,
      signal: abort.signal,
    });
    await sleep(500);
    await server[Symbol.asyncDispose]();
    await sleep(300);
    const start = performance.now();
    abort.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
    await evaluator.close();
    await worker.close({ giveBack: true });
    expect(performance.now() - start).toBeLessThan(200_000);
  });
});

describe('an address', () => {
  it('shows no secret, whatever is wrong with it', async () => {
    const secret = 's3cr/et@:#';
    for (const url of [
      `redis://user:${encodeURIComponent(secret)}@127.0.0.1:1`,
      `redis://user:${secret}@127.0.0.1:1`,
      `redis://user:${secret}@127.0.0.1:99999`,
      `http://user:${secret}@127.0.0.1`,
      secret,
      '',
    ]) {
      const error: unknown = await queueEvaluator(createProblem(), { url, connectTimeoutMs: 300 }).catch(
        (e: unknown) => e,
      );
      expect(error).toMatchObject({
        name: 'SearchError',
        code: expect.stringMatching(/queue-unreachable|invalid-option/) as string,
      });
      expect(inspect(error, { depth: 9 })).not.toContain('s3cr');
    }
  });
});

it('says so when no Redis answers', async () => {
  await expect(
    queueEvaluator(createProblem(), { url: 'redis://user:secret@127.0.0.1:1', connectTimeoutMs: 300 }),
  ).rejects.toMatchObject({
    code: 'queue-unreachable',
    message: expect.not.stringContaining('secret') as string,
  });
});
