// Rotary positions: how a prompt is cut, and what lies beside it in a batch, changes nothing; dynamic NTK included.
import '@hip/testing';
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { generate } from '../../src/model/generate.ts';
import { prefill, tokenLosses } from '../../src/model/prefill.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama } from '../helpers/tiny.ts';

const TOLERANCE = { atol: 2e-5, rtol: 0 };
const SCALINGS = {
  default: {},
  linear: { rope_scaling: { rope_type: 'linear', factor: 2 } },
  dynamic: { rope_scaling: { rope_type: 'dynamic', factor: 3 }, max_position_embeddings: 8 },
  yarn: { rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 8 } },
  llama3: {
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    },
  },
} as const;
const SCALED = Object.keys(SCALINGS) as (keyof typeof SCALINGS)[];
const text = [...patternedTokens(40)];

async function lastLogits(model: ElasticModel, ids: readonly number[], options: object = {}): Promise<Float32Array> {
  const cache = new ConcatKeyValueCache();
  const logits = await prefill(model, ids, cache, options);
  const values = (await logits.data()) as Float32Array;
  tf.dispose(logits);
  cache.dispose();
  return values;
}

describe.each(BACKENDS)('rotary embedding on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(SCALED)('%s: chunks change neither logits, losses nor what is generated', async (name) => {
    const model = tinyLlama(3, SCALINGS[name]);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 26 }),
        fc.integer({ min: 2, max: 26 }),
        async (chunkTokens, length) => {
          const ids = text.slice(0, length);
          const [at, options] = [{ stopIds: [], maxTokens: 4 }, { chunkTokens }];
          expect(await lastLogits(model, ids, options)).toBeAllclose(await lastLogits(model, ids), TOLERANCE);
          expect(await tokenLosses(model, ids, options)).toBeAllclose(await tokenLosses(model, ids), TOLERANCE);
          expect(await generate(model, ids, { ...at, ...options })).toEqual(await generate(model, ids, at));
        },
      ),
      { numRuns: 5 },
    );
    model.dispose();
  });

  it('dynamic NTK: one θ for the whole prompt, by its length; then each token its own', async () => {
    const model = tinyLlama(3, SCALINGS.dynamic);
    // What a model of that θ computes, without scaling: θ · (s·T/L − (s − 1))^(d/(d−2)), as in transformers.
    const fixed = (tokens: number) =>
      tinyLlama(3, { rope_theta: 10_000 * ((3 * tokens) / 8 - 2) ** 2, max_position_embeddings: 8 });
    for (const length of [7, 8]) {
      const plain = tinyLlama(3);
      expect(await lastLogits(model, text.slice(0, length))).toBeAllclose(
        await lastLogits(plain, text.slice(0, length)),
        TOLERANCE,
      );
      plain.dispose();
    }
    const right = fixed(20);
    expect(await lastLogits(model, text.slice(0, 20), { chunkTokens: 6 })).toBeAllclose(
      await lastLogits(right, text.slice(0, 20)),
      TOLERANCE,
    );
    // Decoding: the cached keys stay, query and key of the new token turn by θ of 21 tokens.
    const [cache, other, next] = [new ConcatKeyValueCache(), new ConcatKeyValueCache(), fixed(21)];
    const decoded = [await prefill(model, text.slice(0, 20), cache), await prefill(model, [text[20]!], cache)];
    const expected = [await prefill(right, text.slice(0, 20), other), await prefill(next, [text[20]!], other)];
    for (const [i, logits] of decoded.entries()) {
      expect(await logits.data()).toBeAllclose(await expected[i]!.data(), TOLERANCE);
    }
    tf.dispose([...decoded, ...expected]);
    for (const held of [cache, other, model, right, next]) held.dispose();
  });

  it('dynamic NTK: a short text beside a long one, padded on either side, is as alone', async () => {
    const model = tinyLlama(3, SCALINGS.dynamic);
    const [long, short] = [text.slice(0, 20), text.slice(5, 10)];
    const alone = await Promise.all([long, short].map((ids) => lastLogits(model, ids)));
    for (const isLeft of [true, false]) {
      const padding = Array.from({ length: 15 }, () => 0);
      const row = isLeft ? [...padding, ...short] : [...short, ...padding];
      const ones = short.map(() => 1);
      const mask = isLeft ? [...padding, ...ones] : [...ones, ...padding];
      const logits = tf.tidy(() => {
        const inputs: ModelInputs = {
          inputIds: tf.tensor2d([long, row], [2, 20], 'int32'),
          attentionMask: tf.tensor2d([long.map(() => 1), mask], [2, 20], 'int32'),
        };
        return model.forward(inputs, { logits: 'last' }).logits;
      });
      const values = (await logits.data()) as Float32Array;
      for (const [i, expected] of alone.entries()) {
        expect(values.slice(i * 32, (i + 1) * 32)).toBeAllclose(expected, TOLERANCE);
      }
      logits.dispose();
    }
    model.dispose();
  });
});

it('tables of a pass are freed', async () => {
  await useBackend('cpu');
  const model = tinyLlama(3, SCALINGS.dynamic);
  const attention: AttentionFunction = (...args) => denseAttention(...args);
  await lastLogits(model, text.slice(0, 6), { attention });
  const before = tf.memory().numTensors;
  await lastLogits(model, text.slice(0, 30), { chunkTokens: 7 });
  expect(tf.memory().numTensors).toBe(before);
  model.dispose();
});
