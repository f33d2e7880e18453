// Rows of decode: mask cached, full search every step, the average with refresh, and dense.
import {
  emptyTensor,
  encodeDecode,
  GpuCall,
  GpuDecodeSession,
  KvCache,
  KvPool,
  type GpuContext,
} from '@hip/kernels-webgpu';
import { DEFAULT_CONFIG, resolveConfig, type HipConfig } from '@hip/mask-search';
import { median } from '../benchmark.ts';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';
import { LLAMA } from './search.ts';

/** Steps between two searches in the row that times cached steps alone. */
const LONG = 64;
/** Rounds of such steps. */
const ROUNDS = 12;

/** One token against a cache. */
export async function decodeRows(
  context: GpuContext,
  {
    lengths = [32_768, 131_072],
    config = DEFAULT_CONFIG,
    name = 'DEFAULT_CONFIG',
    steps = 100,
    log,
  }: {
    lengths?: readonly number[];
    config?: HipConfig;
    name?: string;
    steps?: number;
    log?: (line: string) => void;
  } = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const { heads, kvHeads, headDim } = LLAMA;
  const add = (row: Record<string, unknown>): void => {
    rows.push({ config: name, ...row });
    log?.(JSON.stringify(rows.at(-1)));
  };
  for (const tokens of lengths) {
    const pool = new KvPool(context, { kvHeads, headDim, tokens: tokens + 4096 });
    const cache = new KvCache(pool);
    const long = {
      k: randomTensor(context, 'f16', tokens * kvHeads * headDim, 2),
      v: randomTensor(context, 'f16', tokens * kvHeads * headDim, 3),
    };
    const fill = new GpuCall(context);
    cache.append(fill, long.k, long.v, tokens);
    fill.submit();
    const one = {
      q: randomTensor(context, 'f16', heads * headDim, 4),
      k: randomTensor(context, 'f16', kvHeads * headDim, 5),
      v: randomTensor(context, 'f16', kvHeads * headDim, 6),
      out: emptyTensor({ context, type: 'f16', length: heads * headDim }),
    };
    const cached = new GpuDecodeSession(cache, { heads, config: resolveConfig({ ...config, refreshInterval: LONG }) });
    cached.step(one);
    const timed = await measure(context, (timer) => cached.step(one, timer), {
      runs: LONG - 8,
      wallRuns: 1,
      passes: 64,
    });
    // Searches are left out: one precedes each round, which starts when it is done.
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      cached.reset();
      cached.step(one);
      await context.device.queue.onSubmittedWorkDone();
      const start = performance.now();
      for (let i = 0; i < LONG - 1; i++) cached.step(one);
      await context.device.queue.onSubmittedWorkDone();
      rounds.push((performance.now() - start) / (LONG - 1));
    }
    add({ what: 'decode, mask cached', tokens, ...timed, wallMs: median(rounds) });
    cached.destroy();
    const full = new GpuDecodeSession(cache, { heads, config });
    add({
      what: 'decode, full search',
      tokens,
      ...(await measure(
        context,
        (timer) => {
          full.reset();
          full.step(one, timer);
        },
        { runs: steps, wallRuns: steps, passes: 64 },
      )),
    });
    full.destroy();
    const session = new GpuDecodeSession(cache, { heads, config });
    const { refreshInterval } = config;
    const average = await measure(
      context,
      (timer) => {
        for (let i = 0; i < refreshInterval; i++) session.step(one, timer);
      },
      { runs: 8, wallRuns: 40, passes: 256 },
    );
    add({
      what: `decode, searched every ${refreshInterval} steps, per step`,
      tokens,
      gpuMs: average.gpuMs / refreshInterval,
      wallMs: average.wallMs / refreshInterval,
      passes: average.passes,
      sessionBytes: session.bytes,
    });
    session.destroy();
    const [view] = cache.views();
    const shape = { batch: 1, queries: 1, keys: cache.length, ...LLAMA };
    const dense = new GpuCall(context);
    encodeDecode(dense, { q: one.q, out: one.out, k: view!.k, v: view!.v }, shape, undefined, {
      keyRows: view!.keyRows,
    });
    const prepared = dense.prepare();
    add({
      what: 'decode, dense',
      tokens,
      ...(await measure(context, (timer) => prepared.submit(timer), { runs: steps, wallRuns: steps, passes: 64 })),
    });
    prepared.release();
    cache.dispose();
    pool.destroy();
    for (const { buffer } of [...Object.values(long), ...Object.values(one)]) buffer.destroy();
    context.pool.clear();
  }
  return rows;
}
