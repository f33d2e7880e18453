// Split-key attention against float64: masks and dense, every storage, head groups, keys in several bindings.
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { blockSparseAttention, denseAttention, type AttentionShape, type BlockMask } from '@hip/mask-search';
import { destroyMask, uploadMask } from '../../src/attention/mask.ts';
import { encodeDecode, type DecodeOptions } from '../../src/decode/decode.ts';
import type { ElementType } from '../../src/device/features.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../../src/dispatch/tensor.ts';
import { randomMask, randomTensors, roundToHalf } from '../support/cases.ts';

interface Case {
  readonly shape: AttentionShape;
  readonly mask?: BlockMask;
  readonly type: ElementType;
  readonly options?: DecodeOptions;
}

async function largestError(context: GpuContext, { shape, mask, type, options = {} }: Case): Promise<number> {
  const values = randomTensors(shape, 5);
  const half = type === 'f16';
  const [q, k, v] = [values.q, values.k, values.v].map((x) => (half ? roundToHalf(x) : x)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const tensors = {
    q: uploadTensor(context, q, type),
    k: uploadTensor(context, k, type),
    v: uploadTensor(context, v, type),
    out: emptyTensor({ context, type, length: q.length }),
  };
  const gpuMask = mask && uploadMask(context, mask);
  const call = new GpuCall(context);
  encodeDecode(call, tensors, shape, gpuMask, options);
  call.submit();
  const actual = await readTensor(context, tensors.out);
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  if (gpuMask) destroyMask(gpuMask);
  const score = {
    ...(options.scale !== undefined && { scale: options.scale }),
    ...(options.softcap !== undefined && { softcap: options.softcap }),
  };
  const expected = mask
    ? blockSparseAttention(q, k, v, shape, mask, score)
    : denseAttention(q, k, v, shape, { ...score, causal: options.causal ?? true });
  return actual.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0);
}

/** Values are below 1: f32 sums of a few hundred terms, and f16's rounding of the output. */
const TOLERANCE = { f32: 1e-5, f16: 6e-4 } as const;

const shapes = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    queries: fc.integer({ min: 1, max: 3 }),
    keys: fc.integer({ min: 1, max: 300 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.constantFrom(1, 2, 3),
    headDim: fc.constantFrom(32, 80, 128),
  })
  .map(({ group, ...shape }): AttentionShape => ({ ...shape, heads: shape.kvHeads * group }));

const masks = fc.record({
  blockQ: fc.constantFrom(1, 64),
  blockK: fc.constantFrom(1, 2, 5, 16),
  capacity: fc.integer({ min: 1, max: 12 }),
  sink: fc.integer({ min: 0, max: 20 }),
  window: fc.integer({ min: 0, max: 40 }),
  causal: fc.boolean(),
  shared: fc.boolean(),
  seed: fc.nat(1000),
});

describeGpu('decode', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  const types = fc.constantFrom('f32', 'f16');
  const scores = fc.constantFrom({}, {}, { softcap: 3 }, { scale: 0.5 });

  it('equals block-sparse attention over any mask', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, masks, types, scores, async (shape, options, type, score) => {
        expect(
          await largestError(context, { shape, mask: randomMask(shape, options), type, options: score }),
        ).toBeLessThan(TOLERANCE[type]);
      }),
      { numRuns: 6 },
    );
  });

  it('equals dense attention', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, types, scores, fc.boolean(), async (shape, type, score, causal) => {
        expect(await largestError(context, { shape, type, options: { ...score, causal } })).toBeLessThan(
          TOLERANCE[type],
        );
      }),
      { numRuns: 6 },
    );
  });

  it('takes head dimension 256, long rows and groups of 8', async () => {
    const shape = { batch: 1, queries: 1, keys: 3000, heads: 8, kvHeads: 1, headDim: 256 };
    expect(await largestError(context, { shape, type: 'f16' })).toBeLessThan(TOLERANCE.f16);
  });

  it('merges keys that lie in several bindings', async () => {
    const small = { ...context.limits, maxStorageBufferBindingSize: 40_000 };
    const shape = { batch: 2, queries: 1, keys: 500, heads: 2, kvHeads: 1, headDim: 64 };
    const mask = randomMask(shape, {
      blockQ: 1,
      blockK: 16,
      capacity: 8,
      sink: 8,
      window: 30,
      causal: true,
      shared: false,
      seed: 3,
    });
    const values = randomTensors(shape, 5);
    const tensors = {
      q: uploadTensor(context, values.q, 'f32'),
      k: uploadTensor(context, values.k, 'f32'),
      v: uploadTensor(context, values.v, 'f32'),
    };
    const results = await Promise.all(
      [context.limits, small].map(async (limits) => {
        const out = emptyTensor({ context, type: 'f32', length: values.q.length });
        const gpuMask = uploadMask(context, mask);
        const call = new GpuCall(context);
        const plan = encodeDecode(call, { ...tensors, out }, shape, gpuMask, { limits });
        call.submit();
        return { plan, values: await readTensor(context, out) };
      }),
    );
    expect(results[1]!.plan.dispatches.length).toBeGreaterThan(3);
    results[1]!.values.forEach((x, i) => expect(x).toBeCloseTo(results[0]!.values[i]!, 5));
  });
});
