// Stages of means and deviations, exact scores of half the channels, votes, budgets by head: masks of both binaries against the reference's.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { searchBlockMask, DEFAULT_CONFIG, type HipConfig, type SearchStage } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { Misses, shapes, tensors, wholeTensors } from './support.ts';

const dims = fc.constantFrom('all' as const, 'slow-half' as const);

/** Stages that end in a vote: alone on all keys, after exact scores on the same rows and channels or on others, after means. */
const votes = fc
  .record({
    blockK: fc.constantFrom(1, 2, 3, 16),
    blockQ: fc.constantFrom(1, 8, 24, 64),
    window: fc.constantFrom(48, 70),
    sink: fc.constantFrom(0, 5, 60),
    shareHeads: fc.boolean(),
    stages: fc.integer({ min: 1, max: 3 }),
    strideQ: fc.constantFrom(1, 4),
    dims: fc.tuple(dims, dims),
    keep: fc.integer({ min: 1, max: 3 }),
    kPerHead: fc.option(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 6, maxLength: 6 }), { nil: undefined }),
  })
  .map(({ blockK, stages, strideQ, dims: [scored, voted], keep, kPerHead, ...rest }) => {
    const k = 16 * keep * (blockK === 3 ? 3 : 1);
    const all: SearchStage[] = [
      { chunk: 48, keep: 192, strideQ: 8, rows: 'mean', score: 'deviation' },
      { chunk: blockK === 3 ? 12 : 16, keep: 144, strideQ, rows: 'max', score: 'exact', dims: scored },
      { chunk: blockK, keep: k, score: 'mass', dims: voted },
    ];
    return {
      ...rest,
      k,
      blockK,
      stages: all.slice(3 - stages),
      kPerHead: rest.shareHeads ? undefined : kPerHead?.map((n) => n * 48),
    } satisfies Partial<HipConfig>;
  });

describe.each(['plain', 'relaxed'] as const)('votes, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  /** Share of the reference's blocks that may be missed: near-ties, closer than small integers tell apart (compact.test.ts). */
  const tolerance = simd === 'plain' ? 0.005 : 0.05;

  it('masks are the reference’s but for near-ties', () => {
    const misses = new Misses();
    fc.assert(
      fc.property(shapes, votes, fc.constantFrom(undefined, 2), ({ shape: given, causal, seed }, vote, softcap) => {
        const shape = { ...given, keys: given.keys + 100, headDim: given.headDim === 6 ? 12 : given.headDim };
        const { q, k } = tensors(shape, seed);
        const kPerHead = vote.kPerHead?.slice(0, shape.heads);
        const config = { ...vote, causal, kPerHead };
        const options = { scale: 0.9, softcap };
        const expected = searchBlockMask(q, k, shape, { ...config, ...options });
        const mask = cpu.maskSearch(q, k, shape, config, options);
        // The last chunk may hold fewer keys than the one that nearly ties with it.
        for (const [cell, count] of mask.counts.entries())
          expect(Math.abs(count - expected.counts[cell]!)).toBeLessThanOrEqual(15 / vote.blockK);
        misses.add(expected, mask);
        expect(cpu.plan(shape, config).total).toBeGreaterThan(cpu.usedBytes);
      }),
      { numRuns: 60 },
    );
    expect(misses.share).toBeLessThan(tolerance);
  });

  it('budgets by head hold for the tree search, too', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 6, maxLength: 6 }),
        (given, budgets) => {
          const { shape, causal, seed } = given;
          const { q, k } = wholeTensors(shape, seed);
          const kPerHead = budgets.slice(0, shape.heads).map((n) => 8 * n);
          const config = { k: 16, blockK: 4, window: 16, sink: 3, stages: undefined, causal, kPerHead };
          expect(cpu.maskSearch(q, k, shape, config)).toEqual(searchBlockMask(q, k, shape, config));
        },
      ),
      { numRuns: 15 },
    );
  });

  it('the shipped stages on a long text: what is held in memory and what is not', () => {
    const shape = { batch: 1, queries: 130, keys: 5000, heads: 2, kvHeads: 1, headDim: 16 };
    const { q, k } = tensors(shape, 5);
    const sharp = q.map((x) => 4 * x);
    for (const stages of [DEFAULT_CONFIG.stages!, DEFAULT_CONFIG.stages!.slice(2)]) {
      for (const blockQ of stages.length === 3 ? [64, 130] : [130]) {
        const config = { ...DEFAULT_CONFIG, blockQ, stages, remainder: undefined };
        const misses = new Misses();
        misses.add(searchBlockMask(sharp, k, shape, config), cpu.maskSearch(sharp, k, shape, config));
        expect(misses.share).toBeLessThan(tolerance);
      }
    }
  });
});
