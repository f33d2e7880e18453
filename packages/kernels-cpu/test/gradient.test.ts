// Gradients of both binaries against float64, dense and sparse.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { blockSparseAttentionGradient, denseMask } from '@hip/mask-search';
import { createCpuRuntime } from '../src/index.ts';
import { configs, randomTensor, shapes, tensors } from './support.ts';

/** Sums over rows of float32 products: a little more than the forward pass. */
const TOLERANCE = { rtol: 1e-4, atol: 1e-5 };

describe.each(['plain', 'relaxed'] as const)('gradients, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  it.each([
    ['dense', undefined],
    ['tree', configs['paper tree']],
    ['one mask for all heads', configs['one mask for all heads']],
  ])('%s attention', (_, config) => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(undefined, 1.5), ({ shape, causal, seed }, softcap) => {
        const { q, k, v } = tensors(shape, seed);
        const gradient = randomTensor(q.length, seed + 3);
        const mask = config ? cpu.maskSearch(q, k, shape, { ...config, causal }) : denseMask(shape, causal);
        const options = { scale: 0.8, softcap };
        const expected = blockSparseAttentionGradient(q, k, v, gradient, shape, mask, options);
        const actual = cpu.blockSparseAttentionGradient(q, k, v, gradient, shape, mask, options);
        for (const name of ['q', 'k', 'v'] as const) expect(actual[name]).toBeAllclose(expected[name], TOLERANCE);
        expect(cpu.usedBytes).toBe(0);
      }),
      { numRuns: 15 },
    );
  });
});

it('gradients do not depend on the number of threads', async () => {
  using one = await createCpuRuntime({ threads: 1 });
  using three = await createCpuRuntime({ threads: 3 });
  const shape = { batch: 2, queries: 300, keys: 300, heads: 4, kvHeads: 2, headDim: 16 };
  const { q, k, v } = tensors(shape, 1);
  const mask = one.maskSearch(q, k, shape, { k: 64, window: 64 });
  const gradient = randomTensor(q.length, 9);
  expect(three.blockSparseAttentionGradient(q, k, v, gradient, shape, mask)).toEqual(
    one.blockSparseAttentionGradient(q, k, v, gradient, shape, mask),
  );
});
