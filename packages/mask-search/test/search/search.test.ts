// Properties of every search: what a mask may hold, whose keys count, and when it is exact.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  denseAttention,
  massRecall,
  searchBlockMask,
  toDense,
  validateMask,
  type AttentionShape,
  type SearchOptions,
} from '../../src/index.ts';
import { searches, seeds, shapes, startsOf, tensorsOf } from '../support.ts';

/** Positions of rows: default, from the start (top-left), or with gaps. */
const spacing = fc.constantFrom('default', 'top-left', 'gaps');

function positionsFor(kind: string, { queries, keys }: AttentionShape, seed: number): number[] | undefined {
  if (kind === 'default') return undefined;
  if (kind === 'top-left') return Array.from({ length: queries }, (_, row) => row);
  let at = -2;
  return Array.from({ length: queries }, (_, row) => (at = Math.min(keys + 3, at + ((row * seed) % 4))));
}

describe('every search', () => {
  it('gives masks that are sorted, unique and in range', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, spacing, (shape, options, seed, kind) => {
        const { q, k } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, positions: positionsFor(kind, shape, seed) });
        validateMask(mask);
        for (let cell = 0; cell < mask.counts.length; cell++) {
          const starts = startsOf(mask, cell);
          expect(starts).toEqual([...new Set(starts)].sort((a, b) => a - b));
          for (const start of starts) {
            expect(start >= mask.sink && start < shape.keys && (start - mask.sink) % mask.blockK === 0).toBe(true);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('lets no row see a key of the future, and no key of sinks, blocks and window twice', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, spacing, (shape, options, seed, kind) => {
        const { q, k } = tensorsOf(shape, seed);
        const positions = positionsFor(kind, shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, positions });
        for (let batch = 0; batch < shape.batch; batch++) {
          for (let head = 0; head < shape.heads; head++) {
            for (let row = 0; row < shape.queries; row++) {
              const position = positions ? positions[row]! : row + shape.keys - shape.queries;
              const attended = [...attendedKeys(mask, shape, batch, head, row)];
              expect(new Set(attended).size).toBe(attended.length);
              for (const key of attended)
                expect(key >= 0 && key < shape.keys && (!options.causal || key <= position)).toBe(true);
            }
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('always holds a row’s sinks, its window and itself', () => {
    fc.assert(
      fc.property(shapes, searches, seeds, (shape, options, seed) => {
        const { q, k } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, causal: true });
        const dense = toDense(mask);
        for (let row = 0; row < shape.queries; row++) {
          const position = row + shape.keys - shape.queries;
          const held = dense.subarray(row * shape.keys, row * shape.keys + position + 1);
          expect(held.subarray(0, mask.sink).every((one) => one === 1)).toBe(true);
          expect(held.subarray(Math.max(0, position + 1 - mask.window)).every((one) => one === 1)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('with a budget of all keys is dense attention exactly', () => {
    const all: SearchOptions[] = [
      { k: 160, stages: undefined },
      { k: 160, blockK: 2, stages: undefined, ensemble: { members: 3 } },
      { k: 160, blockK: 4, stages: [{ chunk: 4, keep: 160, strideQ: 1, rows: 'max', score: 'exact' }] },
      {
        k: 160,
        blockK: 4,
        window: 16,
        stages: [
          { chunk: 16, keep: 160, strideQ: 1, rows: 'mean', score: 'bound' },
          { chunk: 4, keep: 160, strideQ: 1, rows: 'max', score: 'binary' },
        ],
      },
    ];
    fc.assert(
      fc.property(
        shapes,
        searches,
        fc.constantFrom(...all),
        seeds,
        fc.constantFrom(undefined, 2),
        (shape, { sink, blockQ, causal }, budget, seed, softcap) => {
          const { q, k, v } = tensorsOf(shape, seed);
          const mask = searchBlockMask(q, k, shape, {
            window: 8,
            sink: sink!,
            blockQ: blockQ!,
            causal: causal!,
            ...budget,
          });
          const exact = denseAttention(q, k, v, shape, { causal: causal!, softcap });
          // The same keys in the same order through the same arithmetic: equal to the last bit.
          expect(blockSparseAttention(q, k, v, shape, mask, { softcap })).toEqual(exact);
          expect(massRecall(q, k, shape, mask)).toBe(1);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('searches only rows that see more than it keeps', () => {
    const shape = { batch: 1, queries: 100, keys: 100, heads: 1, kvHeads: 1, headDim: 4 };
    const { q, k } = tensorsOf(shape, 1);
    const work = { dotProducts: 0, keysTouched: 0 };
    searchBlockMask(q, k, shape, { k: 96, blockK: 2, window: 4, sink: 0, stages: undefined }, work);
    expect(work.dotProducts).toBe(0);
  });

  it('reports progress, and stops when its signal aborts', () => {
    const shape = { batch: 2, queries: 64, keys: 64, heads: 2, kvHeads: 1, headDim: 4 };
    const { q, k } = tensorsOf(shape, 1);
    const shares: number[] = [];
    searchBlockMask(q, k, shape, { blockQ: 16, onProgress: (share) => shares.push(share) });
    expect(shares).toHaveLength(2 * 2 * 4);
    expect(shares.at(-1)).toBe(1);
    const controller = new AbortController();
    const options = { blockQ: 16, signal: controller.signal, onProgress: () => controller.abort() };
    expect(() => searchBlockMask(q, k, shape, options)).toThrow(expect.objectContaining({ code: 'aborted' }));
  });
});
