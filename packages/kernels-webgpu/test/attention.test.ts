// Attention kernels against float64: dense and block-sparse, every tier and storage the device has.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { blockSparseAttention, denseAttention, type AttentionShape, type BlockMask } from '@hip/mask-search';
import { encodeAttention, type AttentionOptions } from '../src/attention/dispatch.ts';
import { destroyMask, uploadMask } from '../src/attention/mask.ts';
import type { ElementType, Tier } from '../src/device/features.ts';
import { GpuCall } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { emulatedMatrices } from './support/emulated-matrices.ts';
import { maskOptions, randomMask, randomTensors, roundToHalf, shapes } from './support/cases.ts';

interface Case {
  readonly shape: AttentionShape;
  readonly mask?: BlockMask;
  readonly type: ElementType;
  readonly options: AttentionOptions;
  readonly seed: number;
}

/** Runs a case on the GPU and in float64. */
async function compare(
  context: GpuContext,
  { shape, mask, type, options, seed }: Case,
): Promise<{ actual: Float32Array; expected: Float64Array }> {
  const values = randomTensors(shape, seed);
  const stored =
    type === 'f16' ? { q: roundToHalf(values.q), k: roundToHalf(values.k), v: roundToHalf(values.v) } : values;
  const tensors = {
    q: uploadTensor(context, stored.q, type),
    k: uploadTensor(context, stored.k, type),
    v: uploadTensor(context, stored.v, type),
    out: emptyTensor({ context, type, length: values.q.length }),
  };
  const gpuMask = mask && uploadMask(context, mask);
  const call = new GpuCall(context);
  encodeAttention(call, tensors, shape, gpuMask, options);
  call.submit();
  const actual = await readTensor(context, tensors.out);
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  if (gpuMask) destroyMask(gpuMask);
  const { causal = true, scale, softcap } = options;
  const score = { ...(scale === undefined ? {} : { scale }), ...(softcap === undefined ? {} : { softcap }) };
  const expected = mask
    ? blockSparseAttention(stored.q, stored.k, stored.v, shape, mask, score)
    : denseAttention(stored.q, stored.k, stored.v, shape, { ...score, causal });
  return { actual, expected };
}

/** f32: rounding of sums. f16: the stored output's 2^-11, twice. */
const TOLERANCE = { f32: { rtol: 2e-5, atol: 5e-6 }, f16: { rtol: 1.5e-3, atol: 1e-3 } } as const;

const softcaps = fc.constantFrom(undefined, undefined, 3);

/** One head dimension per kernel: compiling takes a software GPU seconds. */
const HEAD_DIMS = { basic: { f32: 80, f16: 32 }, subgroups: { f32: 64, f16: 96 } } as const;

