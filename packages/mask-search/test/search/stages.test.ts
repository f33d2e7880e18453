// Multi-stage pruning, stage by stage: the local binary search, the rows that are scored, what each stage may keep.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  exactTopKMask,
  infiniteHipStages,
  resolveConfig,
  searchBlockMask,
  withBudget,
  type SearchStage,
} from '../../src/index.ts';
import { binarySearchScore } from '../../src/search/stages.ts';
import { initialNodes, treeRounds } from '../../src/search/tree.ts';
import { cellsOf, seeds, shapes, tensorsOf } from '../support.ts';

describe('the local binary search', () => {
  it('finds the peak of scores that fall off around it in a chunk of 2ⁿ tokens: the half with the peak has the nearer centre', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.nat(), fc.nat(), (levels, at, start) => {
        const size = 2 ** levels;
        // The peak is a quarter off the key: centres of two halves would tie over a key at the start of the right one.
        const peak = start + (at % size);
        let reads = 0;
        const best = binarySearchScore(start, start + size, (key) => (reads++, -Math.abs(key - peak - 0.25)));
        expect(best).toBe(-0.25);
        expect(reads).toBe(Math.max(1, 2 * levels));
      }),
    );
  });

  it('gives the best score of the keys it read, on the way too', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1, maxLength: 64 }), (scores) => {
        const read: number[] = [];
        const found = binarySearchScore(0, scores.length, (key) => (read.push(scores[key]!), scores[key]!));
        expect(found).toBe(Math.max(...read));
      }),
    );
  });

  it('goes left where both halves score the same', () => {
    const read: number[] = [];
    binarySearchScore(0, 8, (key) => (read.push(key), 0));
    expect(read).toEqual([2, 6, 1, 3, 0, 1]);
  });
});

describe('stages', () => {
  const base = { k: 16, blockQ: 4, blockK: 4, window: 16, sink: 2 } as const;

  it('one exact stage over all rows is exact top-k', () => {
    fc.assert(
      fc.property(shapes, seeds, fc.boolean(), fc.boolean(), (shape, seed, causal, shareHeads) => {
        const { q, k } = tensorsOf(shape, seed);
        const options = { ...base, causal, shareHeads };
        const stages: SearchStage[] = [{ chunk: 4, keep: 16, strideQ: 1, rows: 'max', score: 'exact' }];
        const [mask, exact] = [
          searchBlockMask(q, k, shape, { ...options, stages }),
          exactTopKMask(q, k, shape, options),
        ];
        expect(mask).toEqual(exact);
      }),
      { numRuns: 40 },
    );
  });

  it('each keeps chunks of what the one before kept', () => {
    fc.assert(
      fc.property(
        shapes,
        seeds,
        fc.constantFrom('binary', 'bound', 'deviation', 'exact'),
        fc.constantFrom('max', 'mean'),
        (shape, seed, score, rows) => {
          const { q, k } = tensorsOf(shape, seed);
          const first = { chunk: 16, keep: 32, strideQ: 2, rows, score } as const;
          const coarse = searchBlockMask(q, k, shape, { ...base, k: 32, blockK: 16, stages: [first] });
          const fine = searchBlockMask(q, k, shape, {
            ...base,
            stages: [first, { chunk: 4, keep: 16, strideQ: 2, rows, score }],
          });
          for (let head = 0; head < shape.heads; head++) {
            const chunks = cellsOf(coarse, 0, head);
            cellsOf(fine, 0, head).forEach((starts, n) => {
              for (const start of starts) expect(chunks[n]).toContain(Math.floor((start - 2) / 16) * 16 + 2);
            });
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('mean and max agree where groups are single rows', () => {
    fc.assert(
      fc.property(shapes, seeds, (shape, seed) => {
        const { q, k } = tensorsOf(shape, seed);
        const [max, mean] = (['max', 'mean'] as const).map((rows) =>
          searchBlockMask(q, k, shape, { ...base, stages: [{ chunk: 4, keep: 16, strideQ: 1, rows, score: 'exact' }] }),
        );
        expect(mean).toEqual(max);
      }),
      { numRuns: 20 },
    );
  });

  it('InfiniteHiP’s are the published ones, and take any budget', () => {
    expect(infiniteHipStages().map(({ chunk, keep, strideQ }) => [chunk, keep, strideQ])).toEqual([
      [256, 32768, 4],
      [32, 8192, 4],
      [8, 2048, 1],
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), (blocks) => {
        const k = 8 * blocks;
        for (const stages of [infiniteHipStages(k), withBudget(infiniteHipStages(), k)]) {
          expect(resolveConfig({ k, blockK: 8, window: 1024, stages }).stages!.at(-1)!.keep).toBe(k);
        }
      }),
    );
  });
});

describe('the tree', () => {
  it('starts from nodes that cover all blocks and differ by at most one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 3000 }), (count, more) => {
        const nodes = initialNodes(count + more, count);
        const sizes = nodes.map(({ size }) => size);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        nodes.forEach(({ first }, i) => expect(first).toBe(sizes.slice(0, i).reduce((a, b) => a + b, 0)));
        expect(sizes.reduce((a, b) => a + b, 0)).toBe(count + more);
        // ceil(log2(BS / M)) halvings of the largest node leave one block.
        let [largest, rounds] = [Math.max(...sizes), 0];
        for (; largest > 1; rounds++) largest = Math.ceil(largest / 2);
        expect(treeRounds(count + more, count)).toBe(rounds);
        expect(rounds).toBe(Math.ceil(Math.log2((count + more) / count)));
      }),
    );
  });
});
