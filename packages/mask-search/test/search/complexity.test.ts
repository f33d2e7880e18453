// The complexity claims, counted: every number here comes from running the search, none from a formula.
import { describe, expect, it } from 'vitest';
import {
  blockSparseAttention,
  newWorkCount,
  remainderGeometry,
  searchBlockMask,
  type SearchOptions,
  type WorkCount,
} from '../../src/index.ts';
import { mulberry32 } from '../../src/search/random.ts';

const K = 1024;
const LENGTHS = [1 * K, 2 * K, 4 * K, 8 * K, 16 * K, 32 * K, 64 * K, 128 * K, 256 * K];
const D = 2;

function randomVectors(count: number, seed: number): Float32Array {
  const random = mulberry32(seed);
  return Float32Array.from({ length: count * D }, () => random() * 2 - 1);
}

/** A whole causal prefill of T tokens, one head. */
function prefillWork(tokens: number, options: SearchOptions): Required<WorkCount> {
  const work = newWorkCount();
  const shape = { batch: 1, queries: tokens, keys: tokens, heads: 1, kvHeads: 1, headDim: D };
  searchBlockMask(randomVectors(tokens, 1), randomVectors(tokens, 2), shape, options, work);
  return work;
}

/** Slope of log y over log x between neighbours. */
function slopes(points: readonly { readonly x: number; readonly y: number }[]): number[] {
  return points.slice(1).map(({ x, y }, i) => Math.log(y / points[i]!.y) / Math.log(x / points[i]!.x));
}

const tree: SearchOptions = { k: 64, blockQ: 64, blockK: 2, strideQ: 32, window: 64, sink: 16, stages: undefined };

describe('the tree search over T = 1K … 256K', () => {
  const counts = LENGTHS.map((tokens) => ({ tokens, ...prefillWork(tokens, tree) }));

  it('costs T·log T: dot products over ∫log2(t/k) = T·(log2(T/k) − 1/ln 2) are the same constant at every T', () => {
    // Two row groups read both keys of 2·(k/2) halves a round, for each 64 rows: 4 dot products a token and round.
    const rounds = (tokens: number): number => Math.log2(tokens / 64) - 1 / Math.LN2;
    for (const { tokens, dotProducts } of counts) {
      const constant = dotProducts / (tokens * rounds(tokens));
      expect(Math.abs(constant - 4)).toBeLessThan(0.12);
    }
  });

  it('is far from quadratic: doubling T costs ever less, 2.21 times at the end', () => {
    const growth = counts.slice(1).map(({ dotProducts }, i) => dotProducts / counts[i]!.dotProducts);
    expect(growth).toEqual([...growth].sort((a, b) => b - a));
    expect(growth.at(-1)).toBeLessThan(2.21);
    expect(counts.at(-1)!.dotProducts).toBeLessThan(0.0002 * (256 * K) ** 2);
  });

  it('touches as many keys as it makes dot products, over the scored rows', () => {
    for (const { dotProducts, keysTouched } of counts) expect(dotProducts / keysTouched).toBeCloseTo(2, 5);
  });

  it('holds O(T) numbers: k/2 starts and a count for each 64 rows, and a constant', () => {
    const constants = counts.map(({ tokens, peakNumbers }) => peakNumbers - (tokens / 64) * (64 / 2 + 1));
    expect(new Set(constants).size).toBe(1);
    expect(constants[0]).toBeLessThan(10 * 64);
  });

  it('costs one query block O(log T): a doubling of T adds one round of 2·k keys, to within the rounding of node sizes', () => {
    const touched = LENGTHS.map((keys) => {
      const work = newWorkCount();
      const shape = { batch: 1, queries: 64, keys, heads: 1, kvHeads: 1, headDim: D };
      searchBlockMask(randomVectors(64, 1), randomVectors(keys, 2), shape, tree, work);
      return work.keysTouched;
    });
    for (const [i, count] of touched.slice(1).entries())
      expect(Math.abs(count - touched[i]! - 128)).toBeLessThanOrEqual(12);
  });
});