describeGpu('attention', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  // The block-sparse kernel shares all but the list of keys: dense needs each tier and each storage once.
  for (const [tier, type] of [
    ['basic', 'f32'],
    ['subgroups', 'f16'],
  ] as const) {
    it(`dense equals float64 (${tier}, ${type})`, async () => {
      const variant = { kind: 'tile', rows: 16, chunk: 8, shuffle: tier === 'basic' ? 1 : 4 } as const;
      await fc.assert(
        fc.asyncProperty(shapes, fc.boolean(), softcaps, fc.nat(1000), async (lengths, causal, softcap, seed) => {
          const shape = { ...lengths, headDim: HEAD_DIMS[tier][type] };
          const { actual, expected } = await compare(context, {
            shape,
            type,
            seed,
            options: { tier, variant, causal, ...(softcap === undefined ? {} : { softcap }) },
          });
          expect(actual).toBeAllclose(expected, TOLERANCE[type]);
        }),
        { numRuns: 8 },
      );
    });
  }

  for (const tier of ['basic', 'subgroups'] as const satisfies Tier[]) {
    for (const type of ['f32', 'f16'] as const) {
      const headDim = HEAD_DIMS[tier][type];
      const variant = { kind: 'tile', rows: 16, chunk: 8, shuffle: tier === 'basic' ? 1 : 4 } as const;
      it(`block-sparse equals float64 (${tier}, ${type})`, async () => {
        await fc.assert(
          fc.asyncProperty(shapes, maskOptions, softcaps, fc.nat(1000), async (lengths, options, softcap, seed) => {
            const shape = { ...lengths, headDim };
            const mask = randomMask(shape, options);
            const { actual, expected } = await compare(context, {
              shape,
              mask,
              type,
              seed,
              options: { tier, variant, ...(softcap === undefined ? {} : { softcap }) },
            });
            expect(actual).toBeAllclose(expected, TOLERANCE[type]);
          }),
          { numRuns: 10 },
        );
      });
    }
  }

  it('carries the softmax where keys, and rows, need several bindings', async () => {
    const variant = { kind: 'tile', rows: 16, chunk: 8, shuffle: 4 } as const;
    const limits = { ...context.limits, maxStorageBufferBindingSize: 4096 };
    const lengths = fc.record({ queries: fc.integer({ min: 1, max: 70 }), keys: fc.integer({ min: 40, max: 100 }) });
    await fc.assert(
      fc.asyncProperty(lengths, maskOptions, fc.boolean(), fc.nat(1000), async (counts, options, sparse, seed) => {
        const shape = { ...counts, batch: 1, heads: 1, kvHeads: 1, headDim: 32 };
        const mask = randomMask(shape, { ...options, blockQ: 16 });
        const { actual, expected } = await compare(context, {
          shape,
          ...(sparse ? { mask } : {}),
          type: 'f32',
          seed,
          options: { variant, limits },
        });
        expect(actual).toBeAllclose(expected, TOLERANCE.f32);
      }),
      { numRuns: 10 },
    );
  });

  it('serves some heads of wider rows', async () => {
    const variant = { kind: 'tile', rows: 16, chunk: 8, shuffle: 4 } as const;
    const shape = { batch: 1, queries: 20, keys: 30, heads: 4, kvHeads: 2, headDim: 32 };
    const { q, k, v } = randomTensors(shape, 4);
    const of = (values: Float32Array, head: number): Float32Array =>
      values.filter((_, i) => Math.floor(i / 32) % 2 === head);
    const out = emptyTensor({ context, type: 'f32', length: q.length });
    const query = uploadTensor(context, q, 'f32');
    for (const head of [0, 1]) {
      const call = new GpuCall(context);
      const tensors = {
        q: query,
        k: uploadTensor(context, of(k, head), 'f32'),
        v: uploadTensor(context, of(v, head), 'f32'),
        out,
      };
      encodeAttention(call, tensors, { ...shape, heads: 2, kvHeads: 1 }, undefined, {
        variant,
        queryHeads: 4,
        headFirst: 2 * head,
      });
      call.submit();
    }
    expect(await readTensor(context, out)).toBeAllclose(denseAttention(q, k, v, shape), TOLERANCE.f32);
  });

  for (const rowMatrices of [1, 2] as const) {
    it(`the matrix kernel, with its matrices emulated, equals float64 (${16 * rowMatrices} rows a subgroup)`, async () => {
      const lanes = context.profile.subgroupMaxSize;
      const variant = {
        kind: 'matrix',
        subgroups: 2,
        lanes,
        keys: 16,
        prefetch: true,
        transposeValues: rowMatrices === 2,
        reloadQueries: rowMatrices === 2,
        rowMatrices,
        speculate: rowMatrices === 2,
      } as const;
      const lengths = fc.record({
        batch: fc.integer({ min: 1, max: 2 }),
        queries: fc.integer({ min: 16 * rowMatrices, max: 50 }),
        keys: fc.integer({ min: 16, max: 95 }),
      });
      await fc.assert(
        fc.asyncProperty(lengths, maskOptions, fc.nat(1000), async (counts, mask, seed) => {
          const shape = { ...counts, heads: 2, kvHeads: 1, headDim: 32 };
          const { actual, expected } = await compare(context, {
            shape,
            mask: randomMask(shape, mask),
            type: 'f16',
            seed,
            options: { variant, matrices: () => emulatedMatrices(lanes) },
          });
          expect(actual).toBeAllclose(expected, TOLERANCE.f16);
        }),
        { numRuns: rowMatrices === 2 ? 3 : 6 },
      );
    });
  }
});
