// Buffers that tfjs-webgpu has no use for any more.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { generate } from '../../src/model/generate.ts';
import { prefill } from '../../src/model/prefill.ts';
import { trimUnusedBuffers, UnusedBufferLimit } from '../../src/webgpu/pool.ts';
import { tinyLlama } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

interface Memory extends tf.MemoryInfo {
  readonly numBytesInGPU: number;
  readonly numBytesAllocatedInGPU: number;
}

const memory = () => tf.memory() as Memory;

describeGpu('unused buffers', () => {
  beforeAll(startWebGpu);

  it('are destroyed beyond the limit only; what is used and what waits for submission is computed as before', async () => {
    await tf.setBackend('webgpu');
    trimUnusedBuffers(0);
    const kept = tf.range(0, 1000);
    const waiting = tf.add(kept, 1);
    for (let size = 1000; size < 1100; size++) tf.tidy(() => tf.mul(tf.ones([size]), 2));
    expect(await tf.sum(waiting).data()).toEqual(Float32Array.of(500_500));
    const { numBytesAllocatedInGPU: before, numBytesInGPU: used } = memory();
    expect(before - used).toBeGreaterThan(100 * 4000);
    trimUnusedBuffers(before - used);
    expect(memory().numBytesAllocatedInGPU).toBe(before);
    const later = tf.add(kept, waiting);
    trimUnusedBuffers(100 * 4000);
    expect(memory().numBytesAllocatedInGPU).toBe(memory().numBytesInGPU);
    expect((await later.data())[7]).toBe(15);
    expect((await tf.mul(tf.ones([1050]), 3).data())[1049]).toBe(3);
    tf.dispose([kept, waiting, later]);
  });

  it('of a loop stay within a few times what its first rounds took, whatever sizes come', async () => {
    await tf.setBackend('webgpu');
    trimUnusedBuffers(0);
    const limit = new UnusedBufferLimit(1);
    const most: number[] = [];
    for (let round = 0; round < 40; round++) {
      const value = tf.tidy(() => tf.sum(tf.mul(tf.ones([1000 + 10 * round]), 2)));
      expect((await value.data())[0]).toBe(2 * (1000 + 10 * round));
      value.dispose();
      limit.check();
      most.push(memory().numBytesAllocatedInGPU);
    }
    const used = memory().numBytesInGPU;
    expect(Math.max(...most)).toBeLessThanOrEqual(used + 3 * Math.max(most[0]!, most[1]!));
    expect(most.at(-1)).toBeGreaterThan(used);
  });

  it('do not change what a growing cache says', async () => {
    const model = tinyLlama(1);
    const prompt = [3, 1, 4, 1, 5];
    await tf.setBackend('cpu');
    const onCpu = tinyLlama(1);
    const expected = await generate(onCpu, prompt, { maxTokens: 12, stopIds: [] });
    onCpu.dispose();
    await tf.setBackend('webgpu');
    const cache = new ConcatKeyValueCache();
    const tokens: number[] = [];
    let next = prompt;
    const allocated: number[] = [];
    while (tokens.length < 12) {
      const logits = await prefill(model, next, cache);
      const values = await logits.data();
      logits.dispose();
      trimUnusedBuffers(0);
      allocated.push(memory().numBytesAllocatedInGPU - memory().numBytesInGPU);
      next = [values.indexOf(Math.max(...values))];
      tokens.push(...next);
    }
    expect(tokens).toEqual(expected);
    expect(new Set(allocated)).toEqual(new Set([0]));
    cache.dispose();
    model.dispose();
  });
});
