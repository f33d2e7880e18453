// Checks of the vote and the remainder for a real device: each tier's masks and outputs against float64, and what NaN reaches.
import {
  allocateMask,
  destroyMask,
  emptyTensor,
  encodeAttention,
  encodeSearch,
  GpuCall,
  planSearch,
  readMask,
  readTensor,
  uploadTensor,
  type ElementType,
  type GpuContext,
  type Tier,
} from '@hip/kernels-webgpu';
import {
  blockSparseAttention,
  maskCapacity,
  maskLayout,
  resolveConfig,
  searchBlockMask,
  DEFAULT_CONFIG,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';
import { difference } from './search-check.ts';
import { voteDecodeChecks } from './vote-decode-check.ts';

interface Values {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Roughly normal numbers, as f16 holds them. */
function normals(length: number, seed: number): Float32Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Float32Array.from(new Float16Array(length).map(() => (uniform() + uniform() + uniform()) * 1.0));
}

async function run(
  context: GpuContext,
  { q, k, v }: Values,
  shape: AttentionShape,
  config: HipConfig,
  { type, tier }: { readonly type: ElementType; readonly tier: Tier },
): Promise<{ readonly mask: BlockMask; readonly out: Float32Array }> {
  const tensors = {
    q: uploadTensor(context, q, type),
    k: uploadTensor(context, k, type),
    v: uploadTensor(context, v, type),
    out: emptyTensor({ context, type, length: q.length }),
  };
  const profile = { ...context.profile, tier };
  const plan = planSearch({ shape, config, type, profile, limits: context.limits });
  const held = allocateMask(context, maskLayout(shape, config, maskCapacity(config)));
  const call = new GpuCall(context);
  encodeSearch(call, plan, { ...tensors, mask: held });
  encodeAttention(call, tensors, shape, held, { tier });
  call.submit();
  const mask = await readMask(context, held);
  const out = await readTensor(context, tensors.out);
  destroyMask(held);
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return { mask, out };
}

/** Rows of the output, by query row, that hold a number that is none. */
function oddRows(out: Float32Array, { heads, headDim }: AttentionShape): Set<number> {
  const rows = new Set<number>();
  out.forEach((x, i) => Number.isFinite(x) || rows.add(Math.floor(i / (heads * headDim))));
  return rows;
}

/** Rows `{check, …, ok}`. Masks may differ where scores are alike to f16: a share of the blocks is stated and bounded. */
export async function voteChecks(
  context: GpuContext,
  { log }: { readonly log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const add = (row: Record<string, unknown>): void => {
    rows.push(row);
    log?.(JSON.stringify(row));
  };
  const tiers: readonly Tier[] = ['basic', 'subgroups', 'subgroup-matrix'];
  const mine = tiers.slice(0, tiers.indexOf(context.profile.tier) + 1);
  const shape = { batch: 1, queries: 150, keys: 6000, heads: 2, kvHeads: 1, headDim: 128 };
  const cases: Record<string, { config: HipConfig; shape: AttentionShape }> = {
    vote: { config: DEFAULT_CONFIG, shape },
    'vote, d=64, two batches': {
      config: DEFAULT_CONFIG,
      shape: { ...shape, batch: 2, queries: 100, keys: 5200, kvHeads: 2, headDim: 64 },
    },
    'vote, budgets by head, an exact tail': {
      config: resolveConfig({
        ...DEFAULT_CONFIG,
        kPerHead: [448, 0],
        remainder: { block: 64, most: 8, tail: 'exact' },
      }),
      shape,
    },
    'vote on 16 keys, all channels': {
      config: resolveConfig({
        ...DEFAULT_CONFIG,
        blockK: 16,
        stages: [
          { chunk: 64, keep: 2048, strideQ: 4, rows: 'mean', score: 'deviation' },
          { chunk: 16, keep: 320, score: 'mass' },
        ],
      }),
      shape,
    },
  };
  for (const [name, { config, shape: one }] of Object.entries(cases)) {
    const { batch, queries, keys, heads, kvHeads, headDim } = one;
    const values = {
      q: normals(batch * queries * heads * headDim, 1),
      k: normals(batch * keys * kvHeads * headDim, 2),
      v: normals(batch * keys * kvHeads * headDim, 3),
    };
    const expected = searchBlockMask(values.q, values.k, one, config);
    for (const type of ['f32', 'f16'] as const)
      for (const tier of mine) {
        const { mask, out } = await run(context, values, one, config, { type, tier });
        const share = difference(expected, mask);
        const counts = mask.counts.join() === expected.counts.join();
        const wanted = blockSparseAttention(values.q, values.k, values.v, one, mask);
        const error = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - out[i]!)), 0);
        const most = type === 'f16' && tier === 'subgroup-matrix' ? 0.02 : 0.001;
        add({ check: name, type, tier, difference: share, error, counts, ok: counts && share <= most && error < 4e-3 });
        // A key in the last row's window: the first rows must not notice.
        const spoiled = {
          ...values,
          k: values.k.map((x, i) => (Math.floor(i / (kvHeads * headDim)) % keys >= keys - 20 ? NaN : x)),
        };
        const odd = oddRows((await run(context, spoiled, one, config, { type, tier })).out, one);
        const seeing = Array.from(
          { length: batch },
          (_, b) => [...odd].filter((row) => row % queries >= queries - 20 && Math.floor(row / queries) === b).length,
        );
        add({
          check: `${name}: NaN`,
          type,
          tier,
          oddRows: odd.size,
          ok: odd.size === 20 * batch && seeing.every((count) => count === 20),
        });
      }
  }
  try {
    await voteDecodeChecks(context, normals, add);
  } catch (error) {
    add({ check: 'decode, vote', failure: String(error).slice(0, 500), ok: false });
  }
  return rows;
}
