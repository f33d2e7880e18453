// Block-sparse attention with pseudo-keys against float64: every tier, carried softmaxes, matrices, exact tails.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import {
  blockSparseAttention,
  denseAttention,
  emptyMask,
  pseudoKeys,
  type AttentionShape,
  type BlockMask,
} from '@hip/mask-search';
import { encodeAttention, type AttentionOptions } from '../src/attention/dispatch.ts';
import { destroyMask, uploadMask } from '../src/attention/mask.ts';
import type { ElementType } from '../src/device/features.ts';
import { GpuCall } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { emulatedMatrices } from './support/emulated-matrices.ts';
import { leaks, NO_LEAKS, oddNumbers, seers, spoiled } from './support/isolation.ts';
import { maskOptions, randomMask, randomTensors, remainders, roundToHalf, shapes } from './support/cases.ts';

const TOLERANCE = { f32: { rtol: 2e-5, atol: 5e-6 }, f16: { rtol: 1.5e-3, atol: 1e-3 } } as const;

describeGpu('attention with a remainder', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  interface Values {
    readonly q: Float32Array;
    readonly k: Float32Array;
    readonly v: Float32Array;
  }

  async function attend(
    { q, k, v }: Values,
    shape: AttentionShape,
    mask: BlockMask,
    type: ElementType,
    options: AttentionOptions,
  ): Promise<Float32Array> {
    const tensors = {
      q: uploadTensor(context, q, type),
      k: uploadTensor(context, k, type),
      v: uploadTensor(context, v, type),
      out: emptyTensor({ context, type, length: q.length }),
    };
    const held = uploadMask(context, mask);
    const call = new GpuCall(context);
    encodeAttention(call, tensors, shape, held, options);
    call.submit();
    const out = await readTensor(context, tensors.out);
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
    destroyMask(held);
    return out;
  }

  function valuesOf(shape: AttentionShape, seed: number, type: ElementType): Values {
    const { q, k, v } = randomTensors(shape, seed);
    return type === 'f32' ? { q, k, v } : { q: roundToHalf(q), k: roundToHalf(k), v: roundToHalf(v) };
  }

  const softcaps = fc.constantFrom(undefined, undefined, 3);
  const lanes = (): number => context.profile.subgroupMaxSize;
  const matrices = (more: object): AttentionOptions => ({
    variant: { kind: 'matrix', subgroups: 2, lanes: lanes(), keys: 16, prefetch: true, ...more },
    matrices: () => emulatedMatrices(lanes()),
  });
  const tile = (tier: 'basic' | 'subgroups'): AttentionOptions => ({
    tier,
    variant: { kind: 'tile', rows: 16, chunk: 8, shuffle: tier === 'basic' ? 1 : 4 },
  });
  const carried = (): AttentionOptions => ({
    ...tile('subgroups'),
    limits: { ...context.limits, maxStorageBufferBindingSize: 16_384 },
  });
  const kernels: Record<string, { type: ElementType; headDim: number; runs: number; options: () => AttentionOptions }> =
    {
      'basic, f32': { type: 'f32', headDim: 40, runs: 5, options: () => tile('basic') },
      'subgroups, f16': { type: 'f16', headDim: 32, runs: 5, options: () => tile('subgroups') },
      'matrices, emulated': { type: 'f16', headDim: 16, runs: 2, options: () => matrices({}) },
      'matrices, emulated, other staging': {
        type: 'f16',
        headDim: 16,
        runs: 1,
        options: () => matrices({ subgroups: 1, rowMatrices: 2, transposeValues: true, speculate: true }),
      },
      'matrices, emulated, no prefetch': {
        type: 'f16',
        headDim: 16,
        runs: 1,
        options: () => matrices({ prefetch: false }),
      },
    };
  for (const [name, { type, headDim, runs, options }] of Object.entries(kernels)) {
    it(`equals float64 (${name})`, async () => {
      const counts = name.includes('matrices')
        ? fc.record({ queries: fc.integer({ min: 32, max: 40 }), keys: fc.integer({ min: 20, max: 70 }) })
        : fc.record({});
      await fc.assert(
        fc.asyncProperty(
          shapes,
          counts,
          maskOptions,
          remainders,
          softcaps,
          fc.nat(1000),
          async (lengths, more, given, remainder, softcap, seed) => {
            const shape = { ...lengths, ...more, headDim };
            const mask = { ...randomMask(shape, given), remainder };
            const values = valuesOf(shape, seed, type);
            const score = softcap === undefined ? {} : { softcap };
            const actual = await attend(values, shape, mask, type, { ...options(), ...score });
            const expected = blockSparseAttention(values.q, values.k, values.v, shape, mask, score);
            expect(actual).toBeAllclose(expected, TOLERANCE[type]);
          },
        ),
        { numRuns: runs },
      );
    });
  }

  it('carries the softmax from keys in several bindings to the pseudo-keys', async () => {
    const lengths = fc.record({ queries: fc.integer({ min: 1, max: 70 }), keys: fc.integer({ min: 130, max: 200 }) });
    await fc.assert(
      fc.asyncProperty(lengths, maskOptions, remainders, fc.nat(1000), async (counts, given, rest, seed) => {
        const shape = { ...counts, batch: 1, heads: 1, kvHeads: 1, headDim: 32 };
        const mask = { ...randomMask(shape, { ...given, blockQ: 16 }), remainder: { ...rest, block: 8 } };
        const values = valuesOf(shape, seed, 'f32');
        const actual = await attend(values, shape, mask, 'f32', carried());
        expect(actual).toBeAllclose(blockSparseAttention(values.q, values.k, values.v, shape, mask), TOLERANCE.f32);
      }),
      { numRuns: 4 },
    );
  });

  it('is dense attention with an empty mask, blocks of one key and an exact tail', async () => {
    const shape = { batch: 1, queries: 20, keys: 60, heads: 2, kvHeads: 1, headDim: 32 };
    const config = { blockQ: 8, blockK: 2, sink: 3, window: 5, causal: true, shareHeads: false };
    const remainder = { block: 1, most: 100, tail: 'exact' } as const;
    const values = valuesOf(shape, 5, 'f32');
    const actual = await attend(values, shape, emptyMask(shape, { ...config, remainder }, 1), 'f32', tile('basic'));
    expect(actual).toBeAllclose(denseAttention(values.q, values.k, values.v, shape), TOLERANCE.f32);
  });

  it.each(['tiles', 'matrices'])(
    'a key reaches the rows that see it, themselves or in a block, and no other: %s',
    async (name) => {
      const tiles = name === 'tiles';
      const shape = { batch: 1, queries: 33, keys: 90, heads: 2, kvHeads: 1, headDim: 16 };
      const type = tiles ? 'f32' : 'f16';
      const options = tiles ? tile('subgroups') : matrices({ subgroups: 1 });
      const given = { blockQ: 16, blockK: 2, capacity: 4, sink: 3, window: 9, causal: true, shared: false, seed: 4 };
      const remainder = { block: 8, most: 3, tail: 'drop' } as const;
      const mask = { ...randomMask(shape, given), remainder };
      const values = valuesOf(shape, 6, type);
      const clean = await attend(values, shape, mask, type, options);
      await fc.assert(
        fc.asyncProperty(fc.constantFrom('k', 'v'), fc.nat(89), oddNumbers, async (tensor, key, value) => {
          const dirty = { ...values, [tensor]: spoiled(values[tensor], key, 16, value) };
          const touched = new Set(seers(mask, shape, 0, key, 0));
          for (let row = 0; row < 33; row++)
            for (const head of [0, 1])
              for (const { start, size } of pseudoKeys(mask, 0, head, Math.floor(row / 16)))
                if (start <= key && key < start + size) touched.add(row * 2 + head);
          const actual = await attend(dirty, shape, mask, type, options);
          expect(leaks(actual, clean, 16, touched, tensor === 'v')).toEqual(NO_LEAKS);
        }),
        { numRuns: tiles ? 5 : 2, endOnFailure: true },
      );
    },
  );
});
