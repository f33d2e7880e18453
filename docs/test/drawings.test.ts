// What the guide draws is what the package does.
import { searchKeysOfQuery } from '@hip/mask-search';
import { assert, array, double, integer, pre, property } from 'fast-check';
import { expect, it } from 'vitest';
import { drawSearch, K, SCORES } from '../drawings/draw-search.ts';
import { roundsOf } from '../drawings/tree-search.ts';

const drawn = (scores: readonly number[], k: number) =>
  roundsOf(scores, k)
    .at(-1)!
    .filter(({ kept }) => kept)
    .map(({ start }) => start);
const searched = (scores: readonly number[], k: number) =>
  searchKeysOfQuery(Float64Array.of(1), Float64Array.from(scores), { visible: scores.length, k });

it('keeps the keys that the reference keeps', () => {
  expect(drawn(SCORES, K)).toEqual(searched(SCORES, K));
  assert(
    property(
      array(double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 80 }),
      integer({ min: 1, max: 9 }),
      (scores, k) => {
        pre(scores.length > k);
        expect(drawn(scores, k)).toEqual(searched(scores, k));
      },
    ),
    { numRuns: 50 },
  );
});

it('is a picture with one box per dot product', () => {
  const svg = drawSearch();
  expect(svg.match(/<rect/g)).toHaveLength(Number(/(\d+) dot products/.exec(svg)![1]));
});
