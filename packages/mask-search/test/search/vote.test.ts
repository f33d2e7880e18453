// The vote: masses against their definition written out, budgets by head, what must not matter, what is refused.
import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import {
  blocksOf,
  exactTopKMask,
  massRecall,
  newWorkCount,
  resolveConfig,
  rotaryEmbedding,
  rotaryTables,
  searchBlockMask,
  topK,
  toDense,
  type AttentionShape,
  type SearchOptions,
} from '../../src/index.ts';
import { cellsOf, seeds, shapes, tensorsOf, type Tensors } from '../support.ts';

const base = { k: 16, blockQ: 8, blockK: 4, window: 8, sink: 3 } as const;
const mass = { chunk: 4, keep: 16, score: 'mass' } as const;
/** All tokens are candidates. */
const votes: SearchOptions = { ...base, stages: [mass] };
/** Candidates come in chunks of 8. */
const after: SearchOptions = {
  ...base,
  stages: [{ chunk: 8, keep: 32, strideQ: 1, rows: 'max', score: 'exact' }, mass],
};

/** The blocks with most mass, from the definition: softmax of each row over `union`, then sums. */
function elected(
  { q, k }: Tensors,
  shape: AttentionShape,
  {
    cell: { batch, heads, n },
    candidates,
    causal,
    channels,
    logit,
  }: {
    readonly cell: { readonly batch: number; readonly heads: readonly number[]; readonly n: number };
    /** First keys of candidate blocks. */
    readonly candidates: readonly number[];
    readonly causal: boolean;
    readonly channels: readonly number[];
    readonly logit: (dot: number) => number;
  },
): number[] {
  const { queries, keys, kvHeads, headDim: d } = shape;
  const masses = candidates.map(() => 0);
  const ofBlock = (key: number): number => candidates.findIndex((start) => key >= start && key < start + 4);
  for (const head of heads) {
    for (let row = n * 8; row < Math.min(n * 8 + 8, queries); row++) {
      const visible = causal ? row + keys - queries + 1 : keys;
      const windowStart = Math.max(0, visible - 8);
      const weights = Array.from({ length: visible }, (_, key) => {
        if (key >= 3 && key < windowStart && ofBlock(key) < 0) return 0;
        const kv = Math.floor(head / (shape.heads / kvHeads));
        const dots = channels.map(
          (i) =>
            q[((batch * queries + row) * shape.heads + head) * d + i]! *
            k[((batch * keys + key) * kvHeads + kv) * d + i]!,
        );
        return Math.exp(logit(dots.reduce((a, b) => a + b, 0)));
      });
      const total = weights.reduce((a, b) => a + b, 0);
      for (let key = 3; key < windowStart; key++) if (ofBlock(key) >= 0) masses[ofBlock(key)]! += weights[key]! / total;
    }
  }
  return topK(masses, Math.min(4, masses.length))
    .indices.map((i) => candidates[i]!)
    .sort((a, b) => a - b);
}

const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);

