// What must not matter: the order of the batch, the order of the heads, a common rotation of queries and keys.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { blockSparseAttention, searchBlockMask, type AttentionShape } from '../../src/index.ts';
import { cellsOf, configurations, permutation, rotation, searches, seeds, shapes, tensorsOf } from '../support.ts';

/** x [A, rows, B, d] with the slices of one axis in another order. */
function reorder(
  x: Float64Array,
  [a, rows, b, d]: readonly [number, number, number, number],
  axis: 'first' | 'third',
  order: readonly number[],
): Float64Array {
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const [c, h, row, n] = [
      i % d,
      Math.floor(i / d) % b,
      Math.floor(i / (d * b)) % rows,
      Math.floor(i / (d * b * rows)),
    ];
    const [fromN, fromH] = axis === 'first' ? [order[n]!, h] : [n, order[h]!];
    out[i] = x[((fromN * rows + row) * b + fromH) * d + c]!;
  }
  expect(a * rows * b * d).toBe(x.length);
  return out;
}

/** Any search, with a remainder or without. */
const anySearch = fc
  .record({ search: searches, remainder: fc.constantFrom(undefined, { block: 4, most: 3 }) })
  .map(({ search, remainder }) => ({ ...search, remainder }));

describe('searchBlockMask and blockSparseAttention', () => {
  it('do not depend on the order of the batch', () => {
    fc.assert(
      fc.property(shapes, anySearch, seeds, (given, options, seed) => {
        const shape: AttentionShape = { ...given, batch: 3 };
        const { queries, keys, heads, kvHeads, headDim: d } = shape;
        const { q, k, v } = tensorsOf(shape, seed);
        const order = permutation(3, seed);
        const qDims = [3, queries, heads, d] as const;
        const kDims = [3, keys, kvHeads, d] as const;
        const [q2, k2, v2] = [
          reorder(q, qDims, 'first', order),
          reorder(k, kDims, 'first', order),
          reorder(v, kDims, 'first', order),
        ];
        const mask = searchBlockMask(q, k, shape, options);
        const mask2 = searchBlockMask(q2, k2, shape, options);
        for (let head = 0; head < mask.maskHeads; head++) {
          order.forEach((from, to) => expect(cellsOf(mask2, to, head)).toEqual(cellsOf(mask, from, head)));
        }
        expect(blockSparseAttention(q2, k2, v2, shape, mask2)).toEqual(
          reorder(blockSparseAttention(q, k, v, shape, mask), qDims, 'first', order),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('do not depend on the order of the heads, within groups and of groups', () => {
    fc.assert(
      fc.property(shapes, anySearch, seeds, (given, options, seed) => {
        const shape: AttentionShape = { ...given, batch: 1, heads: 6, kvHeads: 3 };
        const { queries, keys, headDim: d } = shape;
        const { q, k, v } = tensorsOf(shape, seed);
        const groups = permutation(3, seed);
        const order = groups.flatMap((group, i) => permutation(2, seed + i).map((member) => group * 2 + member));
        const qDims = [1, queries, 6, d] as const;
        const kDims = [1, keys, 3, d] as const;
        const [q2, k2, v2] = [
          reorder(q, qDims, 'third', order),
          reorder(k, kDims, 'third', groups),
          reorder(v, kDims, 'third', groups),
        ];
        const mask = searchBlockMask(q, k, shape, options);
        const mask2 = searchBlockMask(q2, k2, shape, options);
        const sources = mask.maskHeads === 1 ? [0] : order;
        sources.forEach((from, to) => expect(cellsOf(mask2, 0, to)).toEqual(cellsOf(mask, 0, from)));
        expect(blockSparseAttention(q2, k2, v2, shape, mask2)).toEqual(
          reorder(blockSparseAttention(q, k, v, shape, mask), qDims, 'third', order),
        );
      }),
      { numRuns: 40 },
    );
  });

  // `bound` is left out: an elementwise envelope is a box along the axes, and another basis gives another box.
  const invariant = Object.entries(configurations).filter(
    ([, { stages }]) => !stages?.some(({ score }) => score === 'bound'),
  );
  it('do not change when queries and keys are rotated together', () => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(...invariant.map(([, config]) => config)), seeds, (shape, config, seed) => {
        const { q, k, v } = tensorsOf(shape, seed);
        const rotate = rotation(shape.headDim, seed);
        const [mask, rotated] = [
          searchBlockMask(q, k, shape, config),
          searchBlockMask(rotate(q), rotate(k), shape, config),
        ];
        // Random scores are further apart than rounding.
        expect(rotated.starts).toEqual(mask.starts);
        const out = blockSparseAttention(rotate(q), rotate(k), v, shape, rotated);
        expect(out).toBeAllclose(blockSparseAttention(q, k, v, shape, mask), { rtol: 1e-9, atol: 1e-11 });
      }),
      { numRuns: 80 },
    );
  });
});