describe('multi-stage pruning', () => {
  const stages = [
    { chunk: 256, keep: 2048, strideQ: 32, rows: 'max', score: 'binary' },
    { chunk: 32, keep: 512, strideQ: 32, rows: 'max', score: 'binary' },
    { chunk: 8, keep: 128, strideQ: 32, rows: 'max', score: 'binary' },
  ] as const;
  const options: SearchOptions = { k: 128, blockQ: 64, blockK: 8, window: 256, sink: 16, stages };

  it('costs T²/(chunk·blockQ) in its first stage and O(T) after it: quadratic with a small constant', () => {
    const counts = LENGTHS.slice(3, 7).map((tokens) => ({ tokens, ...prefillWork(tokens, options) }));
    for (const { tokens, dotProducts } of counts) {
      // 2 row groups, 16 reads a chunk of 256, T/64 blocks over T/2 keys on average.
      const firstStage = (2 * 16 * tokens * tokens) / 2 / 256 / 64;
      // 2 row groups: 64 chunks of 32 with 10 reads, 64 chunks of 8 with 6 reads, T/64 blocks.
      const later = (2 * (64 * 10 + 64 * 6) * tokens) / 64;
      expect(dotProducts).toBeLessThan(firstStage + later);
      expect(dotProducts).toBeGreaterThan(0.7 * (firstStage + later));
    }
  });

  it('with summaries holds O(T) numbers: their share of the keys, and the mask', () => {
    const bound: SearchOptions = {
      k: 64,
      blockQ: 64,
      blockK: 16,
      window: 64,
      sink: 0,
      stages: [
        { chunk: 64, keep: 256, strideQ: 64, rows: 'mean', score: 'bound' },
        { chunk: 16, keep: 64, strideQ: 64, rows: 'max', score: 'exact' },
      ],
    };
    const held = LENGTHS.slice(2, 7).map((tokens) => ({ x: tokens, y: prefillWork(tokens, bound).peakNumbers }));
    for (const slope of slopes(held)) expect(Math.abs(slope - 1)).toBeLessThan(0.05);
  });
});

describe('a vote', () => {
  it('costs its candidates, window and sinks for every row, however long the sequence; so do pseudo-keys', () => {
    const stages = [
      { chunk: 16, keep: 512, strideQ: 64, rows: 'mean', score: 'exact' },
      { chunk: 4, keep: 64, score: 'mass' },
    ] as const;
    const remainder = { block: 64, most: 8 };
    const config: SearchOptions = { k: 64, blockQ: 64, blockK: 4, window: 64, sink: 16, stages, remainder };
    for (const keys of LENGTHS.slice(1, 6)) {
      const shape = { batch: 1, queries: 64, keys, heads: 1, kvHeads: 1, headDim: D };
      const [q, k] = [randomVectors(64, 1), randomVectors(keys, 2)];
      const search = newWorkCount();
      const mask = searchBlockMask(q, k, shape, config, search);
      const candidates = newWorkCount();
      searchBlockMask(q, k, shape, { ...config, k: 512, blockK: 16, stages: stages.slice(0, 1) }, candidates);
      const vote = search.dotProducts - candidates.dotProducts;
      expect(vote).toBeLessThanOrEqual(64 * (512 + 64 + 16));
      expect(vote).toBeGreaterThan(64 * (512 - 64));
      const work = newWorkCount();
      blockSparseAttention(q, k, k, shape, mask, { work });
      const { whole, tail, size } = remainderGeometry(keys - 63 - 64, 16, remainder);
      expect(whole + tail).toBeLessThanOrEqual(8 + size / 64);
      // Keys of the mask, of the tail between blocks and window, and pseudo-keys.
      expect(work.dotProducts).toBeLessThanOrEqual(64 * (64 + 64 + 16 + 127 + whole + tail));
    }
  });
});

describe('block-sparse attention', () => {
  it('reads k + window + sink keys a row at most, however long the sequence', () => {
    for (const keys of LENGTHS) {
      const shape = { batch: 1, queries: 64, keys, heads: 1, kvHeads: 1, headDim: D };
      const [q, k] = [randomVectors(64, 1), randomVectors(keys, 2)];
      const work = newWorkCount();
      blockSparseAttention(q, k, k, shape, searchBlockMask(q, k, shape, tree), { work });
      expect(work.keysTouched).toBeLessThanOrEqual(64 * (64 + 64 + 16));
      expect(work.keysTouched).toBeGreaterThan(0.9 * 64 * (64 + 64 + 16));
    }
  });
});