describe('rows that vote', () => {
  it('keep the blocks of largest mass, as it is defined', () => {
    fc.assert(
      fc.property(
        shapes,
        seeds,
        fc.record({ causal: fc.boolean(), shareHeads: fc.boolean(), slow: fc.boolean(), candidates: fc.boolean() }),
        fc.constantFrom(undefined, 0.7),
        (given, seed, { causal, shareHeads, slow, candidates }, softcap) => {
          const shape = slow ? { ...given, headDim: 8 } : given;
          const tensors = tensorsOf(shape, seed);
          const from = candidates ? after : votes;
          const stages = from.stages!.map((stage) =>
            stage.score === 'mass' && slow ? { ...stage, dims: 'slow-half' as const } : stage,
          );
          const options = { ...from, stages, causal, shareHeads, scale: 2, softcap };
          const mask = searchBlockMask(tensors.q, tensors.k, shape, options);
          const chunks = searchBlockMask(tensors.q, tensors.k, shape, {
            ...options,
            k: 32,
            blockK: 8,
            stages: [after.stages![0]!],
          });
          const logit = (dot: number): number => (softcap ? softcap * Math.tanh((2 * dot) / softcap) : 2 * dot);
          const channels = slow ? [2, 3, 6, 7] : range(0, shape.headDim);
          for (let maskHead = 0; maskHead < mask.maskHeads; maskHead++) {
            for (let n = 0; n < mask.queryBlocks; n++) {
              const last = Math.min(n * 8 + 8, shape.queries) - 1;
              const end = (causal ? last + shape.keys - shape.queries + 1 : shape.keys) - 8;
              const starts = candidates
                ? [...blocksOf(chunks, 0, maskHead, n)]
                    .flatMap((start) => [start, start + 4])
                    .filter((start) => start < end)
                : range(3, end, 4);
              const cell = { batch: 0, heads: shareHeads ? range(0, shape.heads) : [maskHead], n };
              const found = [...blocksOf(mask, 0, maskHead, n)];
              expect(found).toEqual(elected(tensors, shape, { cell, candidates: starts, causal, channels, logit }));
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('one row with one head and blocks of one key keeps its largest scores: exact top-k', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), seeds, (keys, seed) => {
        const shape = { batch: 1, queries: 1, keys, heads: 1, kvHeads: 1, headDim: 4 };
        const { q, k } = tensorsOf(shape, seed);
        const options = { ...base, blockK: 1, blockQ: 1 };
        const voted = searchBlockMask(q, k, shape, { ...options, stages: [{ chunk: 1, keep: 16, score: 'mass' }] });
        expect(voted).toEqual(exactTopKMask(q, k, shape, options));
      }),
      { numRuns: 40 },
    );
  });

  it('on all keys choose the blocks that hold most, as the exact baseline does', () => {
    fc.assert(
      fc.property(shapes, seeds, fc.boolean(), fc.boolean(), (shape, seed, causal, shareHeads) => {
        const { q, k } = tensorsOf(shape, seed);
        const options = { ...base, causal, shareHeads, scale: 2 };
        const voted = searchBlockMask(q, k, shape, { ...options, stages: [mass] });
        expect(exactTopKMask(q, k, shape, { ...options, score: 'mass' })).toEqual(voted);
      }),
      { numRuns: 25 },
    );
  });

  it('keep more mass than the largest score does, over all rows', () => {
    const shape = { batch: 1, queries: 64, keys: 512, heads: 2, kvHeads: 1, headDim: 8 };
    for (const seed of [1, 2, 3]) {
      const { q, k } = tensorsOf(shape, seed);
      const options = { ...base, blockQ: 64, scale: 3 };
      const [voted, scored] = [
        searchBlockMask(q, k, shape, { ...options, stages: [mass] }),
        searchBlockMask(q, k, shape, { ...options, stages: [{ ...mass, strideQ: 1, rows: 'max', score: 'exact' }] }),
      ];
      expect(massRecall(q, k, shape, voted, { scale: 3 })).toBeGreaterThan(
        massRecall(q, k, shape, scored, { scale: 3 }) + 0.005,
      );
    }
  });

  it('do not change with a common offset of the scores, however large', () => {
    const shape = { batch: 1, queries: 16, keys: 200, heads: 1, kvHeads: 1, headDim: 4 };
    const { q, k } = tensorsOf(shape, 4);
    q.forEach((_, i) => (i % 4 === 3 ? (q[i] = 1) : undefined));
    const offset = (by: number): Float64Array => k.map((x, i) => (i % 4 === 3 ? by : x));
    expect(searchBlockMask(q, offset(4096), shape, votes)).toEqual(searchBlockMask(q, offset(0), shape, votes));
  });

  it('are rows that see something; a block of rows that see nothing has no mask', () => {
    const shape = { batch: 1, queries: 16, keys: 100, heads: 1, kvHeads: 1, headDim: 4 };
    const { q, k } = tensorsOf(shape, 5);
    const positions = [...range(-20, -8), ...range(96, 100)];
    const mask = searchBlockMask(q, k, shape, { ...votes, positions });
    expect(cellsOf(mask, 0, 0)[0]).toEqual([]);
    const alone = { ...shape, queries: 4 };
    expect(cellsOf(mask, 0, 0)[1]).toEqual(cellsOf(searchBlockMask(q.subarray(12 * 4), k, alone, votes), 0, 0)[0]);
  });

  it('take unrotated vectors as they are rotated, absolute or before the window', () => {
    const shape = { batch: 1, queries: 40, keys: 120, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, k } = tensorsOf(shape, 6);
    const tables = rotaryTables(128, 8);
    const turn = (x: Float64Array, heads: number, rows: number, position: (row: number) => number): Float64Array =>
      rotaryEmbedding(x, { batch: 1, rows, heads, headDim: 8 }, tables, position);
    const absolute = searchBlockMask(q, k, shape, { ...after, rope: { tables, mode: 'absolute' } });
    const turned = [turn(q, 2, 40, (row) => row + 80), turn(k, 1, 120, (row) => row)] as const;
    expect(absolute).toEqual(searchBlockMask(...turned, shape, after));
    const relative = searchBlockMask(q, k, shape, { ...after, rope: { tables, mode: 'relative' } });
    expect(relative).toEqual(
      searchBlockMask(
        turn(q, 2, 40, () => 8),
        k,
        shape,
        after,
      ),
    );
  });

  it('count their work: every row with every key of its union; half of it with half the dimensions', () => {
    const shape = { batch: 1, queries: 8, keys: 200, heads: 2, kvHeads: 1, headDim: 8 };
    const { q, k } = tensorsOf(shape, 7);
    const counted = (options: SearchOptions): ReturnType<typeof newWorkCount> => {
      const work = newWorkCount();
      searchBlockMask(q, k, shape, options, work);
      return work;
    };
    const all = counted(votes);
    // 8 rows of 2 heads see 193 … 200 keys, all of which are candidates, sinks or window.
    expect(all.dotProducts).toBe(2 * range(193, 201).reduce((a, b) => a + b, 0));
    expect(all.keysTouched).toBe(2 * 200);
    expect(counted({ ...votes, stages: [{ ...mass, dims: 'slow-half' }] }).dotProducts).toBe(all.dotProducts / 2);
    // Logits of one row, a mass and a start for each of 48 blocks, and the mask.
    expect(all.peakNumbers).toBeLessThanOrEqual(200 + 3 * 48 + 2 * (4 + 1));
  });
});

describe('budgets by head', () => {
  it('give each head its own number of blocks, chosen as if it were alone', () => {
    const algorithms: readonly SearchOptions[] = [votes, after, { ...base, stages: undefined }];
    const budgets = fc.array(
      fc.integer({ min: 0, max: 8 }).map((blocks) => 4 * blocks),
      { minLength: 4, maxLength: 4 },
    );
    fc.assert(
      fc.property(budgets, seeds, fc.constantFrom(...algorithms), (kPerHead, seed, options) => {
        const shape = { batch: 1, queries: 20, keys: 130, heads: 4, kvHeads: 2, headDim: 4 };
        const { q, k } = tensorsOf(shape, seed);
        const mask = searchBlockMask(q, k, shape, { ...options, kPerHead });
        expect(mask.capacity).toBe(Math.max(1, ...kPerHead.map((budget) => budget / 4)));
        kPerHead.forEach((budget, head) => {
          const { stages } = options;
          const keep = Math.max(4, budget);
          const own = stages && [...stages.slice(0, -1), { ...stages.at(-1)!, keep }];
          const alone = cellsOf(searchBlockMask(q, k, shape, { ...options, k: keep, stages: own }), 0, head);
          expect(cellsOf(mask, 0, head)).toEqual(budget === 0 ? alone.map(() => []) : alone);
        });
      }),
      { numRuns: 40 },
    );
  });

  it('that hold everything are dense where they do', () => {
    const shape = { batch: 1, queries: 50, keys: 50, heads: 2, kvHeads: 2, headDim: 4 };
    const { q, k } = tensorsOf(shape, 1);
    const mask = searchBlockMask(q, k, shape, { ...votes, kPerHead: [64, 4] });
    const lower = (head: number): number => toDense(mask, { head }).reduce((sum, held) => sum + held, 0);
    expect(lower(0)).toBe((50 * 51) / 2);
    expect(lower(1)).toBeLessThan(lower(0));
  });

  it('are refused where they do not fit', () => {
    const shape = { batch: 1, queries: 8, keys: 100, heads: 2, kvHeads: 2, headDim: 4 };
    const { q, k } = tensorsOf(shape, 1);
    const wrong: Record<string, SearchOptions> = {
      'kPerHead holds 3 numbers': { ...votes, kPerHead: [4, 8, 4] },
      'kPerHead[1] is 6': { ...votes, kPerHead: [4, 6] },
      'kPerHead[0] is -4': { ...votes, kPerHead: [-4, 4] },
      'kPerHead[1] is 36: give at most 32': { ...after, kPerHead: [4, 36] },
      'no budgets by head with shareHeads': { ...votes, kPerHead: [4, 4], shareHeads: true },
    };
    for (const [message, options] of Object.entries(wrong)) {
      expect(() => searchBlockMask(q, k, shape, options), message).toThrow(
        expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(message) as string }),
      );
    }
  });
});

describe('a vote is refused', () => {
  const stages = (...list: readonly object[]): SearchOptions => ({ ...base, stages: list as SearchOptions['stages'] });
  const wrong: Record<string, SearchOptions> = {
    'rows vote in the last stage only': stages(
      { ...mass, keep: 32 },
      { ...mass, strideQ: 1, rows: 'max', score: 'exact' },
    ),
    'at most 16 keys a block': { ...stages({ chunk: 32, keep: 64, score: 'mass' }), k: 64, blockK: 32 },
    'give all or slow-half': stages({ ...mass, dims: 'fast-half' }),
    'every row votes': stages({ ...mass, strideQ: 2 }),
    'rows is mean': stages({ ...mass, rows: 'mean' }),
    'keep is 18': { ...stages({ ...mass, keep: 18 }), k: 18 },
    'decodeKeys is candidates': { ...votes, decodeKeys: 'candidates' },
    'decodeKeys is all': { ...votes, decodeKeys: 'all' as 'selected' },
  };
  it.each(Object.entries(wrong))('%s', (message, options) => {
    expect(() => resolveConfig(options)).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringContaining(message) as string }),
    );
  });
});
