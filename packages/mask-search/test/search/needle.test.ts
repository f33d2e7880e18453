// One key that matters among many that do not: when each search must find it, and when the tree provably cannot.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { searchBlockMask, toDense, type AttentionShape, type SearchOptions } from '../../src/index.ts';
import { randomTensor, seeds } from '../support.ts';

const D = 4;

/** Random keys of length < 1, and a key of length 10 along the query's direction at `needle`, for one query at the end. */
function haystack(
  keys: number,
  needle: number,
  seed: number,
): { readonly shape: AttentionShape; readonly q: Float64Array; readonly k: Float64Array } {
  const q = randomTensor(D, seed);
  const k = randomTensor(keys * D, seed + 1).map((x) => x / D);
  const norm = Math.hypot(...q) || 1;
  for (let i = 0; i < D; i++) k[needle * D + i] = (10 * q[i]!) / norm;
  return { shape: { batch: 1, queries: 1, keys, heads: 1, kvHeads: 1, headDim: D }, q, k };
}

function finds(keys: number, needle: number, seed: number, options: SearchOptions): boolean {
  const { shape, q, k } = haystack(keys, needle, seed);
  return toDense(searchBlockMask(q, k, shape, options))[needle] === 1;
}

const places = fc
  .integer({ min: 4, max: 300 })
  .chain((keys) => fc.record({ keys: fc.constant(keys), needle: fc.integer({ min: 0, max: keys - 1 }) }));

describe('the tree search', () => {
  const tree = { blockQ: 1, window: 0, sink: 0, strideQ: 1, stages: undefined } as const;

  it('with k >= T/2 finds the needle wherever it is: after one round every block represents itself', () => {
    fc.assert(
      fc.property(places, seeds, fc.constantFrom(1, 2, 4), ({ keys, needle }, seed, blockK) => {
        const k = Math.ceil(Math.ceil(keys / blockK) / 2) * blockK;
        expect(finds(keys, needle, seed, { ...tree, blockK, k })).toBe(true);
      }),
    );
  });

  it('with the oracle representative always finds it', () => {
    fc.assert(
      fc.property(places, seeds, fc.integer({ min: 1, max: 20 }), ({ keys, needle }, seed, k) => {
        expect(finds(keys, needle, seed, { ...tree, blockK: 1, k, representative: 'oracle' })).toBe(true);
      }),
    );
  });

  it('provably cannot, with k < T/2, when in some round k representatives beat the one of the needle’s half', () => {
    // All keys score 1 but the needle's half: there all but the needle score 0. 256 keys, k = 16: in the first round 32 halves of 8
    // compete for 16 places through their centres. Unless the needle is the centre its half comes last, although it scores 10; and if
    // it is, the half is cut again in the next round, where the needle is at an edge and the centres score 0.
    const shape = { batch: 1, queries: 1, keys: 256, heads: 1, kvHeads: 1, headDim: 1 };
    for (let needle = 0; needle < 256; needle++) {
      const half = Math.floor(needle / 8) * 8;
      const k = Float64Array.from({ length: 256 }, (_, key) =>
        key === needle ? 10 : key >= half && key < half + 8 ? 0 : 1,
      );
      const found = (options: SearchOptions): number =>
        toDense(searchBlockMask(Float64Array.of(1), k, shape, { ...tree, blockK: 1, ...options }))[needle]!;
      expect(found({ k: 16 })).toBe(0);
      expect(found({ k: 128 })).toBe(1);
    }
  });

  it('cannot see a needle that the stride over keys or rows skips', () => {
    const { shape, q, k } = haystack(256, 129, 3);
    // Block 64 holds keys 128 and 129; strideK = 2 reads 128 only. With k = T/2 its block competes on key 128 alone.
    const lowered = k.map((x, i) => (Math.floor(i / D) === 128 ? -10 * Math.sign(q[i % D]!) : x));
    const options = { ...tree, blockK: 2, k: 128 };
    expect(toDense(searchBlockMask(q, lowered, shape, options))[129]).toBe(1);
    expect(toDense(searchBlockMask(q, lowered, shape, { ...options, strideK: 2 }))[129]).toBe(0);
  });
});

describe('multi-stage pruning', () => {
  it('with exact scores finds the needle at any k', () => {
    fc.assert(
      fc.property(places, seeds, fc.integer({ min: 1, max: 10 }), ({ keys, needle }, seed, blocks) => {
        const stages = [{ chunk: 4, keep: 4 * blocks, strideQ: 1, rows: 'max', score: 'exact' }] as const;
        expect(finds(keys, needle, seed, { blockQ: 1, blockK: 4, k: 4 * blocks, window: 0, sink: 0, stages })).toBe(
          true,
        );
      }),
    );
  });

  it('with bounds keeps a needle that outscores every other chunk’s bound, and no key outscores its chunk’s bound', () => {
    fc.assert(
      fc.property(places, seeds, fc.integer({ min: 1, max: 4 }), ({ keys, needle }, seed, chunks) => {
        // The others' coordinates are at most 1/D, so no envelope of theirs scores more than Σ|q|/D <= |q| < 10·|q|.
        const stages = [
          { chunk: 16, keep: 16 * chunks, strideQ: 1, rows: 'max', score: 'bound' },
          { chunk: 4, keep: 4, strideQ: 1, rows: 'max', score: 'exact' },
        ] as const;
        expect(finds(keys, needle, seed, { blockQ: 1, blockK: 4, k: 4, window: 16, sink: 0, stages })).toBe(true);
      }),
    );
  });

  it('with the mean of rows can average a single row’s needle away', () => {
    const shape = { batch: 1, queries: 8, keys: 264, heads: 1, kvHeads: 1, headDim: 1 };
    // Row 7 wants large keys, the others small ones; the mean wants small ones.
    const q = Float64Array.from({ length: 8 }, (_, row) => (row === 7 ? 1 : -1));
    const k = Float64Array.from({ length: 264 }, (_, key) => (key === 100 ? 10 : -1));
    const search = (rows: 'max' | 'mean'): number => {
      const stages = [{ chunk: 4, keep: 16, strideQ: 8, rows, score: 'exact' }] as const;
      return toDense(searchBlockMask(q, k, shape, { blockQ: 8, blockK: 4, k: 16, window: 8, sink: 0, stages }))[
        7 * 264 + 100
      ]!;
    };
    expect([search('max'), search('mean')]).toEqual([1, 0]);
  });
});
