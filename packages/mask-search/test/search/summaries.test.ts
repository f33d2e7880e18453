// Means and deviations of chunks, and scores of half the channels: what they are, and that growing and cutting back changes nothing.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { searchBlockMask, type SearchStage } from '../../src/index.ts';
import { KeyMoments } from '../../src/search/envelope.ts';
import { cellsOf, tensorsOf } from '../support.ts';

const CHUNK = 8;

function momentsOf(
  k: Float64Array,
  keys: number,
  shape: { batch: number; kvHeads: number; headDim: number },
): KeyMoments {
  const moments = new KeyMoments(shape, 3, CHUNK);
  moments.extend(k, keys);
  return moments;
}

it('scores a chunk by q·mean + 2·√(Σ q²·variance), grown token by token or cut back and grown again', () => {
  const shapes = fc.record({ kvHeads: fc.integer({ min: 1, max: 2 }), chunks: fc.integer({ min: 1, max: 4 }) });
  fc.assert(
    fc.property(shapes, fc.integer(), fc.nat(40), ({ kvHeads, chunks }, seed, cut) => {
      const shape = { batch: 1, queries: 1, keys: 3 + chunks * CHUNK, heads: kvHeads, kvHeads, headDim: 4 };
      const { q, k } = tensorsOf(shape, seed);
      const whole = momentsOf(Float64Array.from(k), shape.keys, shape);
      const grown = new KeyMoments(shape, 3, CHUNK);
      for (let keys = 1; keys <= shape.keys; keys++)
        grown.extend(Float64Array.from(k.subarray(0, keys * kvHeads * 4)), keys);
      grown.truncate(Math.min(cut, shape.keys));
      grown.extend(Float64Array.from(k), shape.keys);
      const vector = Float64Array.from(q.subarray(0, 4));
      for (let head = 0; head < kvHeads; head++) {
        for (let chunk = 0; chunk < chunks; chunk++) {
          let [mean, variance] = [0, 0];
          for (let i = 0; i < 4; i++) {
            const x = Array.from({ length: CHUNK }, (_, j) => k[((3 + chunk * CHUNK + j) * kvHeads + head) * 4 + i]!);
            const mu = x.reduce((a, b) => a + b, 0) / CHUNK;
            mean += vector[i]! * mu;
            variance += vector[i]! ** 2 * (x.reduce((a, b) => a + (b - mu) ** 2, 0) / CHUNK);
          }
          expect(whole.score(vector, 0, head, chunk)).toBeCloseTo(mean + 2 * Math.sqrt(variance), 10);
          expect(grown.score(vector, 0, head, chunk)).toBe(whole.score(vector, 0, head, chunk));
        }
      }
    }),
    { numRuns: 40 },
  );
});

it('equal keys have no deviation: the chunk scores as each of them', () => {
  const k = Float64Array.from({ length: 32 * 2 }, (_, i) => [0.1, 1e3][i % 2]!);
  const moments = new KeyMoments({ batch: 1, kvHeads: 1, headDim: 2 }, 0, CHUNK);
  moments.extend(k, 32);
  for (let chunk = 0; chunk < 4; chunk++) expect(moments.score(Float64Array.of(1, 1), 0, 0, chunk)).toBe(0.1 + 1e3);
});

it('an exact stage of half the channels is one of all channels where the others are zero', () => {
  const shape = { batch: 1, queries: 40, keys: 200, heads: 2, kvHeads: 1, headDim: 8 };
  const { q, k } = tensorsOf(shape, 5);
  const isSlow = (channel: number): boolean => channel % 4 >= 2;
  const slow = k.map((x, i) => (isSlow(i % 8) ? x : 0));
  const search = (keys: typeof k, dims: 'all' | 'slow-half'): number[][] => {
    const stages: SearchStage[] = [{ chunk: 4, keep: 16, strideQ: 1, rows: 'max', score: 'exact', dims }];
    const mask = searchBlockMask(q, keys, shape, { k: 16, blockK: 4, blockQ: 8, window: 8, sink: 2, stages });
    return [0, 1].flatMap((head) => cellsOf(mask, 0, head).map((starts) => [...starts]));
  };
  expect(search(k, 'slow-half')).toEqual(search(slow, 'all'));
  expect(search(k, 'slow-half')).not.toEqual(search(k, 'all'));
});
