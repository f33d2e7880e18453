// The remainder in attention: weights that sum to one, no key twice, dense where nothing is summed up, gradients.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  blockSparseAttentionGradient,
  blocksOf,
  denseAttention,
  emptyMask,
  maskStatistics,
  newWorkCount,
  pseudoKeys,
  rotaryEmbedding,
  rotaryTables,
  searchBlockMask,
  streamingMask,
  toDense,
  unionMasks,
  validateMask,
  type AttentionShape,
  type SearchOptions,
} from '../../src/index.ts';
import { randomTensor, rotation, searches, seeds, shapes, tensorsOf } from '../support.ts';

const remainders = fc.record({
  block: fc.integer({ min: 1, max: 12 }),
  most: fc.integer({ min: 1, max: 6 }),
  tail: fc.constantFrom('exact', 'drop'),
});

/** Any search, with a remainder of any geometry. */
const withRemainder = fc
  .record({ search: searches, remainder: remainders })
  .map(({ search, remainder }): SearchOptions => ({ ...search, remainder }));

describe('a remainder', () => {
  it('stands for each key below the window that is not attended to, once, and for none of the future', () => {
    fc.assert(
      fc.property(shapes, withRemainder, seeds, fc.boolean(), (shape, options, seed, gaps) => {
        const { q, k } = tensorsOf(shape, seed);
        let at = -2;
        const spread = Array.from(
          { length: shape.queries },
          (_, row) => (at = Math.min(shape.keys - 1, at + ((row * seed) % 4))),
        );
        const positions = gaps ? spread : undefined;
        const mask = searchBlockMask(q, k, shape, { ...options, positions });
        const { block } = mask.remainder!;
        for (let head = 0; head < shape.heads; head++) {
          for (let row = 0; row < shape.queries; row++) {
            const position = positions?.[row] ?? row + shape.keys - shape.queries;
            const visible = options.causal ? position + 1 : shape.keys;
            const exact = new Set(attendedKeys(mask, shape, 0, head, row));
            const n = Math.floor(row / mask.blockQ);
            let end = mask.sink;
            for (const { start, size, count } of pseudoKeys(mask, 0, head, n)) {
              const left = Array.from({ length: size }, (_, i) => start + i).filter((key) => !exact.has(key));
              expect(left.length).toBe(count);
              expect(start + size <= Math.max(0, visible - mask.window)).toBe(true);
              expect(start >= end).toBe(true);
              end = start + size;
            }
            const blocks = [...blocksOf(mask, 0, head, n)];
            const held = (key: number): boolean => blocks.some((start) => key >= start && key < start + mask.blockK);
            const first = positions?.[n * mask.blockQ] ?? n * mask.blockQ + shape.keys - shape.queries;
            const windowStart = Math.max(0, (options.causal ? first + 1 : shape.keys) - mask.window);
            const covered = mask.sink + block * Math.max(0, Math.floor((windowStart - mask.sink) / block));
            // What lies between the blocks and the window: exact, or the mask's alone.
            for (let key = covered; key < visible - mask.window; key++)
              expect(exact.has(key)).toBe(key < mask.sink || mask.remainder!.tail === 'exact' || held(key));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps weights that sum to one: equal values come out as they are', () => {
    fc.assert(
      fc.property(shapes, withRemainder, seeds, fc.constantFrom(undefined, 1.5), (shape, options, seed, softcap) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, softcap });
        const out = blockSparseAttention(q, k, v.fill(3), shape, mask, { softcap });
        expect(out).toBeAllclose(
          out.map(() => 3),
          { rtol: 1e-12, atol: 0 },
        );
      }),
      { numRuns: 40 },
    );
  });

  it('of single keys under any mask, empty or not, is dense attention', () => {
    const one = { block: 1, most: 1 << 20, tail: 'exact' as const };
    fc.assert(
      fc.property(
        shapes,
        searches,
        seeds,
        fc.boolean(),
        fc.constantFrom(undefined, 0.7),
        (shape, options, seed, empty, softcap) => {
          const { q, k, v } = tensorsOf(shape, seed);
          const config = {
            blockQ: options.blockQ!,
            blockK: 2,
            sink: options.sink!,
            window: 8,
            causal: options.causal!,
          };
          const mask = empty
            ? emptyMask(shape, { ...config, shareHeads: true, remainder: one }, 1)
            : searchBlockMask(q, k, shape, { ...options, remainder: one });
          expect(blockSparseAttention(q, k, v, shape, mask, { softcap })).toBeAllclose(
            denseAttention(q, k, v, shape, { causal: mask.causal, softcap }),
            { rtol: 1e-12, atol: 1e-12 },
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('under a budget of everything is dense attention, and stands for nothing', () => {
    fc.assert(
      fc.property(shapes, remainders, seeds, fc.boolean(), (shape, remainder, seed, causal) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, {
          k: 160,
          blockK: 4,
          window: 8,
          sink: 3,
          blockQ: 8,
          causal,
          remainder,
          stages: undefined,
        });
        expect(maskStatistics(mask).pseudoKeysPerRow.max).toBe(0);
        expect(blockSparseAttention(q, k, v, shape, mask)).toEqual(denseAttention(q, k, v, shape, { causal }));
      }),
      { numRuns: 30 },
    );
  });

  it('of keys that are equal within each block is dense attention: a mean of equals loses nothing', () => {
    const shape = { batch: 1, queries: 24, keys: 120, heads: 2, kvHeads: 1, headDim: 4 };
    const { q, k, v } = tensorsOf(shape, 3);
    const flat = k.map((_, i) => k[(3 + 8 * Math.floor((Math.floor(i / 4) - 3) / 8)) * 4 + (i % 4)] ?? 0);
    const config = { blockQ: 8, blockK: 4, sink: 3, window: 8, causal: true, shareHeads: true };
    const mask = emptyMask(shape, { ...config, remainder: { block: 8, most: 100, tail: 'exact' } }, 1);
    expect(blockSparseAttention(q, flat, v, shape, mask)).toBeAllclose(denseAttention(q, flat, v, shape), {
      rtol: 1e-10,
      atol: 1e-12,
    });
  });

  it('turns with queries and keys, and with absolute RoPE takes the mean of rotated keys', () => {
    const shape = { batch: 1, queries: 20, keys: 100, heads: 2, kvHeads: 1, headDim: 4 };
    const { q, k, v } = tensorsOf(shape, 8);
    const mask = searchBlockMask(q, k, shape, {
      k: 16,
      blockK: 4,
      window: 8,
      sink: 3,
      blockQ: 8,
      stages: undefined,
      remainder: { block: 6, most: 4 },
    });
    const rotate = rotation(4, 1);
    const expected = blockSparseAttention(q, k, v, shape, mask);
    expect(blockSparseAttention(rotate(q), rotate(k), v, shape, mask)).toBeAllclose(expected, {
      rtol: 1e-9,
      atol: 1e-11,
    });
    const tables = rotaryTables(100, 4);
    const turned = {
      q: rotaryEmbedding(q, { batch: 1, rows: 20, heads: 2, headDim: 4 }, tables, (row) => row + 80),
      k: rotaryEmbedding(k, { batch: 1, rows: 100, heads: 1, headDim: 4 }, tables),
    };
    expect(blockSparseAttention(q, k, v, shape, mask, { rope: { tables, mode: 'absolute' } })).toEqual(
      blockSparseAttention(turned.q, turned.k, v, shape, mask),
    );
    expect(() => blockSparseAttention(q, k, v, shape, mask, { rope: { tables, mode: 'streaming' } })).toThrow(
      expect.objectContaining({ code: 'unsupported', details: { name: 'remainder' } }),
    );
  });

  it('has the gradient of the finite difference, with soft-cap and without', () => {
    fc.assert(
      fc.property(withRemainder, seeds, fc.constantFrom(undefined, 0.8), (options, seed, softcap) => {
        const shape: AttentionShape = { batch: 1, queries: 12, keys: 60, heads: 2, kvHeads: 1, headDim: 2 };
        const tensors = tensorsOf(shape, seed);
        const mask = searchBlockMask(tensors.q, tensors.k, shape, { ...options, softcap });
        const towards = randomTensor(tensors.q.length, seed + 5);
        const loss = ({ q, k, v }: typeof tensors): number =>
          blockSparseAttention(q, k, v, shape, mask, { softcap }).reduce((sum, x, i) => sum + x * towards[i]!, 0);
        const { q, k, v } = tensors;
        const gradient = blockSparseAttentionGradient(q, k, v, towards, shape, mask, { softcap });
        for (const name of ['q', 'k', 'v'] as const) {
          const at = seed % tensors[name].length;
          const moved = (by: number): number =>
            loss({ ...tensors, [name]: tensors[name].map((x, i) => (i === at ? x + by : x)) });
          expect(gradient[name][at]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 7);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('a mask with a remainder', () => {
  const shape = { batch: 1, queries: 40, keys: 200, heads: 2, kvHeads: 1, headDim: 4 };
  const { q, k, v } = tensorsOf(shape, 2);
  const options: SearchOptions = { k: 16, blockK: 4, blockQ: 8, window: 8, sink: 4, stages: undefined };
  const remainder = { block: 16, most: 4 };

  it('is counted: keys, pseudo-keys, work', () => {
    const mask = searchBlockMask(q, k, shape, { ...options, remainder });
    expect(mask.remainder).toEqual({ block: 16, most: 4, tail: 'drop' });
    let [keys, pseudo] = [0, 0];
    for (let head = 0; head < 2; head++) {
      keys += toDense(mask, { head }).reduce((sum, held) => sum + held, 0);
      for (let row = 0; row < 40; row++) pseudo += [...pseudoKeys(mask, 0, head, Math.floor(row / 8))].length;
    }
    const { keysPerRow, pseudoKeysPerRow, shares } = maskStatistics(mask);
    expect([keysPerRow.mean, pseudoKeysPerRow.mean]).toEqual([keys / 80, pseudo / 80]);
    expect(shares.sink + shares.blocks + shares.window).toBeCloseTo(1, 12);
    const work = newWorkCount();
    blockSparseAttention(q, k, v, shape, mask, { work });
    expect(work.dotProducts).toBe(keys + pseudo);
    const plain = maskStatistics(searchBlockMask(q, k, shape, options));
    expect(plain.pseudoKeysPerRow).toEqual({ mean: 0, min: 0, max: 0 });
  });

  it('keeps it through unions; other remainders do not unite', () => {
    const mask = searchBlockMask(q, k, shape, { ...options, remainder });
    expect(unionMasks(mask, mask).remainder).toEqual(mask.remainder);
    for (const other of [undefined, { ...mask.remainder!, most: 5 }])
      expect(() => unionMasks(mask, { ...mask, remainder: other })).toThrow(
        expect.objectContaining({ code: 'invalid-shape' }),
      );
  });

  it('may be a baseline’s: sinks, window and what stands for the rest', () => {
    const mask = streamingMask(shape, { k: 16, window: 8, sink: 4, blockQ: 8, remainder });
    expect(maskStatistics(mask).pseudoKeysPerRow.min).toBeGreaterThan(0);
    const bare = streamingMask(shape, { k: 16, window: 8, sink: 4, blockQ: 8 });
    const exact = denseAttention(q, k, v, shape);
    const error = (m: typeof mask): number =>
      blockSparseAttention(q, k, v, shape, m).reduce((sum, x, i) => sum + (x - exact[i]!) ** 2, 0);
    expect(error(mask)).toBeLessThan(error(bare) / 4);
  });

  it('is refused where the remainder is none', () => {
    const mask = searchBlockMask(q, k, shape, { ...options, remainder });
    const wrong = (change: object): object => ({ remainder: { ...mask.remainder!, ...change } });
    for (const change of [{ block: 0 }, { most: 1.5 }, { tail: 'long' }]) {
      expect(() => validateMask({ ...mask, ...wrong(change) })).toThrow(
        expect.objectContaining({ code: 'invalid-mask' }),
      );
      expect(() => searchBlockMask(q, k, shape, { ...options, ...wrong(change) })).toThrow(
        expect.objectContaining({ code: 'invalid-config' }),
      );
    }
    // A configuration has defaults, a mask has none.
    expect(() => validateMask({ ...mask, ...wrong({ block: undefined }) })).toThrow('remainder.block is undefined');
  });
});
