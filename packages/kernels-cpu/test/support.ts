// Inputs of the tests: seeded tensors, shapes and configurations that reach every path.
import fc from 'fast-check';
import '@hip/testing';
import { PAPER_CONFIG, type AttentionShape, type BlockMask, type HipConfig } from '@hip/mask-search';

/** Against float64: see CpuRuntime. */
export const TOLERANCE = { rtol: 2e-5, atol: 2e-6 };

export function randomTensor(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
}

export function tensors(shape: AttentionShape, seed: number): { q: Float32Array; k: Float32Array; v: Float32Array } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return {
    q: randomTensor(batch * queries * heads * headDim, seed),
    k: randomTensor(batch * keys * kvHeads * headDim, seed + 1),
    v: randomTensor(batch * keys * kvHeads * headDim, seed + 2),
  };
}

export const shapes = fc
  .record({
    batch: fc.constantFrom(1, 2),
    keys: fc.integer({ min: 1, max: 300 }),
    share: fc.double({ min: 0.02, max: 1, noNaN: true }),
    kvHeads: fc.constantFrom(1, 2),
    group: fc.constantFrom(1, 2, 3),
    headDim: fc.constantFrom(4, 6, 8, 20, 32),
    causal: fc.boolean(),
    seed: fc.integer({ min: 0, max: 1 << 20 }),
  })
  .map(({ share, group, causal, seed, ...rest }) => ({
    shape: {
      ...rest,
      heads: rest.kvHeads * group,
      queries: Math.max(1, Math.floor(rest.keys * share)),
    } as AttentionShape,
    causal,
    seed,
  }));

export const configs: Record<string, Partial<HipConfig>> = {
  'paper tree': { ...PAPER_CONFIG, k: 32, blockK: 2, window: 20, sink: 3 },
  'tree, strided, aligned': {
    ...PAPER_CONFIG,
    k: 32,
    blockK: 8,
    strideK: 4,
    strideQ: 4,
    window: 16,
    sink: 8,
    blockQ: 32,
    representative: 'last',
  },
  'bound and exact stages': {
    k: 32,
    blockK: 8,
    window: 16,
    sink: 8,
    stages: [
      { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  },
  'binary stages, ragged': {
    k: 32,
    blockK: 4,
    blockQ: 24,
    window: 16,
    sink: 5,
    stages: [
      { chunk: 16, keep: 96, strideQ: 4, rows: 'max', score: 'binary' },
      { chunk: 4, keep: 32, strideQ: 2, rows: 'mean', score: 'exact' },
    ],
  },
  'a vote and a remainder': {
    k: 16,
    blockK: 2,
    blockQ: 16,
    window: 16,
    sink: 3,
    stages: [
      { chunk: 16, keep: 96, strideQ: 4, rows: 'mean', score: 'deviation' },
      { chunk: 8, keep: 48, strideQ: 1, rows: 'max', score: 'exact' },
      { chunk: 2, keep: 16, score: 'mass' },
    ],
    remainder: { block: 8, most: 4, tail: 'drop' },
  },
  'one mask for all heads': {
    k: 32,
    blockK: 8,
    window: 16,
    sink: 8,
    shareHeads: true,
    stages: [
      { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  },
};

/** Small whole numbers: every product and sum is exact in float32 and float64, so scores and ties are the same. */
export function wholeTensors(shape: AttentionShape, seed: number): ReturnType<typeof tensors> {
  const { q, k, v } = tensors(shape, seed);
  const whole = (x: Float32Array): Float32Array => x.map((value) => Math.round(2 * value));
  return { q: whole(q), k: whole(k), v: whole(v) };
}

/** Rows [from, to) of a tensor [B, T, heads, d]. */
export function rowsOf(
  tensor: Float32Array,
  { batch, width }: { readonly batch: number; readonly width: number },
  from: number,
  to: number,
): Float32Array {
  const rows = tensor.length / batch / width;
  const out = new Float32Array(batch * (to - from) * width);
  for (let b = 0; b < batch; b++) {
    out.set(tensor.subarray((b * rows + from) * width, (b * rows + to) * width), b * (to - from) * width);
  }
  return out;
}

/** Start keys of each (batch, mask head, query block) cell's blocks. */
export function cellsOf({ starts, counts, capacity }: BlockMask): number[][] {
  return Array.from(counts, (count, cell) => [...starts.subarray(cell * capacity, cell * capacity + count)]);
}

/** Counts the blocks of masks that the reference's masks hold and ours lack, or the other way round where those are more. */
export class Misses {
  #missing = 0;
  #all = 0;

  add(expected: BlockMask, mask: BlockMask): void {
    const ours = cellsOf(mask);
    for (const [cell, blocks] of cellsOf(expected).entries()) {
      const found = new Set(ours[cell]);
      const common = blocks.filter((start) => found.has(start)).length;
      this.#all += blocks.length;
      this.#missing += Math.max(blocks.length, found.size) - common;
    }
  }

  get share(): number {
    return this.#missing / Math.max(1, this.#all);
  }
}
