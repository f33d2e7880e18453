// The paper's unblocked algorithm against the blocked search with b_q = b_k = 1, and against its own definition.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { searchBlockMask, searchKeysOfQuery, topK } from '../../src/index.ts';
import { cellsOf, randomTensor, seeds, shapes, tensorsOf } from '../support.ts';

const unblocked = { blockQ: 1, blockK: 1, strideQ: 1, strideK: 1, window: 0, sink: 0, stages: undefined } as const;

it('the blocked search with blocks of one is the unblocked algorithm, row by row', () => {
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 40 }), seeds, fc.boolean(), (shape, k, seed, coarse) => {
      const tensors = tensorsOf(shape, seed);
      // Coarse numbers make many equal scores: ties must break alike.
      const [q, key] = coarse ? [tensors.q.map(Math.round), tensors.k.map(Math.round)] : [tensors.q, tensors.k];
      const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
      const mask = searchBlockMask(q, key, shape, { ...unblocked, k });
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < heads; h++) {
          const kvHead = Math.floor((h * kvHeads) / heads);
          const own = Float64Array.from(
            { length: keys * d },
            (_, i) => key[((b * keys + Math.floor(i / d)) * kvHeads + kvHead) * d + (i % d)]!,
          );
          cellsOf(mask, b, h).forEach((starts, row) => {
            const at = ((b * queries + row) * heads + h) * d;
            const visible = row + keys - queries + 1;
            expect(starts).toEqual(searchKeysOfQuery(q.subarray(at, at + d), own, { visible, k }));
          });
        }
      }
    }),
    { numRuns: 60 },
  );
});

it('half as many kept as visible is exact top-k', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), seeds, (visible, seed) => {
      const query = randomTensor(3, seed);
      const keys = randomTensor(visible * 3, seed + 1);
      const scores = Array.from(
        { length: visible },
        (_, i) => query[0]! * keys[3 * i]! + query[1]! * keys[3 * i + 1]! + query[2]! * keys[3 * i + 2]!,
      );
      const k = Math.ceil(visible / 2);
      const best = topK(scores, k).indices.sort((a, b) => a - b);
      expect(searchKeysOfQuery(query, keys, { visible, k })).toEqual(best);
    }),
  );
});

it('scores that fall off around a peak keep the keys around it: locality justifies the centre', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1023 }), (peak) => {
      const keys = Float64Array.from({ length: 1024 }, (_, i) => -Math.abs(i - peak));
      expect(searchKeysOfQuery(Float64Array.of(1), keys, { visible: 1024, k: 16 })).toContain(peak);
    }),
  );
});

it('refuses keys that are not there', () => {
  expect(() => searchKeysOfQuery(Float64Array.of(1), Float64Array.of(1), { visible: 2, k: 1 })).toThrow(
    expect.objectContaining({ code: 'invalid-shape' }),
  );
});
