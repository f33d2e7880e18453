// Search with a vote on the GPU against the float64 reference: means and deviations, half the channels, masses, budgets by head.
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { resolveConfig, DEFAULT_CONFIG, type BlockMask, type HipConfig, type SearchStage } from '@hip/mask-search';
import { withTier, type DeviceProfile, type Tier } from '../../src/device/features.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { randomTensors, roundToHalf } from '../support/cases.ts';
import type { SearchTuning } from '../../src/search/plan.ts';
import { emulateMatrices } from '../support/emulate-matrices.ts';
import { integers, runSearch, searchShapes } from '../support/search-cases.ts';

function cells({ counts, starts }: BlockMask): { counts: number[]; starts: number[] } {
  return { counts: [...counts], starts: [...starts] };
}

/** Random numbers: scores differ by more than float32 rounds, as a run with these seeds shows. */
const SEED = 17;

const voteConfigs: fc.Arbitrary<HipConfig> = fc
  .record({
    chunk: fc.constantFrom(1, 2, 3, 4, 8, 16),
    keep: fc.integer({ min: 1, max: 8 }),
    stages: fc.integer({ min: 1, max: 3 }),
    blockQ: fc.constantFrom(1, 16, 32, 64),
    window: fc.integer({ min: 0, max: 40 }),
    sink: fc.integer({ min: 0, max: 20 }),
    causal: fc.boolean(),
    shareHeads: fc.boolean(),
    dims: fc.constantFrom('all', 'slow-half'),
    rows: fc.constantFrom('max', 'mean'),
    strideQ: fc.constantFrom(1, 2, 8),
  })
  .map(({ chunk, keep, stages: count, dims, rows, strideQ, window, ...rest }) => {
    const before: SearchStage[] = [
      { chunk: 4 * chunk, keep: 4 * chunk * (keep + 3), strideQ: 8, rows: 'mean', score: 'deviation' },
      { chunk: 2 * chunk, keep: 2 * chunk * (keep + 1), strideQ, rows, score: 'exact', dims },
    ];
    return resolveConfig({
      ...rest,
      k: keep * chunk,
      blockK: chunk,
      window: count === 3 ? Math.max(window, 4 * chunk) : window,
      stages: [...before.slice(3 - count), { chunk, keep: keep * chunk, score: 'mass', dims }],
    });
  });

