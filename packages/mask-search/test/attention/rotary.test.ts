// RoPE on the way: absolute equals rotating beforehand, streaming equals absolute while nothing is left out and stays short after.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  attendedKeys,
  blockSparseAttention,
  denseAttention,
  denseMask,
  rotaryEmbedding,
  rotaryTables,
  searchBlockMask,
  type AttentionShape,
} from '../../src/index.ts';
import { searches, seeds, shapes, tensorsOf } from '../support.ts';

const even = shapes.map((shape): AttentionShape => ({ ...shape, headDim: 4 }));
const tables = rotaryTables(160, 4, 100);

function rotated(shape: AttentionShape, q: Float64Array, k: Float64Array): { q: Float64Array; k: Float64Array } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  return {
    q: rotaryEmbedding(q, { batch, rows: queries, heads, headDim }, tables, (row) => row + keys - queries),
    k: rotaryEmbedding(k, { batch, rows: keys, heads: kvHeads, headDim }, tables),
  };
}

describe('rotaryEmbedding', () => {
  it('makes scores depend on distance alone', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 }), (seed, distance, shift) => {
        const shape = { batch: 1, queries: 1, keys: 1, heads: 1, kvHeads: 1, headDim: 4 };
        const { q, k } = tensorsOf(shape, seed);
        const vector = { batch: 1, rows: 1, heads: 1, headDim: 4 };
        const score = (at: number): number => {
          const [a, b] = [
            rotaryEmbedding(q, vector, tables, () => at + distance),
            rotaryEmbedding(k, vector, tables, () => at),
          ];
          return a.reduce((sum, x, i) => sum + x * b[i]!, 0);
        };
        expect(score(shift)).toBeCloseTo(score(0), 12);
      }),
    );
  });

  it('leaves coordinates beyond rotaryDim alone, and pairs them as asked', () => {
    const x = Float64Array.of(1, 2, 3, 4, 5, 6);
    const shape = { batch: 1, rows: 1, heads: 1, headDim: 6 };
    const half = rotaryTables(2, 4);
    const [c0, s0, c1, s1] = [Math.cos(1), Math.sin(1), Math.cos(0.01), Math.sin(0.01)];
    const apart = rotaryEmbedding(x, shape, half, () => 1);
    expect(apart).toBeAllclose([c0 - 3 * s0, 2 * c1 - 4 * s1, s0 + 3 * c0, 2 * s1 + 4 * c1, 5, 6], { rtol: 1e-14 });
    const together = rotaryEmbedding(x, shape, { ...half, interleaved: true }, () => 1);
    expect(together).toBeAllclose([c0 - 2 * s0, s0 + 2 * c0, 3 * c1 - 4 * s1, 3 * s1 + 4 * c1, 5, 6], { rtol: 1e-14 });
  });

  it('refuses positions beyond its tables', () => {
    const wrong = expect.objectContaining({ code: 'invalid-shape' });
    expect(() =>
      rotaryEmbedding(new Float64Array(4), { batch: 1, rows: 1, heads: 1, headDim: 4 }, tables, () => 160),
    ).toThrow(wrong);
    expect(() => rotaryTables(4, 3)).toThrow(wrong);
  });
});

describe('unrotated keys', () => {
  it('with absolute positions equal keys rotated beforehand, in the search and in attention', () => {
    fc.assert(
      fc.property(even, searches, seeds, (shape, options, seed) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const before = rotated(shape, q, k);
        const mask = searchBlockMask(before.q, before.k, shape, options);
        expect(searchBlockMask(q, k, shape, { ...options, rope: { tables, mode: 'absolute' } })).toEqual(mask);
        const out = blockSparseAttention(q, k, v, shape, mask, { rope: { tables, mode: 'absolute' } });
        expect(out).toEqual(blockSparseAttention(before.q, before.k, v, shape, mask));
      }),
      { numRuns: 40 },
    );
  });

  it('with streaming positions are dense attention while every key is attended to', () => {
    fc.assert(
      fc.property(even, seeds, (shape, seed) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const before = rotated(shape, q, k);
        const out = blockSparseAttention(q, k, v, shape, denseMask(shape, true), {
          rope: { tables, mode: 'streaming' },
        });
        expect(out).toBeAllclose(denseAttention(before.q, before.k, v, shape), { rtol: 1e-10, atol: 1e-12 });
      }),
      { numRuns: 30 },
    );
  });

  it('with streaming positions need tables as long as a row’s keys, however long the sequence', () => {
    const shape = { batch: 1, queries: 4, keys: 1000, heads: 1, kvHeads: 1, headDim: 4 };
    const { q, k, v } = tensorsOf(shape, 1);
    const short = rotaryTables(40, 4);
    const options = { k: 16, blockK: 2, window: 16, sink: 4, stages: undefined } as const;
    const mask = searchBlockMask(q, k, shape, { ...options, rope: { tables: short, mode: 'relative' } });
    for (let row = 0; row < 4; row++) expect([...attendedKeys(mask, shape, 0, 0, row)].length).toBeLessThanOrEqual(36);
    const rope = { tables: short, mode: 'streaming' } as const;
    expect(blockSparseAttention(q, k, v, shape, mask, { rope }).every(Number.isFinite)).toBe(true);
    expect(() => blockSparseAttention(q, k, v, shape, mask, { rope: { ...rope, mode: 'absolute' } })).toThrow(
      expect.objectContaining({ code: 'invalid-shape' }),
    );
    expect(() => blockSparseAttention(q, k, v, shape, { ...mask, causal: false }, { rope })).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    );
  });

  it('searched with relative positions score every candidate at the window’s distance', () => {
    fc.assert(
      fc.property(even, seeds, (shape, seed) => {
        const { q, k } = tensorsOf(shape, seed);
        const options = { k: 8, blockK: 2, window: 8, sink: 2, blockQ: 4, stages: undefined } as const;
        const turned = rotaryEmbedding(
          q,
          { batch: shape.batch, rows: shape.queries, heads: shape.heads, headDim: 4 },
          tables,
          () => 8,
        );
        const mask = searchBlockMask(q, k, shape, { ...options, rope: { tables, mode: 'relative' } });
        expect(mask).toEqual(searchBlockMask(turned, k, shape, options));
      }),
      { numRuns: 20 },
    );
  });
});
