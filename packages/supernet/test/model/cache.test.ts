// A step that fails changes nothing: caches are as before it, or refuse to go on.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { generate } from '../../src/model/generate.ts';
import { prefill } from '../../src/model/prefill.ts';
import type { AttentionFunction, KeyValueCache } from '../../src/model/types.ts';
import { uniformSubnet } from '../../src/elastic/subnets.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama } from '../helpers/tiny.ts';

const text = [...patternedTokens(40)];

/** Fails at the n-th call (0 = the first). */
function failing(at: number): AttentionFunction {
  let calls = 0;
  return (q, k, v, context) => {
    if (calls++ === at) throw new Error('out of memory');
    return denseAttention(q, k, v, context);
  };
}

async function numbers(logits: Promise<tf.Tensor1D>): Promise<Float32Array> {
  const tensor = await logits;
  const values = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return values;
}

describe.each(BACKENDS)('caches on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('a failed prefill, at whatever layer of whatever chunk, leaves the cache as it was', async () => {
    const model = tinyLlama();
    const right = await numbers(prefill(model, text.slice(0, 20), new ConcatKeyValueCache()));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 19 }),
        fc.integer({ min: 1, max: 25 }),
        fc.nat(50),
        async (before, chunkTokens, call) => {
          const cache = new ConcatKeyValueCache();
          if (before > 0) await numbers(prefill(model, text.slice(0, before), cache));
          const tensors = tf.memory().numTensors;
          const rest = text.slice(before, 20);
          const calls = 2 * Math.ceil(rest.length / chunkTokens);
          const options = { attention: failing(call % calls), chunkTokens };
          await expect(prefill(model, rest, cache, options)).rejects.toThrow('out of memory');
          expect(cache.length).toBe(before);
          expect(tf.memory().numTensors).toBeLessThanOrEqual(tensors);
          expect(await numbers(prefill(model, rest, cache, { chunkTokens }))).toBeAllclose(right, {
            atol: 1e-5,
            rtol: 0,
          });
          cache.dispose();
        },
      ),
      { numRuns: 10 },
    );
    model.dispose();
  });

  it('an aborted generate, and one whose listener throws, leave the cache as it was', async () => {
    const model = tinyLlama();
    const cache = new ConcatKeyValueCache();
    await numbers(prefill(model, text.slice(0, 5), cache));
    const abort = new AbortController();
    const aborted = generate(model, [7, 8], {
      cache,
      stopIds: [],
      signal: abort.signal,
      onToken: () => abort.abort(),
    });
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' });
    expect(cache.length).toBe(5);
    const listener = (): never => {
      throw new Error('screen is gone');
    };
    await expect(generate(model, [7, 8], { cache, onToken: listener })).rejects.toThrow('screen is gone');
    expect(cache.length).toBe(5);
    cache.dispose();
    model.dispose();
  });

  it('a cache that cannot be cut back is refused after a failure, and only then', async () => {
    const model = tinyLlama();
    const inner = new ConcatKeyValueCache();
    const cache: KeyValueCache = {
      get length() {
        return inner.length;
      },
      append: (layer, k, v) => inner.append(layer, k, v),
      dispose: () => inner.dispose(),
    };
    await numbers(prefill(model, [1, 2, 3], cache));
    // Nothing had been appended: the inputs were refused.
    expect(() => model.forward({ inputIds: tf.tensor2d([[99]], [1, 1], 'int32') }, { cache })).toThrow(/99/);
    await numbers(prefill(model, [4], cache));
    await expect(prefill(model, [5], cache, { attention: failing(1) })).rejects.toThrow('out of memory');
    for (const attempt of [() => prefill(model, [5], cache), () => generate(model, [5], { cache })]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'invalid-input',
        message: expect.stringContaining('failed'),
      });
    }
    cache.dispose();
    model.dispose();
  });

  it('two calls at once, another sub-network and another batch are refused, and leave the cache as it was', async () => {
    const model = tinyLlama();
    const cache = new ConcatKeyValueCache();
    const first = generate(model, [1, 2, 3], { cache, maxTokens: 2, stopIds: [] });
    await expect(prefill(model, [4], cache)).rejects.toMatchObject({ code: 'invalid-input' });
    await first;
    expect(cache.length).toBe(5);
    const subnet = uniformSubnet(model.space, 1, 4, 24);
    await expect(prefill(model, [4], cache, { subnet })).rejects.toMatchObject({ code: 'invalid-input' });
    const narrow = uniformSubnet(model.space, 2, 2, 24);
    await expect(prefill(model, [4], cache, { subnet: narrow })).rejects.toMatchObject({ code: 'invalid-input' });
    const batch = tf.ones<tf.Rank.R2>([2, 1], 'int32');
    expect(() => model.forward({ inputIds: batch }, { cache })).toThrow(/do not continue/);
    expect(cache.length).toBe(5);
    cache.dispose();
    model.dispose();
  });

  it('a cache cut back goes on as if the rest had never been there', async () => {
    const model = tinyLlama();
    const [cache, other] = [new ConcatKeyValueCache(), new ConcatKeyValueCache()];
    await numbers(prefill(model, text.slice(0, 12), cache));
    cache.truncate(7);
    expect(cache.length).toBe(7);
    await numbers(prefill(model, text.slice(0, 7), other));
    expect(await numbers(prefill(model, [3, 4], cache))).toBeAllclose(await numbers(prefill(model, [3, 4], other)), {
      atol: 1e-5,
      rtol: 0,
    });
    expect(() => cache.truncate(-1)).toThrow(/length = -1/);
    cache.truncate(0);
    expect(cache.length).toBe(0);
    for (const held of [cache, other]) held.dispose();
    model.dispose();
  });
});
