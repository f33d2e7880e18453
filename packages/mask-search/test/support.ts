// Random inputs for the tests: tensors, shapes, configurations, rotations.
import '@hip/testing';
import * as fc from 'fast-check';
import type { AttentionShape, BlockMask, HipConfig, SearchOptions } from '../src/index.ts';
import { mulberry32 } from '../src/search/random.ts';

export function randomTensor(length: number, seed: number): Float64Array {
  const random = mulberry32(seed);
  return Float64Array.from({ length }, () => random() * 2 - 1);
}

export interface Tensors {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
}

export function tensorsOf({ batch, queries, keys, heads, kvHeads, headDim }: AttentionShape, seed: number): Tensors {
  return {
    q: randomTensor(batch * queries * heads * headDim, seed),
    k: randomTensor(batch * keys * kvHeads * headDim, seed + 1),
    v: randomTensor(batch * keys * kvHeads * headDim, seed + 2),
  };
}

/** Shapes with ragged lengths, grouped heads, and fewer queries than keys. */
export const shapes = fc
  .record({
    batch: fc.constantFrom(1, 2),
    keys: fc.integer({ min: 1, max: 150 }),
    share: fc.double({ min: 0.05, max: 1, noNaN: true }),
    kvHeads: fc.constantFrom(1, 2),
    group: fc.constantFrom(1, 2),
    headDim: fc.constantFrom(2, 4, 5),
  })
  .map(({ share, group, ...rest }): AttentionShape => ({
    ...rest,
    heads: rest.kvHeads * group,
    queries: Math.max(1, Math.floor(rest.keys * share)),
  }));

export const seeds = fc.integer({ min: 0, max: 1 << 20 });

const base = { k: 16, window: 8, sink: 3, blockQ: 8 } as const;

/** One configuration for each algorithm and way of scoring. */
export const configurations: Readonly<Record<string, Partial<HipConfig>>> = {
  tree: { ...base, blockK: 2, stages: undefined },
  'tree, strided keys': { ...base, blockK: 4, strideK: 3, strideQ: 3, stages: undefined },
  'tree, first': { ...base, blockK: 2, representative: 'first', stages: undefined },
  'tree, last': { ...base, blockK: 2, representative: 'last', stages: undefined },
  'tree, random': { ...base, blockK: 2, representative: 'random', seed: 5, stages: undefined },
  'tree, oracle': { ...base, blockK: 2, representative: 'oracle', stages: undefined },
  'tree, one mask for all heads': { ...base, blockK: 2, shareHeads: true, stages: undefined },
  ensemble: { ...base, blockK: 2, stages: undefined, seed: 7, ensemble: { members: 4, rounds: [0, 9] } },
  'ensemble, truncated vote': {
    ...base,
    blockK: 2,
    stages: undefined,
    ensemble: { members: 3, votes: 2, truncate: true, rounds: [0, 9] },
  },
  'binary stages': {
    ...base,
    blockK: 2,
    stages: [
      { chunk: 16, keep: 64, strideQ: 4, rows: 'max', score: 'binary' },
      { chunk: 4, keep: 32, strideQ: 4, rows: 'max', score: 'binary' },
      { chunk: 2, keep: 16, strideQ: 1, rows: 'max', score: 'binary' },
    ],
  },
  'bound and exact stages': {
    ...base,
    blockK: 4,
    stages: [
      { chunk: 8, keep: 32, strideQ: 2, rows: 'mean', score: 'bound' },
      { chunk: 4, keep: 16, strideQ: 2, rows: 'max', score: 'exact' },
    ],
  },
  'a vote on candidates': {
    ...base,
    blockK: 2,
    stages: [
      { chunk: 8, keep: 32, strideQ: 2, rows: 'max', score: 'exact' },
      { chunk: 2, keep: 16, score: 'mass' },
    ],
  },
  'a vote on all keys, shared': {
    ...base,
    blockK: 4,
    shareHeads: true,
    stages: [{ chunk: 4, keep: 16, score: 'mass' }],
  },
  'one stage, shared': {
    ...base,
    blockK: 2,
    shareHeads: true,
    stages: [{ chunk: 2, keep: 16, strideQ: 2, rows: 'mean', score: 'exact' }],
  },
};

/** Configurations by name, with sinks, block rows and causality varied. */
export const searches = fc
  .record({
    name: fc.constantFrom(...Object.keys(configurations)),
    sink: fc.integer({ min: 0, max: 5 }),
    blockQ: fc.constantFrom(1, 4, 16),
    causal: fc.boolean(),
  })
  .map(({ name, ...rest }): SearchOptions => ({ ...configurations[name], ...rest }));

/** The starts of one cell. */
export function startsOf(mask: BlockMask, cell: number): number[] {
  return [...mask.starts.subarray(cell * mask.capacity, cell * mask.capacity + mask.counts[cell]!)];
}

/** All cells of one batch element and mask head. */
export function cellsOf(mask: BlockMask, batch: number, maskHead: number): number[][] {
  return Array.from({ length: mask.queryBlocks }, (_, n) =>
    startsOf(mask, (batch * mask.maskHeads + maskHead) * mask.queryBlocks + n),
  );
}

/** A permutation of 0 … n−1. */
export function permutation(n: number, seed: number): number[] {
  const random = mulberry32(seed);
  const order = Array.from({ length: n }, (_, i) => ({ i, at: random() }));
  return order.sort((a, b) => a.at - b.at).map(({ i }) => i);
}

/** Turns every d-vector of a tensor by the same random rotation (a product of plane rotations). */
export function rotation(d: number, seed: number): (x: Float64Array) => Float64Array {
  const random = mulberry32(seed);
  const planes: { i: number; j: number; angle: number }[] = [];
  for (let i = 0; i < d; i++) for (let j = i + 1; j < d; j++) planes.push({ i, j, angle: random() * 2 * Math.PI });
  return (x) => {
    const out = Float64Array.from(x);
    for (let at = 0; at < x.length; at += d) {
      for (const { i, j, angle } of planes) {
        const [a, b] = [out[at + i]!, out[at + j]!];
        out[at + i] = a * Math.cos(angle) - b * Math.sin(angle);
        out[at + j] = a * Math.sin(angle) + b * Math.cos(angle);
      }
    }
    return out;
  };
}
