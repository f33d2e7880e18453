// Gradients of attention against float64: dense (a mask whose window is everything) and block-sparse.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { blockSparseAttentionGradient, denseMask } from '@hip/mask-search';
import { encodeAttentionGradient } from '../src/attention/gradient.ts';
import { destroyMask, uploadMask } from '../src/attention/mask.ts';
import { GpuCall } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { maskOptions, randomMask, randomTensors, randomValues, remainders, shapes } from './support/cases.ts';

/** One size: compiling takes a software GPU seconds. */
const VARIANT = { kind: 'tile', rows: 16, chunk: 8, shuffle: 4 } as const;

describeGpu('gradients of attention', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  for (const kind of ['dense', 'block-sparse', 'with a remainder']) {
    const sparse = kind !== 'dense';
    it(`${kind} equal float64`, async () => {
      const softcaps = fc.constantFrom(undefined, 3);
      await fc.assert(
        fc.asyncProperty(
          shapes,
          maskOptions,
          remainders,
          softcaps,
          fc.nat(1000),
          async (lengths, options, rest, softcap, seed) => {
            const shape = { ...lengths, headDim: 32 };
            const remainder = kind === 'with a remainder' ? { remainder: rest } : {};
            const mask = sparse ? { ...randomMask(shape, options), ...remainder } : denseMask(shape, options.causal);
            const values = randomTensors(shape, seed);
            const gradient = randomValues(values.q.length, seed + 3);
            const upload = (data: Float32Array) => uploadTensor(context, data, 'f32');
            const empty = (length: number) => emptyTensor({ context, type: 'f32', length });
            const tensors = {
              q: upload(values.q),
              k: upload(values.k),
              v: upload(values.v),
              gradient: upload(gradient),
              dq: empty(values.q.length),
              dk: empty(values.k.length),
              dv: empty(values.v.length),
            };
            const gpuMask = sparse ? uploadMask(context, mask) : undefined;
            const score = softcap === undefined ? {} : { softcap };
            const call = new GpuCall(context);
            encodeAttentionGradient(call, tensors, shape, gpuMask, {
              ...score,
              causal: options.causal,
              variant: VARIANT,
            });
            call.submit();
            const expected = blockSparseAttentionGradient(values.q, values.k, values.v, gradient, shape, mask, score);
            for (const name of ['q', 'k', 'v'] as const) {
              expect(await readTensor(context, tensors[`d${name}`])).toBeAllclose(expected[name], {
                rtol: 1e-4,
                atol: 5e-5,
              });
            }
            for (const { buffer } of Object.values(tensors)) buffer.destroy();
            if (gpuMask) destroyMask(gpuMask);
          },
        ),
        { numRuns: 8 },
      );
    });
  }
});
