// Other tilings of the kernels behind the vote, timed in one run so that constants can be chosen afterwards. Each in its own error scope:
// one that fails is a row with its failure. Masks are compared with those of the general kernels.
import {
  allocateMask,
  DEFAULT_TUNING,
  destroyMask,
  emptyTensor,
  encodeAttention,
  encodeSearch,
  GpuCall,
  GpuContext,
  planSearch,
  readMask,
  type MatrixVariant,
  type SearchTuning,
} from '@hip/kernels-webgpu';
import { maskCapacity, maskLayout, DEFAULT_CONFIG, type BlockMask, type HipConfig } from '@hip/mask-search';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';
import { difference } from './search-check.ts';
import { LLAMA } from './search.ts';
import { attempt, decodeCycleRows } from './vote.ts';

type Rows = Record<string, unknown>[];
type Chunks = NonNullable<SearchTuning['chunks']>;
type Vote = NonNullable<SearchTuning['vote']>;

const GENERAL: SearchTuning = { ...DEFAULT_TUNING, chunks: undefined, vote: undefined };

/** Stage 2: subgroups × row tiles × key tiles × buffers. The first is the general kernel. */
const CHUNKS: readonly (Chunks | undefined)[] = [
  undefined,
  ...(
    [
      [4, 2, 1, 2],
      [4, 1, 2, 2],
      [4, 4, 1, 1],
      [2, 4, 1, 2],
      [4, 2, 2, 1],
      [2, 2, 2, 2],
      [4, 1, 4, 1],
      [2, 4, 2, 1],
      [8, 2, 1, 1],
      [1, 4, 1, 2],
      [1, 4, 2, 2],
      [1, 4, 4, 1],
      [4, 1, 1, 2],
      [4, 2, 1, 1],
      [2, 2, 1, 2],
      [8, 1, 2, 1],
      [1, 4, 1, 1],
    ] as const
  ).map(([subgroups, rowTiles, keyTiles, buffers]) => ({ subgroups, rowTiles, keyTiles, buffers })),
];

/** The vote: key tiles × buffers × workgroups. */
const VOTES: readonly (Vote | undefined)[] = [
  undefined,
  ...(
    [
      [4, 1, 528],
      [2, 2, 528],
      [2, 1, 528],
      [4, 1, 264],
      [4, 1, 396],
      [4, 1, 660],
      [4, 1, 792],
      [4, 1, 1056],
      [4, 1, 2112],
      [2, 2, 792],
      [2, 1, 1056],
    ] as const
  ).map(([keyTiles, buffers, workgroups]) => ({ keyTiles, buffers, workgroups })),
];

/** Of the attention over its masks. */
function attentionVariants(lanes: number): readonly (MatrixVariant | undefined)[] {
  const base = { kind: 'matrix', subgroups: 4, lanes, keys: 64, prefetch: true } as const;
  return [
    undefined,
    { ...base, speculate: true },
    { ...base, keys: 32 },
    { ...base, keys: 32, speculate: true },
    { ...base, subgroups: 2, rowMatrices: 2 },
    { ...base, subgroups: 2, rowMatrices: 2, keys: 32 },
    { ...base, subgroups: 2, rowMatrices: 2, keys: 32, speculate: true },
    { ...base, subgroups: 2, keys: 32 },
    { ...base, subgroups: 2, keys: 16 },
    { ...base, keys: 16 },
    { ...base, subgroups: 2, rowMatrices: 2, keys: 16 },
    { ...base, spareBytes: 3072 },
  ];
}

/** Decoding as devices of lower limits do it. */
const DECODES: Readonly<Record<string, Partial<GpuContext['limits']>>> = {
  'as it comes': {},
  'workgroups of 256': { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256 },
  'choice and attention apart': { maxStorageBuffersPerShaderStage: 10 },
};

export interface VariantOptions {
  readonly tokens?: number;
  /** performance.now() at which to begin nothing new. */
  readonly deadline: number;
  readonly log: (line: string) => void;
}

