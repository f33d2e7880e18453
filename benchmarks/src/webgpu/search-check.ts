// Checks for a real device: each tier's masks against the reference (exact integers), matrix against vector kernels at size, decode against float64.
import {
  allocateMask,
  destroyMask,
  encodeDecode,
  encodeSearch,
  emptyTensor,
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
  denseAttention,
  maskLayout,
  PAPER_CONFIG,
  resolveConfig,
  searchBlockMask,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';
import { WIDE_BOUNDS } from '../bounds.ts';
import { randomTensor } from './random.ts';
import { LLAMA } from './search.ts';

/** Small integers: every score is exact in float32, so masks must agree bit for bit. */
function integers(length: number, seed: number, factor = 1): Float32Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.round((state / 2 ** 31 - 1) * 3) * factor;
  });
}

async function search(
  context: GpuContext,
  shape: AttentionShape,
  config: HipConfig,
  type: ElementType,
  tier: Tier,
  tensors: { q: ReturnType<typeof uploadTensor>; k: ReturnType<typeof uploadTensor> },
): Promise<BlockMask> {
  const plan = planSearch({ shape, config, type, profile: { ...context.profile, tier }, limits: context.limits });
  const mask = allocateMask(context, maskLayout(shape, config, Math.ceil(config.k / config.blockK)));
  const call = new GpuCall(context);
  encodeSearch(call, plan, { ...tensors, mask });
  call.submit();
  const found = await readMask(context, mask);
  destroyMask(mask);
  return found;
}

/** Starts of `a` that `b` lacks, as a share of all. */
export function difference(a: BlockMask, b: BlockMask): number {
  let missing = 0;
  let total = 0;
  a.counts.forEach((count, cell) => {
    const other = new Set(b.starts.subarray(cell * b.capacity, cell * b.capacity + b.counts[cell]!));
    for (let i = 0; i < count; i++) if (!other.has(a.starts[cell * a.capacity + i]!)) missing++;
    total += count;
  });
  return missing / Math.max(1, total);
}

/** The first cells that differ: what each side has alone. Where keys are missing tells which way of selecting lost them. */
function firstDifferences(expected: BlockMask, actual: BlockMask): Record<string, unknown>[] {
  const startsOf = (mask: BlockMask, cell: number): number[] => [
    ...mask.starts.subarray(cell * mask.capacity, cell * mask.capacity + mask.counts[cell]!),
  ];
  const cells: Record<string, unknown>[] = [];
  for (let cell = 0; cell < expected.counts.length && cells.length < 3; cell++) {
    const [a, b] = [startsOf(expected, cell), startsOf(actual, cell)];
    const [missing, extra] = [a.filter((start) => !b.includes(start)), b.filter((start) => !a.includes(start))];
    if (missing.length + extra.length > 0)
      cells.push({ cell, count: a.length, missing: missing.slice(0, 8), extra: extra.slice(0, 8) });
  }
  return cells;
}

