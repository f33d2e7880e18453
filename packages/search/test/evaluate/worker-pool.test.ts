import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'tsdown';
import { describe, expect, it } from 'vitest';
import type { EvaluationJob, Evaluator } from '../../src/evaluate/evaluator.ts';
import { workerPool, type WorkerPoolOptions } from '../../src/evaluate/worker-pool.ts';
import { problemFingerprint } from '../../src/space.ts';
import { createProblem, loss } from '../fixtures/knobs.ts';

const MODULE = join(import.meta.dirname, '../fixtures/knobs.ts');
const fingerprint = problemFingerprint(createProblem());
const job = (number: number, depth = number % 5): EvaluationJob => ({
  study: 'test',
  number,
  genes: [depth, 1, 2, 3, 4, 0],
  seed: 100 + number,
  split: 'search',
  fingerprint,
});

async function withPool<T>(
  options: Omit<WorkerPoolOptions, 'module'>,
  use: (pool: Evaluator) => Promise<T>,
): Promise<T> {
  const pool = workerPool({ module: MODULE, ...options });
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}

describe('workerPool', () => {
  it('measures in several threads, with the values of the problem itself', async () => {
    const results = await withPool({ threads: 2, options: { delay: 20 } }, (pool) =>
      Promise.all(Array.from({ length: 8 }, (_, n) => pool.evaluate(job(n)))),
    );
    results.forEach((result, n) => {
      expect(result).toMatchObject({
        status: 'complete',
        attempts: 1,
        values: { loss: loss(job(n).genes, 100 + n), seedUsed: 100 + n },
      });
    });
    expect(new Set(results.map(({ worker }) => worker))).toEqual(new Set(['thread 0', 'thread 1']));
  });

  it.each([
    ['exit', 'worker thread exited with code 7 (2 attempts)', 2],
    ['uncaught', 'thrown behind the back (2 attempts)', 2],
    ['memory', 'memory limit', 2],
    ['hang', 'took longer than 12000 ms (2 attempts)', 2],
    ['throw', 'the measurement threw', 1],
  ] as const)('a worker that does "%s" fails its own trial only', async (how, error, attempts) => {
    const options = {
      threads: 2,
      options: { on: 3, how },
      maxHeapMb: 48,
      timeoutMs: how === 'hang' ? 12_000 : 500_000,
    };
    const results = await withPool(options, (pool) => Promise.all([1, 3, 2, 4].map((n) => pool.evaluate(job(n)))));
    expect(results[1]).toMatchObject({ status: 'failed', attempts, error: expect.stringContaining(error) as string });
    for (const n of [0, 2, 3]) expect(results[n]!.status).toBe('complete');
  });

  it('tries a trial again after a crash, and says how often', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'pool-')), 'log');
    const result = await withPool({ threads: 1, options: { on: 3, how: 'exit-once', log } }, (pool) =>
      pool.evaluate(job(3)),
    );
    expect(result).toMatchObject({ status: 'complete', attempts: 2 });
  });

  it('refuses another version of the problem', async () => {
    await withPool({ threads: 1 }, async (pool) => {
      await expect(pool.evaluate({ ...job(1), fingerprint: 'other' })).rejects.toMatchObject({
        code: 'space-mismatch',
        message: expect.stringContaining('same version') as string,
      });
      expect(await pool.evaluate(job(1))).toMatchObject({ status: 'complete' });
    });
  });

  it.each([
    { retries: Number.NaN },
    { retries: -1 },
    { timeoutMs: 0 },
    { timeoutMs: 3e9 },
    { timeoutMs: Infinity },
    { maxHeapMb: -1 },
  ])('refuses %j, which would fail every trial or the process', (options) => {
    const [name] = Object.keys(options) as [string];
    expect(() => workerPool({ module: MODULE, threads: 1, ...options })).toThrow(
      expect.objectContaining({ code: 'invalid-option', message: expect.stringContaining(name) as string }),
    );
  });

  it('rejects with problem-module where the module cannot be loaded', async () => {
    const pool = workerPool({ module: './no-such-module.ts', threads: 1 });
    await expect(pool.evaluate(job(0))).rejects.toMatchObject({
      code: 'problem-module',
      message: expect.stringContaining(`no file at ${join(process.cwd(), 'no-such-module.ts')}`) as string,
    });
    await pool.close();
  });

  it.each(['esm', 'cjs'] as const)('in an app bundled as %s says to keep the package external', async (format) => {
    const folder = mkdtempSync(join(tmpdir(), 'bundled-'));
    const entry = join(folder, 'app.mts');
    const pool = join(import.meta.dirname, '../../src/evaluate/worker-pool.ts');
    writeFileSync(
      entry,
      `import { workerPool } from ${JSON.stringify(pool)};
      try { workerPool({ module: 'bert-synth', threads: 1 }); }
      catch ({ name, code, message }) { console.log(JSON.stringify({ name, code, message })); }`,
    );
    const outDir = join(folder, 'out');
    await build({
      config: false,
      entry,
      outDir,
      format,
      platform: 'node',
      fixedExtension: true,
      dts: false,
      deps: { alwaysBundle: [/./] },
      logLevel: 'silent',
    });
    const bundle = join(outDir, format === 'esm' ? 'app.mjs' : 'app.cjs');
    const said = JSON.parse(execFileSync(process.execPath, [bundle], { encoding: 'utf8' })) as unknown;
    expect(said).toMatchObject({
      name: 'SearchError',
      code: 'invalid-option',
      message: expect.stringContaining('keep @instatune/search external when bundling for Node') as string,
    });
  });

  it('stops a running measurement on abort', async () => {
    const abort = new AbortController();
    await withPool({ threads: 1, options: { on: 3, how: 'hang' } }, async (pool) => {
      const running = pool.evaluate(job(3), { signal: abort.signal });
      const waiting = pool.evaluate(job(1), { signal: abort.signal });
      setTimeout(() => abort.abort(new Error('enough')), 300);
      await expect(running).rejects.toThrow('enough');
      await expect(waiting).rejects.toThrow('enough');
      expect(await pool.evaluate(job(1))).toMatchObject({ status: 'complete' });
    });
  });
});
