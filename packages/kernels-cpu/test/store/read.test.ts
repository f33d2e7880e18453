import { describe, expect, it } from 'vitest';
import { createCpuRuntime } from '../../src/index.ts';

const numbers = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + i * 0.37));

describe('KeyValueCache.read', () => {
  it('gives back what was appended, over pages, batches and padded channels', async () => {
    using cpu = await createCpuRuntime({ threads: 1 });
    const [batch, kvHeads, headDim] = [2, 3, 5];
    using cache = cpu.createCache({ batch, heads: 3, kvHeads, headDim });
    const row = kvHeads * headDim;
    const parts = [200, 1, 130].map((tokens, i) => ({
      tokens,
      k: numbers(batch * tokens * row, i),
      v: numbers(batch * tokens * row, i + 9),
    }));
    for (const { k, v } of parts) cache.append(k, v);
    const { k, v } = cache.read();
    const joined = (of: 'k' | 'v') =>
      Array.from({ length: batch }, (_, b) =>
        parts.flatMap((part) => [...part[of].subarray(b * part.tokens * row, (b + 1) * part.tokens * row)]),
      ).flat();
    expect([...k]).toEqual(joined('k'));
    expect([...v]).toEqual(joined('v'));
    cache.truncate(150);
    expect(cache.read().k.length).toBe(batch * 150 * row);
  });

  it('gives what a float16 cache rounded to, NaN and infinity as they were', async () => {
    using cpu = await createCpuRuntime({ threads: 1 });
    using cache = cpu.createCache({ heads: 1, kvHeads: 1, headDim: 8, type: 'f16' });
    const k = Float32Array.of(0.1, -2.5, 1e6, Number.NaN, 0, 2 ** -24, -65504, 1 / 3);
    cache.append(k, k);
    const read = cache.read().v;
    expect([...read]).toEqual([0.0999755859375, -2.5, Infinity, Number.NaN, 0, 2 ** -24, -65504, 0.333251953125]);
    expect(cache.fork().read().k).toEqual(cache.read().k);
  });
});
