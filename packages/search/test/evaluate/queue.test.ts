import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationJob } from '../../src/evaluate/evaluator.ts';
import { queueEvaluator } from '../../src/evaluate/queue.ts';
import { startWorker, type QueueWorker } from '../../src/evaluate/queue-worker.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { problemFingerprint } from '../../src/space.ts';
import { createProblem, loss } from '../fixtures/knobs.ts';
import { findRedis, startRedis, type RedisServer } from '../redis-server.ts';

const redis = findRedis();
const MODULE = join(import.meta.dirname, '../fixtures/knobs.ts');
const CLI = join(import.meta.dirname, '../../src/cli/main.ts');
const fingerprint = problemFingerprint(createProblem());
const job = (number: number, study = 'queue-test'): EvaluationJob => ({
  study,
  number,
  genes: [number % 5, 1, 2, 3, 4, 0],
  seed: 100 + number,
  split: 'search',
  fingerprint,
});

/** `instatune worker` as a process of its own, once it is ready. */
async function workerProcess(url: string, options: Record<string, unknown>, lostAfter = '1'): Promise<ChildProcess> {
  const args = [
    'worker',
    '--redis',
    url,
    '--problem',
    MODULE,
    '--threads',
    '1',
    '--lost-after',
    lostAfter,
    '--options',
    JSON.stringify(options),
  ];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
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
});

it('says so when no Redis answers', async () => {
  await expect(
    queueEvaluator(createProblem(), { url: 'redis://user:secret@127.0.0.1:1', connectTimeoutMs: 300 }),
  ).rejects.toMatchObject({
    code: 'queue-unreachable',
    message: expect.not.stringContaining('secret') as string,
  });
});
