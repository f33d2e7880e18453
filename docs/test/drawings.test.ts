// What the guide draws is what the package does.
import { searchBlockMask, searchKeysOfQuery } from '@hip/mask-search';
import { assert, array, double, integer, pre, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawLinas } from '../drawings/draw-linas.ts';
import { drawSearch, K, SCORES } from '../drawings/draw-search.ts';
import { drawStages, STAGES } from '../drawings/draw-stages.ts';
import { DRAWN, drawSupernet } from '../drawings/draw-supernet.ts';
import { stagesOf } from '../drawings/stages.ts';
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

describe('stages', () => {
  const shape = { batch: 1, queries: 1, keys: SCORES.length, heads: 1, kvHeads: 1, headDim: 1 };
  const stages = STAGES.map((stage) => ({ ...stage, strideQ: 1, rows: 'max', score: 'exact' }) as const);
  const config = { k: 8, blockQ: 1, blockK: 2, window: 0, sink: 0, stages };

  it('keep what the reference keeps', () => {
    assert(
      property(
        array(double({ min: -1, max: 1, noNaN: true }), { minLength: SCORES.length, maxLength: SCORES.length }),
        (scores) => {
          const mask = searchBlockMask(Float64Array.of(1), Float64Array.from(scores), shape, config);
          const left = stagesOf(scores, STAGES)
            .at(-1)!
            .chunks.filter(({ kept }) => kept);
          expect(left.map(({ start }) => start)).toEqual(Array.from(mask.starts.subarray(0, mask.counts[0])));
        },
      ),
      { numRuns: 50, examples: [[[...SCORES]]] },
    );
  });

  it('are drawn with one box a chunk', () => {
    const chunks = stagesOf(SCORES, STAGES).reduce((sum, stage) => sum + stage.chunks.length, 0);
    expect(drawStages().match(/<rect/g)).toHaveLength(chunks);
  });
});

it('draws every head and FFN part of the super-network, and the four steps of a round', () => {
  expect(drawSupernet().match(/<rect/g)).toHaveLength(DRAWN.layers * (DRAWN.heads + DRAWN.ffn));
  expect(drawLinas().match(/<rect/g)).toHaveLength(4);
});
