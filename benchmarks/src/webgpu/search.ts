// Rows of mask search and of search with block-sparse attention: prefill of 8K … 128K, and of 1M in chunks through the cache.
import {
  allocateMask,
  DEFAULT_TUNING,
  encodeAttention,
  encodeSearch,
  GpuCall,
  GpuDecodeSession,
  KvCache,
  KvPool,
  planSearch,
  emptyTensor,
  destroyMask,
  type GpuContext,
  type SearchTuning,
  type Tier,
} from '@hip/kernels-webgpu';
import { DEFAULT_CONFIG, maskCapacity, maskLayout, type HipConfig } from '@hip/mask-search';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';

/** Llama-3-8B's attention. */
export const LLAMA = { heads: 32, kvHeads: 8, headDim: 128 } as const;

export interface SearchRowOptions {
  readonly lengths?: readonly number[];
  readonly config?: HipConfig;
  readonly name?: string;
  /** Also runs the attention over the mask. */
  readonly attention?: boolean;
  readonly tier?: Tier;
  readonly tuning?: SearchTuning;
  readonly scratchBytes?: number;
  /** Milliseconds of calls before the timed ones. @defaultValue 0 */
  readonly warmMs?: number;
  readonly log?: (line: string) => void;
}

/** Prefill: search alone, or search and attention in one call. */
export async function searchRows(
  context: GpuContext,
  {
    lengths = [8192, 32_768, 131_072],
    config = DEFAULT_CONFIG,
    name = 'DEFAULT_CONFIG',
    attention = true,
    tier = context.profile.tier,
    tuning,
    scratchBytes,
    warmMs = 0,
    log,
  }: SearchRowOptions = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const { heads, kvHeads, headDim } = LLAMA;
  for (const tokens of lengths) {
    const shape = { batch: 1, queries: tokens, keys: tokens, ...LLAMA };
    const [q, k, v] = [heads, kvHeads, kvHeads].map((count, i) =>
      randomTensor(context, 'f16', tokens * count * headDim, i + 1),
    ) as [ReturnType<typeof randomTensor>, ReturnType<typeof randomTensor>, ReturnType<typeof randomTensor>];
    const out = emptyTensor({ context, type: 'f16', length: q.length });
    const plan = planSearch({
      shape,
      config,
      type: 'f16',
      profile: { ...context.profile, tier },
      limits: context.limits,
      tuning,
      scratchBytes,
    });
    const mask = allocateMask(context, maskLayout(shape, config, maskCapacity(config)));
    for (const withAttention of attention ? [false, true] : [false]) {
      const call = new GpuCall(context);
      encodeSearch(call, plan, { q, k, mask });
      if (withAttention) encodeAttention(call, { q, k, v, out }, shape, mask, { tier });
      const prepared = call.prepare();
      const measured = await measure(context, (timer) => prepared.submit(timer), { runs: 3, wallRuns: 3, warmMs });
      prepared.release();
      rows.push({
        what: withAttention ? 'prefill, search and attention' : 'prefill, search',
        config: name,
        tier,
        tokens,
        ...measured,
        ...(tuning && { tuning }),
        slabs: plan.slabs.length,
        scratchBytes: Object.values(plan.scratch).reduce((a, b) => a + b, 0),
        poolBytes: context.pool.bytes,
      });
      log?.(JSON.stringify(rows.at(-1)));
    }
    destroyMask(mask);
    for (const { buffer } of [q, k, v, out]) buffer.destroy();
    context.pool.clear();
  }
  return rows;
}

/**
 * Prefill at each length three times: with matrices in every stage, in none, and in those where they were the faster; the last with
 * attention as well.
 */
export async function prefillRows(
  context: GpuContext,
  {
    lengths = [8192, 32_768, 131_072],
    config = DEFAULT_CONFIG,
    log,
  }: Pick<SearchRowOptions, 'lengths' | 'config' | 'log'> = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const stages = (config.stages ?? []).map(({ score }, i) => ({ index: i, label: `search/${i}-${score}` }));
  for (const tokens of lengths) {
    const options = { lengths: [tokens], config, ...(log && { log }) };
    if (context.profile.tier !== 'subgroup-matrix') {
      rows.push(...(await searchRows(context, options)));
      continue;
    }
    const vectors = { ...DEFAULT_TUNING, vectorStages: stages.map(({ index }) => index) };
    const [matrix, vector] = [
      await searchRows(context, { ...options, attention: false }),
      await searchRows(context, { ...options, attention: false, tuning: vectors }),
    ];
    const time = (found: Record<string, unknown>[], label: string): number =>
      (found[0]!['passes'] as Record<string, number>)[label] ?? 0;
    const vectorStages = stages
      .filter(({ index, label }) => time(vector, label) < time(matrix, label) + time(matrix, `search/${index}-rows`))
      .map(({ index }) => index);
    const best = await searchRows(context, { ...options, tuning: { ...DEFAULT_TUNING, vectorStages } });
    rows.push(...matrix, ...vector, ...best);
  }
  return rows;
}

