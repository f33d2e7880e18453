// Ensembles: the union holds the plain search, votes thin it, truncation bounds it, one member is no ensemble.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { massRecall, searchBlockMask, type EnsembleConfig } from '../../src/index.ts';
import { cellsOf, seeds, startsOf, tensorsOf } from '../support.ts';

const shape = { batch: 1, queries: 32, keys: 400, heads: 1, kvHeads: 1, headDim: 4 };
const plain = { k: 16, blockQ: 8, blockK: 2, window: 16, sink: 4, stages: undefined } as const;

function cells(seed: number, ensemble?: EnsembleConfig): number[][] {
  const { q, k } = tensorsOf(shape, seed);
  return cellsOf(searchBlockMask(q, k, shape, { ...plain, seed, ensemble }), 0, 0);
}

const members = fc.integer({ min: 1, max: 6 });

describe('an ensemble', () => {
  it('of one member is the plain search', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(cells(seed, { members: 1 })).toEqual(cells(seed));
      }),
      { numRuns: 10 },
    );
  });

  it('with one vote and no truncation holds the plain search’s blocks, and no less mass', () => {
    fc.assert(
      fc.property(seeds, members, (seed, n) => {
        const union = cells(seed, { members: n });
        cells(seed).forEach((starts, i) => expect(union[i]).toEqual(expect.arrayContaining(starts)));
        const { q, k } = tensorsOf(shape, seed);
        const recall = (ensemble?: EnsembleConfig): number =>
          massRecall(q, k, shape, searchBlockMask(q, k, shape, { ...plain, seed, ensemble }));
        expect(recall({ members: n })).toBeGreaterThanOrEqual(recall() - 1e-12);
      }),
      { numRuns: 20 },
    );
  });

  it('finds more with more members', () => {
    const blocks = (n: number): number => cells(3, { members: n }).flat().length;
    expect(blocks(4)).toBeGreaterThan(blocks(1));
    expect(blocks(12)).toBeGreaterThan(blocks(4));
  });

  it('with more votes keeps fewer, with truncation at most k keys’ worth', () => {
    fc.assert(
      fc.property(seeds, members, (seed, n) => {
        let before = cells(seed, { members: n });
        for (let votes = 2; votes <= n; votes++) {
          const now = cells(seed, { members: n, votes });
          now.forEach((starts, i) => expect(before[i]).toEqual(expect.arrayContaining(starts)));
          before = now;
        }
        const truncated = cells(seed, { members: n, truncate: true });
        for (const starts of truncated) expect(starts.length).toBeLessThanOrEqual(8);
      }),
      { numRuns: 15 },
    );
  });

  it('repeats itself for a seed, and differs for another', () => {
    const { q, k } = tensorsOf(shape, 1);
    const search = (seed: number): Int32Array =>
      searchBlockMask(q, k, shape, { ...plain, seed, ensemble: { members: 5 } }).starts;
    expect(search(1)).toEqual(search(1));
    expect(search(1)).not.toEqual(search(2));
  });

  it('splits at random in the rounds it is told', () => {
    const none = cells(2, { members: 5, rounds: [0, 0] });
    expect(none).toEqual(cells(2));
    expect(cells(2, { members: 5, rounds: [0, 1] })).not.toEqual(none);
  });
});

it('random representatives are drawn anew in each block, and repeat for a seed', () => {
  const { q, k } = tensorsOf(shape, 1);
  const search = (seed: number): number[] =>
    startsOf(searchBlockMask(q, k, shape, { ...plain, representative: 'random', seed }), 0);
  expect(search(4)).toEqual(search(4));
  expect(search(4)).not.toEqual(search(5));
});
