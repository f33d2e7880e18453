import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { KvCache } from '../src/index.ts';

beforeAll(() => tf.setBackend('cpu'));

const filled = (
  tokens: number,
  value: number,
  [batch, heads, size]: readonly [number, number, number] = [1, 2, 4],
): tf.Tensor4D => tf.fill([batch, tokens, heads, size], value);

describe('KvCache', () => {
  it('returns everything appended, in order, layer by layer, and frees it all', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }), (runs) => {
        const before = tf.memory().numTensors;
        const cache = new KvCache();
        const expected: number[] = [];
        runs.forEach((tokens, step) => {
          for (let i = 0; i < tokens; i++) expected.push(step);
          for (const layer of [0, 1]) {
            tf.tidy(() => {
              const { k, v } = cache.append(layer, filled(tokens, step + layer), filled(tokens, -step));
              expect(k.shape).toEqual([1, expected.length, 2, 4]);
              expect([...tf.slice(k, [0, 0, 1, 3], [1, -1, 1, 1]).dataSync()]).toEqual(expected.map((s) => s + layer));
              expect([...tf.slice(v, [0, 0, 0, 0], [1, -1, 1, 1]).dataSync()].map(Math.abs)).toEqual(expected);
            });
          }
          expect(cache.length).toBe(expected.length);
        });
        expect(cache.bytes).toBe(2 * 2 * expected.length * 2 * 4 * 4);
        cache.dispose();
        expect(cache.length).toBe(0);
        expect(cache.bytes).toBe(0);
        expect(tf.memory().numTensors).toBe(before);
      }),
      { numRuns: 20 },
    );
  });

  it('refuses to go on after a pass that did not reach every layer, until it is taken back', () => {
    using cache = new KvCache();
    const append = (layer: number, tokens: number) =>
      tf.tidy(() => cache.append(layer, filled(tokens, layer), filled(tokens, layer)).k.shape[1]);
    for (const layer of [0, 1, 2]) append(layer, 3);
    append(0, 2);
    append(1, 2);
    expect(cache.length).toBe(3);
    expect(() => append(0, 2)).toThrow(
      'layer 0 would go from 5 to 7 tokens where layer 2 has 3: a forward pass ended before it had filled every layer. Call truncate(n) with the length before that pass (3 at most; 0 starts anew)',
    );
    expect(() => append(0, 2)).toThrow(expect.objectContaining({ code: 'unsupported' }));
    cache.truncate(3);
    for (const layer of [0, 1, 2]) expect(append(layer, 4)).toBe(7);
    // The first pass: nobody knows yet how many layers there are, until a later one comes.
    cache.truncate(0);
    append(0, 3);
    expect(cache.length).toBe(3);
    append(0, 3);
    expect(() => append(1, 2)).toThrow(/layer 1 would go from 0 to 2 tokens where layer 0 has 6/);
  });

  it('is cut back without memory, and gives what was kept', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ tokens: fc.integer({ min: 1, max: 4 }), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
        ),
        (steps) => {
          const before = tf.memory().numTensors;
          using cache = new KvCache();
          let expected: number[] = [];
          for (const [step, { tokens, keep }] of steps.entries()) {
            expected.push(...Array.from({ length: tokens }, () => step));
            for (const layer of [0, 1]) {
              tf.tidy(() => {
                const { k, v } = cache.append(layer, filled(tokens, step), filled(tokens, -step));
                expect([...tf.slice(k, [0, 0, 1, 3], [1, -1, 1, 1]).dataSync()]).toEqual(expected);
                expect([...tf.slice(v, [0, 0, 1, 3], [1, -1, 1, 1]).dataSync()].map(Math.abs)).toEqual(expected);
              });
            }
            const held = tf.memory().numTensors;
            expected = expected.slice(0, Math.floor(keep * (expected.length + 1)));
            cache.truncate(expected.length);
            expect(tf.memory().numTensors).toBeLessThanOrEqual(held);
            expect(cache.length).toBe(expected.length);
          }
          for (const length of [-1, 0.5, NaN, expected.length + 1])
            expect(() => cache.truncate(length)).toThrow(expect.objectContaining({ code: 'invalid-config' }));
          cache.dispose();
          expect(tf.memory().numTensors).toBe(before);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('refuses sizes and types that are none', () => {
    for (const maxTokens of [NaN, 0, 1.5])
      expect(() => new KvCache({ maxTokens })).toThrow(expect.objectContaining({ code: 'invalid-config' }));
    using cache = new KvCache();
    expect(() => tf.tidy(() => void cache.append(0, tf.cast(filled(1, 1), 'int32'), filled(1, 1)))).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringContaining('int32') as string }),
    );
    expect(cache.length).toBe(0);
  });

  it('refuses what does not continue a layer, or does not fit', () => {
    using cache = new KvCache({ maxTokens: 4 });
    const append = (k: tf.Tensor4D, v: tf.Tensor4D) => () => tf.tidy(() => void cache.append(0, k, v));
    append(filled(3, 0), filled(3, 0))();
    expect(append(filled(1, 0), filled(2, 0))).toThrow(
      "k is [1,1,2,4], v [1,2,2,4]: give both as [B, T, Hkv, d] that continues layer 0's [1,3,2,4]",
    );
    expect(append(filled(1, 0, [1, 3, 4]), filled(1, 0, [1, 3, 4]))).toThrow(
      expect.objectContaining({ code: 'invalid-shape' }),
    );
    expect(append(filled(2, 0), filled(2, 0))).toThrow('layer 0 would hold 5 tokens: the cache was made for 4');
    append(filled(1, 0), filled(1, 0))();
    expect(cache.length).toBe(4);
  });
});
