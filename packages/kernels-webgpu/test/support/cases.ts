// Random attention calls for the property tests: shapes, tensors rounded as they will be stored, and block masks.
import fc from 'fast-check';
import type { AttentionShape, BlockMask, Remainder } from '@hip/mask-search';

/** Deterministic numbers in [−1, 1) with some spread between rows. */
export function randomValues(length: number, seed: number): Float32Array {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** q, k, v of a shape. `spread` multiplies q: large values make the softmax sharp. */
export function randomTensors(
  shape: AttentionShape,
  seed: number,
  spread = 2,
): { q: Float32Array; k: Float32Array; v: Float32Array } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return {
    q: randomValues(batch * queries * heads * headDim, seed).map((x) => x * spread),
    k: randomValues(batch * keys * kvHeads * headDim, seed + 1),
    v: randomValues(batch * keys * kvHeads * headDim, seed + 2),
  };
}

/** Rounds to f16 and back. */
export function roundToHalf(values: Float32Array): Float32Array {
  return Float32Array.from(new Float16Array(values));
}

/** A mask of random distinct ascending blocks. */
export function randomMask(
  shape: AttentionShape,
  {
    blockQ,
    blockK,
    capacity,
    sink,
    window,
    causal,
    shared,
    seed,
    alignment = 1,
  }: {
    blockQ: number;
    blockK: number;
    capacity: number;
    sink: number;
    window: number;
    causal: boolean;
    shared: boolean;
    seed: number;
    alignment?: number;
  },
): BlockMask {
  const maskHeads = shared ? 1 : shape.heads;
  const queryBlocks = Math.ceil(shape.queries / blockQ);
  const cells = shape.batch * maskHeads * queryBlocks;
  const starts = new Int32Array(cells * capacity).fill(-1);
  const counts = new Int32Array(cells);
  const blocks = Math.max(0, Math.ceil((shape.keys - sink) / blockK));
  const draws = randomValues(cells * (blocks + 1), seed);
  for (let cell = 0; cell < cells; cell++) {
    const order = Array.from({ length: blocks }, (_, i) => i).sort(
      (a, b) => draws[cell * (blocks + 1) + a]! - draws[cell * (blocks + 1) + b]!,
    );
    const count = Math.min(blocks, Math.floor(((draws[cell * (blocks + 1) + blocks]! + 1) / 2) * (capacity + 1)));
    const chosen = order.slice(0, count).sort((a, b) => a - b);
    counts[cell] = count;
    chosen.forEach(
      (block, i) => (starts[cell * capacity + i] = Math.floor((sink + block * blockK) / alignment) * alignment),
    );
  }
  return {
    batch: shape.batch,
    maskHeads,
    queryBlocks,
    capacity,
    blockQ,
    blockK,
    queries: shape.queries,
    keys: shape.keys,
    sink,
    window,
    causal,
    starts,
    counts,
  };
}

/** Small shapes: ragged lengths, grouped heads, fewer queries than keys and the other way round. */
export const shapes: fc.Arbitrary<AttentionShape> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    queries: fc.integer({ min: 1, max: 70 }),
    keys: fc.integer({ min: 1, max: 90 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 2 }),
    headDim: fc.constantFrom(32, 64, 80, 96),
  })
  .map(({ group, ...shape }) => ({ ...shape, heads: shape.kvHeads * group }));

/** What a random mask needs. */
export const maskOptions = fc.record({
  blockQ: fc.constantFrom(1, 16, 32, 64),
  blockK: fc.constantFrom(1, 2, 5, 16, 32),
  capacity: fc.integer({ min: 1, max: 12 }),
  sink: fc.integer({ min: 0, max: 20 }),
  window: fc.integer({ min: 0, max: 40 }),
  causal: fc.boolean(),
  shared: fc.boolean(),
  seed: fc.nat(1000),
});

/** Remainders with several levels in a few dozen keys. */
export const remainders: fc.Arbitrary<Remainder> = fc.record({
  block: fc.constantFrom(1, 3, 4, 8),
  most: fc.integer({ min: 1, max: 6 }),
  tail: fc.constantFrom('exact', 'drop'),
});