/** Rows `{ what, …sizes, ms }`, the time of the pass in question; or `{ …, failure }`. */
export async function voteVariantRows(
  context: GpuContext,
  { tokens = 32_768, deadline, log }: VariantOptions,
): Promise<Rows> {
  const rows: Rows = [];
  const config: HipConfig = DEFAULT_CONFIG;
  const { heads, kvHeads, headDim } = LLAMA;
  const shape = { batch: 1, queries: tokens, keys: tokens, ...LLAMA };
  const make = (count: number, seed: number): ReturnType<typeof randomTensor> =>
    randomTensor(context, 'f16', tokens * count * headDim, seed);
  const [q, k, v] = [make(heads, 1), make(kvHeads, 2), make(kvHeads, 3)];
  const out = emptyTensor({ context, type: 'f16', length: q.length });
  const mask = allocateMask(context, maskLayout(shape, config, maskCapacity(config)));
  const add = (row: Record<string, unknown>): void => {
    rows.push(row);
    log(JSON.stringify(row));
  };
  /** Times `label` of a call; what fails is a row. */
  const time = async (
    what: string,
    sizes: object | undefined,
    label: string,
    encode: (call: GpuCall) => void,
    after?: () => Promise<Record<string, unknown>>,
  ): Promise<void> => {
    if (performance.now() > deadline) return;
    const started = performance.now();
    try {
      const call = new GpuCall(context);
      encode(call);
      const prepared = call.prepare();
      try {
        const { passes } = await measure(context, (timer) => prepared.submit(timer), {
          runs: 3,
          wallRuns: 0,
          warmMs: 60,
        });
        const extra = await after?.();
        add({ what, ...sizes, ms: passes[label], ...extra, seconds: (performance.now() - started) / 1000 });
      } finally {
        prepared.release();
      }
    } catch (error) {
      add({ what, ...sizes, failure: String(error).slice(0, 800) });
      // What later scopes caught belongs to this one.
      await context.settled().catch(() => undefined);
    }
  };
  const search = (tuning: SearchTuning) => (call: GpuCall) => {
    const { profile, limits } = context;
    encodeSearch(call, planSearch({ shape, config, type: 'f16', profile, limits, tuning }), { q, k, mask });
  };
  let general: BlockMask | undefined;
  const compared = async (): Promise<Record<string, unknown>> => {
    const found = await readMask(context, mask);
    general ??= found;
    return { difference: difference(general, found) };
  };
  const attention = attentionVariants(context.profile.subgroupMaxSize);
  // The lists take turns, so that a run that is cut off has some of each; the first search leaves the mask that is attended over.
  for (let i = 0; i < Math.max(CHUNKS.length, VOTES.length, attention.length); i++) {
    if (i < CHUNKS.length)
      await time(
        'exact',
        CHUNKS[i] ?? { general: true },
        'search/1-exact',
        search({ ...GENERAL, chunks: CHUNKS[i] }),
        compared,
      );
    if (i < VOTES.length)
      await time(
        'vote',
        VOTES[i] ?? { general: true },
        'search/2-mass',
        search({ ...GENERAL, vote: VOTES[i] }),
        compared,
      );
    const variant = attention[i];
    if (i < attention.length)
      await time('attention', variant ?? { default: true }, 'attention/sparse', (call) =>
        encodeAttention(call, { q, k, v, out }, shape, mask, variant ? { variant } : {}),
      );
  }
  destroyMask(mask);
  for (const { buffer } of [q, k, v, out]) buffer.destroy();
  context.pool.clear();
  for (const [name, limits] of Object.entries(DECODES)) {
    if (performance.now() > deadline) break;
    const narrow = Object.assign(new GpuContext(context.device), { limits: { ...context.limits, ...limits } });
    await attempt({ what: 'decode', name }, rows, async () =>
      (await decodeCycleRows(narrow, { config, name: `VOTE_CONFIG, ${name}`, log })).map((row) => ({
        ...row,
        ...limits,
      })),
    );
  }
  return rows;
}
