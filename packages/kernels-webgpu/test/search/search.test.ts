// Mask search on the GPU against the float64 reference: integer scores are exact, so masks are equal bit for bit.
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { boundStages, PAPER_CONFIG, resolveConfig, searchBlockMask, type BlockMask } from '@hip/mask-search';
import { BOUNDS, boundsOf } from '../support/bounds.ts';
import { withTier, type DeviceProfile, type Tier } from '../../src/device/features.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { allocateMask, readMask } from '../../src/attention/mask.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { uploadTensor } from '../../src/dispatch/tensor.ts';
import { planSearch } from '../../src/search/plan.ts';
import { encodeSearch } from '../../src/search/search.ts';
import { randomTensors } from '../support/cases.ts';
import { emulateMatrices } from '../support/emulate-matrices.ts';
import {
  maskOf,
  runSearch,
  searchShapes,
  stagedConfigs,
  treeConfigs,
  type SearchCase,
} from '../support/search-cases.ts';

function cells({ counts, starts }: BlockMask): { counts: number[]; starts: number[] } {
  return { counts: [...counts], starts: [...starts] };
}

describeGpu('mask search', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  const types = fc.constantFrom('f32', 'f16');
  const tiers = fc.constantFrom('basic', 'subgroups');
  const at = (tier: Tier): { profile: DeviceProfile } => ({ profile: withTier(context.profile, tier) });

  it('stages: equals the reference for any stages, shape and sharing', async () => {
    await fc.assert(
      fc.asyncProperty(
        searchShapes,
        stagedConfigs,
        types,
        tiers,
        fc.nat(1000),
        async (shape, config, type, tier, seed) => {
          const { actual, expected } = await runSearch(context, { shape, config, type, seed }, at(tier));
          expect(cells(actual)).toEqual(cells(expected));
        },
      ),
      { numRuns: 8 },
    );
  });

  it('tree: equals the reference for every representative', async () => {
    await fc.assert(
      fc.asyncProperty(
        searchShapes,
        treeConfigs,
        types,
        tiers,
        fc.nat(1000),
        async (shape, config, type, tier, seed) => {
          const { actual, expected } = await runSearch(context, { shape, config, type, seed }, at(tier));
          expect(cells(actual)).toEqual(cells(expected));
        },
      ),
      { numRuns: 8 },
    );
  });

  const shape = { batch: 1, queries: 130, keys: 3000, heads: 2, kvHeads: 1, headDim: 32 };
  const cases: Record<string, SearchCase> = {
    bounds: {
      shape,
      config: boundsOf(128),
      type: 'f16',
      seed: 1,
    },
    'bounds in blocks of 64 rows, more chunks than are counted one by one': {
      shape: { batch: 1, queries: 130, keys: 20_000, heads: 3, kvHeads: 1, headDim: 64 },
      config: BOUNDS,
      type: 'f32',
      seed: 7,
    },
    'more candidates than are counted one by one': {
      shape,
      config: resolveConfig({
        k: 600,
        blockK: 1,
        stages: [{ chunk: 1, keep: 600, strideQ: 8, rows: 'max', score: 'exact' }],
      }),
      type: 'f32',
      seed: 2,
    },
    'more scores than workgroup memory holds': {
      shape: { ...shape, queries: 1, keys: 9000 },
      config: resolveConfig({
        k: 64,
        blockK: 1,
        stages: [{ chunk: 1, keep: 64, strideQ: 1, rows: 'max', score: 'exact' }],
      }),
      type: 'f16',
      seed: 3,
    },
    "the paper's tree": {
      shape: { ...shape, queries: 70 },
      config: resolveConfig({ ...PAPER_CONFIG, k: 256, strideQ: 8 }),
      type: 'f16',
      seed: 4,
    },
    'a tree whose nodes spill to a buffer': {
      shape: { ...shape, queries: 2, keys: 5000 },
      config: resolveConfig({ ...PAPER_CONFIG, k: 800, blockK: 1, representative: 'random' }),
      type: 'f32',
      seed: 5,
    },
  };
  for (const tier of ['basic', 'subgroups'] as const) {
    for (const [name, one] of Object.entries(cases)) {
      it(`equals the reference, ${tier}: ${name}`, async () => {
        const { actual, expected } = await runSearch(context, one, at(tier));
        expect(cells(actual)).toEqual(cells(expected));
      });
    }
  }

  it('slabs of query blocks give the same mask', async () => {
    const config = boundsOf(64, { blockQ: 16 });
    const { actual, expected, plan } = await runSearch(
      context,
      { shape: { ...shape, keys: 1500 }, config, type: 'f16', seed: 6 },
      { scratchBytes: 500 },
    );
    expect(plan.slabs.length).toBeGreaterThan(3);
    expect(cells(actual)).toEqual(cells(expected));
  });

  it('keys and queries in several bindings give the same mask', async () => {
    const limits = { ...context.limits, maxStorageBufferBindingSize: 48 * 1024 };
    const config = boundsOf(64, { blockQ: 16, sink: 5 });
    const { actual, expected, plan } = await runSearch(
      context,
      { shape: { ...shape, batch: 2, queries: 300, keys: 1000 }, config, type: 'f32', seed: 7 },
      { limits },
    );
    expect(plan.slabs[0]!.windows.length).toBeGreaterThan(2);
    expect(plan.slabs.some(({ queryBase }) => queryBase > 0)).toBe(true);
    expect(cells(actual)).toEqual(cells(expected));
  });

  it('matrix kernels, emulated: the same mask', async () => {
    const profile = { ...context.profile, tier: 'subgroup-matrix', subgroupMinSize: 32, subgroupMaxSize: 32 } as const;
    const config = resolveConfig({
      ...BOUNDS,
      k: 64,
      window: 80,
      sink: 5,
      stages: boundStages(64),
    });
    const { actual, expected, plan } = await runSearch(
      context,
      {
        shape: { batch: 1, queries: 70, keys: 1000, heads: 2, kvHeads: 1, headDim: 32 },
        config,
        type: 'f16',
        seed: 8,
      },
      { profile, rewrite: emulateMatrices, tuning: { exactSubgroups: 4, boundSubgroups: 4, boundRound: 16 } },
    );
    expect(plan.slabs[0]!.passes.filter(({ code }) => code.includes('load_left')).map(({ label }) => label)).toEqual([
      'search/0-bound',
      'search/1-bound',
      'search/2-exact',
    ]);
    expect(cells(actual)).toEqual(cells(expected));
  });

  it('real scores: differs from the reference only where chunks score alike', async () => {
    const shape = { batch: 1, queries: 64, keys: 700, heads: 2, kvHeads: 1, headDim: 64 };
    const config = resolveConfig({
      k: 64,
      blockK: 8,
      window: 16,
      stages: [{ chunk: 8, keep: 64, strideQ: 4, rows: 'max', score: 'exact' }],
    });
    const { q, k } = randomTensors(shape, 9);
    const tensors = { q: uploadTensor(context, q, 'f32'), k: uploadTensor(context, k, 'f32') };
    const mask = allocateMask(context, maskOf(shape, config));
    const call = new GpuCall(context);
    encodeSearch(call, planSearch({ shape, config, type: 'f32', profile: context.profile, limits: context.limits }), {
      ...tensors,
      mask,
    });
    call.submit();
    const actual = await readMask(context, mask);
    const expected = searchBlockMask(q, k, shape, config);
    /** Largest q·k of a chunk over the scored rows. */
    const score = (head: number, start: number): number => {
      let best = -Infinity;
      for (let row = 3; row < 64; row += 4) {
        for (let key = start; key < start + 8; key++) {
          let sum = 0;
          for (let i = 0; i < 64; i++) sum += q[(row * 2 + head) * 64 + i]! * k[key * 64 + i]!;
          best = Math.max(best, sum);
        }
      }
      return best;
    };
    const worst = [0, 1].map((head) => {
      const [found, wanted] = [actual, expected].map(({ starts, capacity }) => [
        ...starts.subarray(head * capacity, (head + 1) * capacity),
      ]) as [number[], number[]];
      const threshold = Math.min(...wanted.map((start) => score(head, start)));
      const odd = [
        ...found.filter((start) => !wanted.includes(start)),
        ...wanted.filter((start) => !found.includes(start)),
      ];
      return Math.max(0, ...odd.map((start) => Math.abs(score(head, start) - threshold)));
    });
    // 64 products below 2, summed in f32.
    expect(Math.max(...worst)).toBeLessThan(64 * 2 * 2 ** -23);
    expect([...actual.counts]).toEqual([...expected.counts]);
  });

  it("the paper's tree for a chunk of a small model, on the default features and limits", async () => {
    const shape = { batch: 1, queries: 100, keys: 1800, heads: 4, kvHeads: 2, headDim: 64 };
    for (const seed of [11, 12]) {
      const { actual, expected } = await runSearch(
        context,
        { shape, config: PAPER_CONFIG, type: 'f32', seed },
        at('basic'),
      );
      expect(cells(actual)).toEqual(cells(expected));
    }
  });

  it('ends with a valid mask whatever the numbers: NaN, infinities, all alike', async () => {
    const shape = { batch: 1, queries: 64, keys: 1400, heads: 4, kvHeads: 2, headDim: 64 };
    const configs = [resolveConfig({ ...PAPER_CONFIG, k: 600 }), boundsOf(256)];
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 0, -1e38]) {
      for (const config of configs) {
        const { q, k } = randomTensors(shape, 3);
        for (let i = 0; i < k.length; i += value === 0 ? 1 : 97) k[i] = value;
        const mask = allocateMask(context, maskOf(shape, config));
        const call = new GpuCall(context);
        const plan = planSearch({ shape, config, type: 'f32', ...at('basic'), limits: context.limits });
        encodeSearch(call, plan, { q: uploadTensor(context, q, 'f32'), k: uploadTensor(context, k, 'f32'), mask });
        call.submit();
        const { starts, counts, capacity } = await readMask(context, mask);
        counts.forEach((count, cell) => {
          const kept = [...starts.subarray(cell * capacity, cell * capacity + count)];
          expect(count).toBe(capacity);
          expect(kept.every((start, i) => start >= 16 && start < 1400 - 256 && (i === 0 || start > kept[i - 1]!))).toBe(
            true,
          );
        });
      }
    }
  });
});