/** Search alone with other sizes of the matrix kernels. */
export async function searchVariantRows(
  context: GpuContext,
  {
    tokens = 32_768,
    deadline = Infinity,
    log,
  }: { tokens?: number; deadline?: number; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const base = { exactSubgroups: 4, boundSubgroups: 4, boundRound: 32 };
  for (const tuning of [
    base,
    { exactSubgroups: 2, boundSubgroups: 4, boundRound: 16 },
    { exactSubgroups: 8, boundSubgroups: 2, boundRound: 32 },
    { exactSubgroups: 1, boundSubgroups: 2, boundRound: 16 },
  ]) {
    if (performance.now() > deadline) break;
    const found = await searchRows(context, { lengths: [tokens], tuning, attention: false });
    rows.push(...found.map((row) => ({ ...row, ...tuning })));
    log?.(JSON.stringify(rows.at(-1)));
  }
  for (const scratchBytes of [2 ** 26, 2 ** 28]) {
    if (performance.now() > deadline) break;
    rows.push(
      ...(await searchRows(context, { lengths: [131_072], scratchBytes, attention: false, ...(log && { log }) })),
    );
  }
  return rows;
}

/** Prefill of `tokens` in chunks through a cache, then decode at that length. */
export async function chunkedPrefillRows(
  context: GpuContext,
  {
    tokens = 2 ** 20,
    chunk = 32_768,
    config = DEFAULT_CONFIG,
    steps = 32,
    log,
  }: { tokens?: number; chunk?: number; config?: HipConfig; steps?: number; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const { heads, kvHeads, headDim } = LLAMA;
  const pool = new KvPool(context, { kvHeads, headDim, tokens: tokens + 4096, pageTokens: 1024 });
  const cache = new KvCache(pool);
  const session = new GpuDecodeSession(cache, { heads, config });
  const tensors = {
    q: randomTensor(context, 'f16', chunk * heads * headDim, 1),
    k: randomTensor(context, 'f16', chunk * kvHeads * headDim, 2),
    v: randomTensor(context, 'f16', chunk * kvHeads * headDim, 3),
    out: emptyTensor({ context, type: 'f16', length: chunk * heads * headDim }),
  };
  const { queue } = context.device;
  const start = performance.now();
  const marks: number[] = [];
  for (let done = 0; done < tokens; done += chunk) {
    session.prefill(tensors, chunk);
    await queue.onSubmittedWorkDone();
    marks.push(performance.now() - start);
    log?.(`prefilled ${done + chunk} in ${marks.at(-1)!.toFixed(1)} ms`);
  }
  const wallMs = performance.now() - start;
  await context.settled();
  const one = {
    q: randomTensor(context, 'f16', heads * headDim, 4),
    k: randomTensor(context, 'f16', kvHeads * headDim, 5),
    v: randomTensor(context, 'f16', kvHeads * headDim, 6),
    out: emptyTensor({ context, type: 'f16', length: heads * headDim }),
  };
  const decode = await measure(context, (timer) => session.step(one, timer), {
    runs: steps,
    wallRuns: steps,
    passes: 64,
  });
  const row = {
    what: `prefill in chunks of ${chunk}, then decode`,
    tokens,
    wallMs,
    lastChunkMs: marks.at(-1)! - marks.at(-2)!,
    decode,
    cacheBytes: pool.plan.bytes,
    pools: pool.pools.length,
    sessionBytes: session.bytes,
    poolBytes: context.pool.bytes,
  };
  session.destroy();
  cache.dispose();
  pool.destroy();
  for (const { buffer } of [...Object.values(tensors), ...Object.values(one)]) buffer.destroy();
  context.pool.clear();
  log?.(JSON.stringify(row));
  return [row];
}
