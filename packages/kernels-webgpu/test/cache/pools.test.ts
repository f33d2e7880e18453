// Pools cover every kv head once and never exceed a binding.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { planPools } from '../../src/cache/pools.ts';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';

const requests = fc.record({
  kvHeads: fc.integer({ min: 1, max: 16 }),
  headDim: fc.constantFrom(32, 64, 80, 128, 256),
  type: fc.constantFrom('f16', 'f32'),
  pageTokens: fc.constantFrom(16, 64, 256, 1024),
  tokens: fc.integer({ min: 1, max: 2 ** 21 }),
});

it('covers every kv head once, within the limits', () => {
  fc.assert(
    fc.property(requests, fc.constantFrom(2 ** 27, 2 ** 30, 2 ** 31 - 4), (request, maxStorageBufferBindingSize) => {
      const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize, maxBufferSize: 2 ** 32 };
      const bytes = request.type === 'f16' ? 2 : 4;
      const headBytes = Math.ceil(request.tokens / request.pageTokens) * request.pageTokens * request.headDim * bytes;
      fc.pre(headBytes <= maxStorageBufferBindingSize);
      const { pools, slots } = planPools({ ...request, limits });
      expect(pools.flatMap(({ firstHead, heads }) => Array.from({ length: heads }, (_, i) => firstHead + i))).toEqual(
        Array.from({ length: request.kvHeads }, (_, i) => i),
      );
      for (const { pageBytes } of pools) expect(slots * pageBytes).toBeLessThanOrEqual(maxStorageBufferBindingSize);
      expect(slots * request.pageTokens).toBeGreaterThanOrEqual(request.tokens);
    }),
  );
});

it('holds a million tokens of Llama-3-8B in two pools', () => {
  const limits = { maxStorageBufferBindingSize: 2 ** 31 - 4, maxBufferSize: 2 ** 40 };
  const plan = planPools({ kvHeads: 8, headDim: 128, type: 'f16', pageTokens: 1024, tokens: 2 ** 20, limits });
  expect(plan.pools.map(({ heads }) => heads)).toEqual([4, 4]);
  expect(plan.bytes).toBe(2 ** 32);
});

it('wants a power of two', () => {
  expect(() =>
    planPools({ kvHeads: 1, headDim: 32, type: 'f16', pageTokens: 48, tokens: 1, limits: DEFAULT_LIMITS }),
  ).toThrow('pageTokens is 48');
});

it('says how many tokens fit where one head does not', () => {
  const request = {
    kvHeads: 2,
    headDim: 128,
    type: 'f32',
    pageTokens: 256,
    tokens: 2 ** 20,
    limits: DEFAULT_LIMITS,
  } as const;
  expect(() => planPools(request)).toThrow('hold at most 262144 tokens on the device and offload the others');
});