describeGpu('search with a vote', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());
  const at = (tier: Tier): { profile: DeviceProfile } => ({ profile: withTier(context.profile, tier) });

  it('equals the reference for any stages, shape and sharing', async () => {
    await fc.assert(
      fc.asyncProperty(
        searchShapes,
        voteConfigs,
        fc.constantFrom('f32', 'f16'),
        fc.constantFrom('basic', 'subgroups'),
        fc.constantFrom({}, { scale: 0.3 }, { softcap: 2 }),
        fc.nat(1000),
        async (shape, config, type, tier, score, seed) => {
          const { q, k } = randomTensors(shape, seed);
          const values = type === 'f16' ? { q: roundToHalf(q), k: roundToHalf(k) } : { q, k };
          const run = await runSearch(context, { shape, config, type, seed, score, values }, at(tier));
          expect(cells(run.actual)).toEqual(cells(run.expected));
        },
      ),
      { numRuns: 6, seed: SEED },
    );
  });

  // Small enough for the matrix kernels to fit the memory that every device has; a block's last candidates are hidden from its first rows.
  const small = resolveConfig({
    ...DEFAULT_CONFIG,
    k: 24,
    blockQ: 32,
    window: 32,
    sink: 5,
    stages: [
      { chunk: 32, keep: 320, strideQ: 8, rows: 'mean', score: 'deviation' },
      { chunk: 16, keep: 96, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half' },
      { chunk: 2, keep: 24, score: 'mass', dims: 'slow-half' },
    ],
  });
  const shape = { batch: 1, queries: 40, keys: 480, heads: 1, kvHeads: 1, headDim: 32 };

  const profile32 = { tier: 'subgroup-matrix', subgroupMinSize: 32, subgroupMaxSize: 32 } as const;
  const tuning = { exactSubgroups: 4, boundSubgroups: 2, boundRound: 16 };
  const tilings: Record<string, SearchTuning> = {
    'general ones': tuning,
    'rounds of one buffer': {
      ...tuning,
      chunks: { subgroups: 2, rowTiles: 1, keyTiles: 2, buffers: 1 },
      vote: { keyTiles: 4, buffers: 1, workgroups: 1 },
    },
    'rounds of two buffers': {
      ...tuning,
      chunks: { subgroups: 2, rowTiles: 2, keyTiles: 1, buffers: 2 },
      vote: { keyTiles: 2, buffers: 2, workgroups: 7 },
    },
  };
  for (const [name, tuning] of Object.entries(tilings))
    it(`matrix kernels, emulated, ${name}: the same mask`, async () => {
      const profile = { ...context.profile, ...profile32 };
      // Means of 8 such rows, their squares and means of keys are exact in f16.
      const values = { q: integers(40 * 32, 21), k: integers(480 * 32, 22) };
      const { actual, expected, plan } = await runSearch(
        context,
        { shape, config: small, type: 'f16', seed: 0, values, score: { scale: 0.05 } },
        { profile, rewrite: emulateMatrices, tuning },
      );
      expect(plan.slabs[0]!.passes.filter(({ code }) => code.includes('load_left')).map(({ label }) => label)).toEqual([
        'search/0-deviation',
        'search/1-exact',
        'search/2-mass',
      ]);
      expect('kept' in plan.scratch).toBe(name !== 'general ones');
      expect(cells(actual)).toEqual(cells(expected));
    });

  it('one row alone: the same mask in two passes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          keys: fc.integer({ min: 1, max: 900 }),
          batch: fc.constantFrom(1, 2),
          headDim: fc.constantFrom(32, 80),
          block: fc.constantFrom(1, 2, 3, 16),
          keep: fc.integer({ min: 1, max: 20 }),
          sink: fc.integer({ min: 0, max: 20 }),
          window: fc.integer({ min: 0, max: 30 }),
          dims: fc.constantFrom('all', 'slow-half'),
          type: fc.constantFrom('f32', 'f16'),
          tier: fc.constantFrom('basic', 'subgroups'),
          score: fc.constantFrom({}, { scale: 0.3 }, { softcap: 2 }),
          budgets: fc.boolean(),
          seed: fc.nat(1000),
        }),
        async ({ keys, batch, headDim, block, keep, window, dims, type, tier, score, budgets, seed, ...rest }) => {
          const chunk = block === 3 ? 12 : 16;
          const last = Math.min(keep, Math.floor((4 * chunk) / block));
          const config = resolveConfig({
            ...DEFAULT_CONFIG,
            ...rest,
            k: last * block,
            blockK: block,
            window: 4 * chunk + window,
            ...(budgets && { kPerHead: [last * block, 0] }),
            stages: [
              { chunk: 4 * chunk, keep: 8 * 4 * chunk, strideQ: 8, rows: 'mean', score: 'deviation', refresh: 8 },
              { chunk, keep: 4 * chunk, strideQ: 1, rows: 'max', score: 'exact', dims, refresh: 1 },
              { chunk: block, keep: last * block, score: 'mass', dims, refresh: 1 },
            ],
          });
          const one = { batch, queries: 1, keys, heads: 2, kvHeads: 1, headDim };
          const { q, k } = randomTensors(one, seed);
          const values = type === 'f16' ? { q: roundToHalf(q), k: roundToHalf(k) } : { q, k };
          const run = await runSearch(context, { shape: one, config, type, seed, score, values }, at(tier));
          expect(run.plan.slabs[0]!.passes.at(-1)!.label).toBe('search/2-choose');
          expect(cells(run.actual)).toEqual(cells(run.expected));
        },
      ),
      { numRuns: 8, seed: SEED },
    );
  });

  for (const tier of ['basic', 'subgroups'] as const)
    it(`one row alone chooses among many blocks (${tier})`, async () => {
      const config = resolveConfig({
        ...DEFAULT_CONFIG,
        k: 200,
        stages: [
          { chunk: 64, keep: 768, strideQ: 8, rows: 'mean', score: 'deviation', refresh: 8 },
          { chunk: 16, keep: 576, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half', refresh: 1 },
          { chunk: 2, keep: 200, score: 'mass', dims: 'slow-half', refresh: 1 },
        ],
      });
      const one = { batch: 1, queries: 1, keys: 1100, heads: 2, kvHeads: 1, headDim: 32 };
      const { q, k } = randomTensors(one, 29);
      const run = await runSearch(context, { shape: one, config, type: 'f32', seed: 0, values: { q, k } }, at(tier));
      expect(run.plan.slabs[0]!.passes.at(-1)!.code).toContain('histogram');
      expect(cells(run.actual)).toEqual(cells(run.expected));
    });

  it('budgets by head, none among them', async () => {
    const config = resolveConfig({ ...small, kPerHead: [0, 40, 6, 24] });
    const { q, k } = randomTensors({ ...shape, heads: 4 }, 23);
    const { actual, expected } = await runSearch(
      context,
      { shape: { ...shape, heads: 4 }, config, type: 'f32', seed: 0, values: { q, k } },
      at('basic'),
    );
    expect(actual.capacity).toBe(20);
    expect(cells(actual)).toEqual(cells(expected));
    expect([...actual.counts]).toEqual([0, 20, 3, 12].flatMap((count) => [count, count]));
  });
});