/** Rows `{check, …, ok}`. */
export async function searchChecks(
  context: GpuContext,
  { log, only = /./u }: { log?: (line: string) => void; only?: RegExp } = {},
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const add = (row: Record<string, unknown>): void => {
    rows.push(row);
    log?.(JSON.stringify(row));
  };
  const tiers: readonly Tier[] = ['basic', 'subgroups', 'subgroup-matrix'];
  const mine = tiers.slice(0, tiers.indexOf(context.profile.tier) + 1);
  const configs: Record<string, { config: HipConfig; shape: AttentionShape }> = {
    default: {
      config: WIDE_BOUNDS,
      shape: { batch: 1, queries: 700, keys: 9000, heads: 4, kvHeads: 2, headDim: 128 },
    },
    'default, d=64, two batches': {
      config: WIDE_BOUNDS,
      shape: { batch: 2, queries: 200, keys: 6000, heads: 2, kvHeads: 1, headDim: 64 },
    },
    // More than 256 chunks: another way of selecting.
    'default, chunks counted by digits': {
      config: WIDE_BOUNDS,
      shape: { batch: 1, queries: 300, keys: 32_768, heads: 6, kvHeads: 2, headDim: 64 },
    },
    'default, scores that stay in memory': {
      config: WIDE_BOUNDS,
      shape: { batch: 1, queries: 130, keys: 150_000, heads: 2, kvHeads: 1, headDim: 64 },
    },
    ...Object.fromEntries(
      (['bound', 'exact'] as const).map((score) => [
        `one stage, ${score}, more than 256 chunks`,
        {
          config: resolveConfig({
            k: 4096,
            blockK: 64,
            stages: [{ chunk: 64, keep: 4096, strideQ: 8, rows: 'mean', score }],
          }),
          shape: { batch: 1, queries: 130, keys: 32_768, heads: 2, kvHeads: 1, headDim: 64 },
        },
      ]),
    ),
    'the paper': {
      config: resolveConfig({ ...PAPER_CONFIG, k: 256 }),
      shape: { batch: 1, queries: 130, keys: 4000, heads: 2, kvHeads: 1, headDim: 128 },
    },
    shared: {
      config: resolveConfig({ ...WIDE_BOUNDS, shareHeads: true }),
      shape: { batch: 1, queries: 130, keys: 6000, heads: 4, kvHeads: 2, headDim: 80 },
    },
  };
  for (const [name, { config, shape }] of Object.entries(configs)) {
    if (!only.test(name)) continue;
    const q = integers(shape.batch * shape.queries * shape.heads * shape.headDim, 1, 840);
    const k = integers(shape.batch * shape.keys * shape.kvHeads * shape.headDim, 2);
    const expected = searchBlockMask(q, k, shape, config);
    for (const type of ['f32', 'f16'] as const) {
      const tensors = { q: uploadTensor(context, q, type), k: uploadTensor(context, k, type) };
      for (const tier of mine) {
        const actual = await search(context, shape, config, type, tier, tensors);
        const differing = firstDifferences(expected, actual);
        add({
          check: `search, ${name}`,
          type,
          tier,
          ...(differing.length > 0 && { differing }),
          ok: actual.starts.join() === expected.starts.join() && actual.counts.join() === expected.counts.join(),
          difference: difference(expected, actual),
        });
      }
      tensors.q.buffer.destroy();
      tensors.k.buffer.destroy();
    }
  }
  if (context.profile.tier === 'subgroup-matrix') {
    const shape = { batch: 1, queries: 32_768, keys: 32_768, ...LLAMA };
    const tensors = {
      q: randomTensor(context, 'f16', shape.queries * shape.heads * shape.headDim, 1),
      k: randomTensor(context, 'f16', shape.keys * shape.kvHeads * shape.headDim, 2),
    };
    const [matrix, vector] = [
      await search(context, shape, WIDE_BOUNDS, 'f16', 'subgroup-matrix', tensors),
      await search(context, shape, WIDE_BOUNDS, 'f16', 'subgroups', tensors),
    ];
    const share = difference(vector, matrix);
    // Means round to f16 for the matrix kernels: near ties may swap.
    add({ check: 'search 32K, matrix against vector kernels', difference: share, ok: share < 0.01 });
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  }
  for (const type of ['f32', 'f16'] as const) {
    const shape = { batch: 1, queries: 1, keys: 5000, heads: 8, kvHeads: 2, headDim: 128 };
    const [q, k, v] = [shape.heads, shape.keys * shape.kvHeads, shape.keys * shape.kvHeads].map((count, i) =>
      integers(count * shape.headDim, i + 5),
    ) as [Float32Array, Float32Array, Float32Array];
    const tensors = {
      q: uploadTensor(context, q, type),
      k: uploadTensor(context, k, type),
      v: uploadTensor(context, v, type),
      out: emptyTensor({ context, type, length: q.length }),
    };
    const call = new GpuCall(context);
    encodeDecode(call, tensors, shape, undefined, { scale: 0.02 });
    call.submit();
    const actual = await readTensor(context, tensors.out);
    const expected = denseAttention(q, k, v, shape, { scale: 0.02 });
    const error = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - actual[i]!)), 0);
    add({ check: 'decode, dense', type, error, ok: error < 2e-3 });
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  }
  return rows;
}
