// A key that some row of a block may not see does not change which keys the block chooses, whatever number it is.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { resolveConfig, type BlockMask } from '@hip/mask-search';
import { allocateMask, destroyMask, readMask } from '../../src/attention/mask.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { uploadTensor } from '../../src/dispatch/tensor.ts';
import { planSearch } from '../../src/search/plan.ts';
import { encodeSearch } from '../../src/search/search.ts';
import { randomTensors } from '../support/cases.ts';
import { emulateMatrices } from '../support/emulate-matrices.ts';
import { oddNumbers, spoiled } from '../support/isolation.ts';
import { maskOf } from '../support/search-cases.ts';

const BLOCK = 16;
/** A block's last chunk ends before its first row: window >= blockQ + chunk. */
const base = { k: 16, blockK: 8, blockQ: BLOCK, window: 32, sink: 3, strideQ: 2 } as const;
const matrix = { k: 32, blockK: 16, blockQ: BLOCK, window: 48, sink: 3 } as const;
const CONFIGS = {
  bounds: resolveConfig({
    ...base,
    stages: [
      { chunk: 16, keep: 48, strideQ: 4, rows: 'mean', score: 'bound' },
      { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  }),
  'binary search': resolveConfig({
    ...base,
    stages: [{ chunk: 8, keep: 16, strideQ: 2, rows: 'max', score: 'binary' }],
  }),
  tree: resolveConfig({ ...base, stages: undefined }),
  vote: resolveConfig({
    ...base,
    k: 8,
    blockK: 2,
    stages: [
      { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'deviation' },
      { chunk: 8, keep: 32, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half' },
      { chunk: 2, keep: 8, score: 'mass', dims: 'slow-half' },
    ],
  }),
  'vote on matrices': resolveConfig({
    ...matrix,
    k: 16,
    blockK: 4,
    stages: [
      { chunk: 32, keep: 96, strideQ: 4, rows: 'mean', score: 'deviation' },
      { chunk: 16, keep: 48, strideQ: 1, rows: 'max', score: 'exact', dims: 'slow-half' },
      { chunk: 4, keep: 16, score: 'mass', dims: 'slow-half' },
    ],
  }),
  'bounds on matrices': resolveConfig({
    ...matrix,
    stages: [
      { chunk: 32, keep: 96, strideQ: 4, rows: 'mean', score: 'bound' },
      { chunk: 16, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
    ],
  }),
};

describeGpu('isolation in the search', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' }));
  });
  afterAll(() => context.device.destroy());

  for (const [name, config] of Object.entries(CONFIGS)) {
    it(`chooses the same keys: ${name}`, async () => {
      const matrices = name.includes('matrices');
      const shape = { batch: 1, queries: 70, keys: 200, heads: 1, kvHeads: 1, headDim: 32 };
      const profile = matrices
        ? ({ ...context.profile, tier: 'subgroup-matrix', subgroupMinSize: 32, subgroupMaxSize: 32 } as const)
        : context.profile;
      const made = planSearch({ shape, config, type: 'f16', profile, limits: context.limits });
      const slabs = made.slabs.map((slab) => ({
        ...slab,
        passes: slab.passes.map((pass) => ({ ...pass, code: matrices ? emulateMatrices(pass.code) : pass.code })),
      }));
      const { q, k } = randomTensors(shape, 5);
      const run = async (keys: Float32Array): Promise<BlockMask> => {
        const mask = allocateMask(context, maskOf(shape, config));
        const call = new GpuCall(context);
        const tensors = { q: uploadTensor(context, q, 'f16'), k: uploadTensor(context, keys, 'f16') };
        encodeSearch(call, { ...made, slabs }, { ...tensors, mask });
        call.submit();
        const found = await readMask(context, mask);
        destroyMask(mask);
        return found;
      };
      const clean = await run(k);
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 100, max: 199 }), oddNumbers, async (key, value) => {
          const odd = await run(spoiled(k, key, shape.headDim, value));
          // Blocks whose first row stands before the key. Where rows vote, those of its block that see it have another vote.
          const whole = name.includes('vote') ? Math.floor : Math.ceil;
          const blocks = whole((key - (shape.keys - shape.queries)) / BLOCK);
          const of = ({ starts, capacity }: BlockMask) => [...starts.subarray(0, Math.max(0, blocks) * capacity)];
          expect(of(odd)).toEqual(of(clean));
          expect([...odd.counts]).toEqual([...clean.counts]);
        }),
        { numRuns: matrices ? 3 : 6, endOnFailure: true },
      );
    });
  }
});
