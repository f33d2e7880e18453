// Rows of the vote: prefill by pass at several lengths, one token at a time over whole refresh cycles, and a million tokens in chunks.
import { emptyTensor, GpuCall, GpuDecodeSession, KvCache, KvPool, type GpuContext } from '@hip/kernels-webgpu';
import { BOUND_CONFIG, DEFAULT_CONFIG, type HipConfig } from '@hip/mask-search';
import { WIDE_BOUNDS } from '../bounds.ts';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';
import { chunkedPrefillRows, LLAMA, searchRows } from './search.ts';

type Rows = Record<string, unknown>[];

export interface VoteRowOptions {
  /** performance.now() at which to begin nothing new. */
  readonly deadline: number;
  readonly log: (line: string) => void;
}

/** What is compared, each once however many names it has. */
function configurations(): Record<string, HipConfig> {
  const found = new Map<HipConfig, string>();
  for (const [name, config] of Object.entries({ DEFAULT_CONFIG, WIDE_BOUNDS, BOUND_CONFIG }))
    if (![...found.keys()].some((other) => JSON.stringify(other) === JSON.stringify(config))) found.set(config, name);
  return Object.fromEntries([...found].map(([config, name]) => [name, config]));
}

/** Runs `work`; what it throws is a row, and the next may still run. */
export async function attempt(row: Record<string, unknown>, rows: Rows, work: () => Promise<Rows>): Promise<void> {
  try {
    rows.push(...(await work()));
  } catch (error) {
    rows.push({ ...row, failure: String(error).slice(0, 800) });
  }
}

/** Prefill and decode of the vote, and of what was shipped before. */
export async function voteRows(context: GpuContext, { deadline, log }: VoteRowOptions): Promise<Rows> {
  const rows: Rows = [];
  const all = configurations();
  for (const tokens of [8192, 32_768, 131_072])
    for (const [name, config] of Object.entries(all)) {
      if (performance.now() > deadline) return rows;
      await attempt({ what: 'prefill', config: name, tokens }, rows, () =>
        searchRows(context, { config, name, lengths: [tokens], warmMs: 150, log }),
      );
    }
  for (const [name, config] of Object.entries(all)) {
    if (performance.now() > deadline) return rows;
    await attempt({ what: 'decode', config: name }, rows, () => decodeCycleRows(context, { config, name, log }));
  }
  for (const name of ['DEFAULT_CONFIG', 'WIDE_BOUNDS']) {
    if (performance.now() > deadline) return rows;
    await attempt({ what: 'a million tokens', config: name }, rows, async () =>
      (await chunkedPrefillRows(context, { config: all[name]!, log })).map((row) => ({ ...row, config: name })),
    );
  }
  for (const row of rows) if ('failure' in row) log(JSON.stringify(row));
  return rows;
}

/** One token at a time against a cache: the mean over refresh cycles, by pass, and by the clock. */
export async function decodeCycleRows(
  context: GpuContext,
  {
    tokens = 131_072,
    config,
    name,
    cycle = 8,
    log,
  }: { tokens?: number; config: HipConfig; name: string; cycle?: number; log?: (line: string) => void },
): Promise<Rows> {
  const { heads, kvHeads, headDim } = LLAMA;
  const pool = new KvPool(context, { kvHeads, headDim, tokens: tokens + 4096 });
  const cache = new KvCache(pool);
  const long = {
    k: randomTensor(context, 'f16', tokens * kvHeads * headDim, 2),
    v: randomTensor(context, 'f16', tokens * kvHeads * headDim, 3),
  };
  const one = {
    q: randomTensor(context, 'f16', heads * headDim, 4),
    k: randomTensor(context, 'f16', kvHeads * headDim, 5),
    v: randomTensor(context, 'f16', kvHeads * headDim, 6),
    out: emptyTensor({ context, type: 'f16', length: heads * headDim }),
  };
  try {
    const fill = new GpuCall(context);
    cache.append(fill, long.k, long.v, tokens);
    fill.submit();
    const session = new GpuDecodeSession(cache, { heads, config });
    const measured = await measure(
      context,
      (timer) => {
        for (let i = 0; i < cycle; i++) session.step(one, timer);
      },
      { runs: 12, wallRuns: 40, passes: 512, warmMs: 150 },
    );
    const perStep = (ms: number): number => ms / cycle;
    const row = {
      what: 'decode, per step over refresh cycles',
      config: name,
      tokens,
      gpuMs: perStep(measured.gpuMs),
      wallMs: perStep(measured.wallMs),
      passes: Object.fromEntries(Object.entries(measured.passes).map(([label, ms]) => [label, perStep(ms)])),
      sessionBytes: session.bytes,
    };
    log?.(JSON.stringify(row));
    session.destroy();
    return [row];
  } finally {
    cache.dispose();
    pool.destroy();
    for (const { buffer } of [...Object.values(long), ...Object.values(one)]) buffer.destroy();
    context.pool.clear();
  }
}
