// What can be done with a mask: write it out, unite, count, check.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blocksOf,
  denseMask,
  emptyMask,
  maskStatistics,
  searchBlockMask,
  setBlocks,
  toDense,
  unionMasks,
  validateMask,
  type BlockMask,
} from '../../src/index.ts';
import { searches, seeds, shapes, tensorsOf } from '../support.ts';

const shape = { batch: 1, queries: 8, keys: 40, heads: 2, kvHeads: 1, headDim: 1 };
const grid = { blockQ: 4, blockK: 4, sink: 2, window: 3, causal: true, shareHeads: false };

function maskOf(...starts: readonly (readonly number[])[]): BlockMask {
  const mask = emptyMask(shape, grid, 4);
  starts.forEach((blocks, cell) => setBlocks(mask, 0, Math.floor(cell / 2), cell % 2, blocks));
  return mask;
}

describe('toDense', () => {
  it('writes out every row’s keys', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (given, options, seed) => {
        const { q, k } = tensorsOf(given, seed);
        const mask = searchBlockMask(q, k, given, options);
        const head = given.heads - 1;
        const dense = toDense(mask, { batch: given.batch - 1, head: mask.maskHeads === 1 ? 0 : head });
        for (let row = 0; row < given.queries; row++) {
          const keys = [...dense.subarray(row * given.keys, (row + 1) * given.keys)].flatMap((held, key) =>
            held ? [key] : [],
          );
          expect(keys).toEqual([...attendedKeys(mask, given, given.batch - 1, head, row)]);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('holds what it says: sink 2, window 3, block 4', () => {
    const dense = toDense(maskOf([10], [], [], []));
    const keys = (row: number): number[] =>
      [...dense.subarray(row * 40, row * 40 + 40)].flatMap((held, key) => (held ? [key] : []));
    expect(keys(0)).toEqual([0, 1, 10, 11, 12, 13, 30, 31, 32]);
    expect(keys(4)).toEqual([0, 1, 34, 35, 36]);
    expect(() => toDense(maskOf(), { head: 2 })).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
    expect(() => toDense(maskOf(), { batch: 1 })).toThrow(expect.objectContaining({ code: 'invalid-shape' }));
  });
});

describe('unionMasks', () => {
  it('holds a pair iff one of the two does', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (given, options, seed) => {
        const { q, k } = tensorsOf(given, seed);
        const other = tensorsOf(given, seed + 9);
        const [a, b] = [searchBlockMask(q, k, given, options), searchBlockMask(other.q, other.k, given, options)];
        const union = unionMasks(a, b);
        for (let head = 0; head < a.maskHeads; head++) {
          const [x, y] = [toDense(a, { head }), toDense(b, { head })];
          expect(toDense(union, { head })).toEqual(x.map((held, i) => held | y[i]!));
        }
        expect(unionMasks(a, a).counts).toEqual(a.counts);
      }),
      { numRuns: 40 },
    );
  });

  it('gives a shared mask’s blocks to every head', () => {
    const shared = emptyMask(shape, { ...grid, shareHeads: true }, 1);
    setBlocks(shared, 0, 0, 1, [14]);
    const union = unionMasks(maskOf([10], [6], [], [14, 18]), shared);
    expect([0, 1].map((head) => [0, 1].map((n) => [...blocksOf(union, 0, head, n)]))).toEqual([
      [[10], [6, 14]],
      [[], [14, 18]],
    ]);
  });

  it('refuses masks over other grids', () => {
    const mask = maskOf();
    for (const change of [
      { blockK: 2 },
      { window: 4 },
      { causal: false },
      { positions: new Int32Array(8) },
      { maskHeads: 3 },
    ]) {
      expect(() => unionMasks(mask, { ...mask, ...change })).toThrow(
        expect.objectContaining({ code: 'invalid-shape' }),
      );
    }
  });
});

describe('maskStatistics', () => {
  it('counts what the written-out mask holds', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (given, options, seed) => {
        const { q, k } = tensorsOf(given, seed);
        const mask = searchBlockMask(q, k, given, options);
        let [pairs, min, max, rows] = [0, Infinity, 0, 0];
        for (let batch = 0; batch < given.batch; batch++) {
          for (let head = 0; head < mask.maskHeads; head++) {
            const dense = toDense(mask, { batch, head });
            for (let row = 0; row < given.queries; row++) {
              const keys = dense
                .subarray(row * given.keys, (row + 1) * given.keys)
                .reduce((sum, held) => sum + held, 0);
              [pairs, min, max, rows] = [pairs + keys, Math.min(min, keys), Math.max(max, keys), rows + 1];
            }
          }
        }
        const statistics = maskStatistics(mask);
        expect(statistics.keysPerRow).toEqual({ mean: pairs / rows, min, max });
        const { sink, blocks, window } = statistics.shares;
        expect(sink + blocks + window).toBeCloseTo(pairs === 0 ? 0 : 1, 12);
      }),
      { numRuns: 40 },
    );
  });

  it('by hand: density, shares, blocks, distance, bytes', () => {
    const statistics = maskStatistics(maskOf([10], [], [], []));
    // 16 rows of 2 heads see 33 … 40 keys; 5 each in sink and window, and 4 rows 4 more.
    expect(statistics.density).toBeCloseTo((16 * 5 + 4 * 4) / (2 * (33 + 34 + 35 + 36 + 37 + 38 + 39 + 40)), 12);
    expect(statistics.shares).toEqual({ sink: 32 / 96, blocks: 16 / 96, window: 48 / 96 });
    expect(statistics.blocksPerQueryBlock).toBe(1 / 4);
    // The first query block ends at position 35.
    expect(statistics.meanDistance).toBe(25);
    expect(statistics.bytes).toBe(4 * (4 * 4 + 4));
    expect(maskStatistics(denseMask(shape, true)).density).toBe(1);
  });

  it('counts a pair once where blocks reach into sinks or window', () => {
    const mask = maskOf([0, 30], [0, 34], [1, 31], [36]);
    let pairs = 0;
    for (const head of [0, 1]) pairs += toDense(mask, { head }).reduce((sum, held) => sum + held, 0);
    expect(maskStatistics(mask).keysPerRow.mean).toBe(pairs / 16);
  });
});

describe('validateMask', () => {
  const wrong: Record<string, BlockMask> = {
    'blocks out of order': maskOf([10, 2]),
    'a block twice': maskOf([10, 10]),
    'blocks that overlap': maskOf([10, 12]),
    'a block beyond the keys': maskOf([42]),
    'a block before the keys': maskOf([-3]),
    'more blocks than slots': { ...maskOf([2]), counts: Int32Array.of(5, 0, 0, 0) },
    'a used slot that is not counted': { ...maskOf([2]), counts: new Int32Array(4) },
    'too few slots': { ...maskOf(), starts: new Int32Array(3) },
    'too few counts': { ...maskOf(), counts: new Int32Array(3) },
    'too few positions': { ...maskOf(), positions: new Int32Array(3) },
  };
  for (const [name, mask] of Object.entries(wrong)) {
    it(`refuses ${name}`, () =>
      expect(() => validateMask(mask)).toThrow(expect.objectContaining({ code: 'invalid-mask' })));
  }
  it('accepts masks that are good', () => {
    expect(() => validateMask(maskOf([2, 6, 30], [10], [], [38]))).not.toThrow();
  });
});
