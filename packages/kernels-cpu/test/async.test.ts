// Asynchronous calls: the same result, progress, abortion, and other calls in between.
import { describe, expect, it, beforeAll, afterAll } from 'vitest';
import { createCpuRuntime, type CpuRuntime } from '../src/index.ts';
import { tensors } from './support.ts';

const shape = { batch: 1, queries: 6000, keys: 6000, heads: 4, kvHeads: 2, headDim: 64 };
const { q, k, v } = tensors(shape, 1);

let cpu: CpuRuntime;
beforeAll(async () => {
  cpu = await createCpuRuntime({ threads: 2 });
});
afterAll(() => cpu.close());

describe('asynchronous calls', () => {
  it('give what synchronous ones give, with rising progress that ends at 1', async () => {
    const progress: number[] = [];
    const dense = await cpu.denseAttentionAsync(q, k, v, shape, { onProgress: (done) => progress.push(done) });
    expect(dense).toEqual(cpu.denseAttention(q, k, v, shape));
    expect(progress.length).toBeGreaterThan(3);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(1);
    const hip = await cpu.hipAttentionAsync(q, k, v, shape);
    expect(hip).toEqual(cpu.hipAttention(q, k, v, shape));
    expect(await cpu.maskSearchAsync(q, k, shape)).toEqual(hip.mask);
    expect(await cpu.blockSparseAttentionAsync(q, k, v, shape, hip.mask)).toEqual(hip.output);
  });

  it('stop when aborted, with the signal’s reason, and free their memory', async () => {
    const before = cpu.usedBytes;
    const abort = new AbortController();
    const reason = new Error('enough');
    const seen: number[] = [];
    const onProgress = (done: number): void => {
      seen.push(done);
      abort.abort(reason);
    };
    await expect(cpu.denseAttentionAsync(q, k, v, shape, { signal: abort.signal, onProgress })).rejects.toBe(reason);
    expect(seen).toHaveLength(1);
    await expect(cpu.hipAttentionAsync(q, k, v, shape, {}, { signal: abort.signal })).rejects.toBe(reason);
    expect(cpu.usedBytes).toBe(before);
  });

  it('let timers and other calls run in between', async () => {
    const small = { ...shape, queries: 100, keys: 100 };
    const other = tensors(small, 2);
    const expected = cpu.denseAttention(other.q, other.k, other.v, small);
    const whole = cpu.denseAttention(q, k, v, shape);
    let calls = 0;
    const between = (): void => {
      calls++;
      expect(cpu.denseAttention(other.q, other.k, other.v, small)).toEqual(expected);
    };
    const [one, two] = await Promise.all([
      cpu.denseAttentionAsync(q, k, v, shape, { onProgress: between }),
      cpu.denseAttentionAsync(q, k, v, shape),
    ]);
    expect(calls).toBeGreaterThan(3);
    expect(one).toEqual(whole);
    expect(two).toEqual(whole);
  });

  it('work on caches', async () => {
    using cache = cpu.createCache({ heads: 4, kvHeads: 2, headDim: 64 });
    cache.append(k, v);
    const last = q.slice(-64 * 4 * 64);
    expect(await cache.attendAsync(last)).toEqual(cache.attend(last));
    expect(await cache.attendDenseAsync(last)).toEqual(cache.attendDense(last));
    const signal = AbortSignal.abort();
    await expect(cache.attendAsync(last, { signal })).rejects.toThrow(/abort/i);
  });

  it('of a cache read what it held at their start: appending waits, disposing ends them', async () => {
    const before = cpu.usedBytes;
    const cache = cpu.createCache({ heads: 4, kvHeads: 2, headDim: 64 });
    cache.append(k, v);
    const expected = cache.attendDense(q);
    const refusal = expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('await it') });
    let reports = 0;
    const onProgress = (done: number): void => {
      // At 1 the call has ended.
      if (done === 1) return;
      expect(() => cache.append(k, v)).toThrow(refusal);
      reports++;
    };
    expect(await cache.attendDenseAsync(q, { onProgress })).toEqual(expected);
    expect(reports).toBeGreaterThan(1);
    cache.append(k, v);
    expect(cache.length).toBe(2 * shape.keys);
    const running = cache.attendDenseAsync(q);
    cache.dispose();
    await expect(running).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('disposed') });
    expect(cpu.usedBytes).toBe(before);
  });
});
