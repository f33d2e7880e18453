// books-lm-6m against the perplexities measured in PyTorch (eval.json), and its text generation.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import type { Checkpoint } from '../../src/checkpoint/load.ts';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { generate } from '../../src/model/generate.ts';
import type { AttentionFunction } from '../../src/model/types.ts';
import { tokenLosses } from '../../src/model/prefill.ts';
import { useBackend } from '../helpers/backend.ts';

const folder = sharedPath('models', 'books-lm-6m');
const book = sharedPath('data', 'books', 'herman-melville_moby-dick.txt');

const missing = missingShared('models/books-lm-6m', 'data/books/herman-melville_moby-dick.txt');

describe.skipIf(missing)(`books-lm-6m${missing}`, () => {
  let checkpoint: Checkpoint;
  let ids: number[];
  beforeAll(async () => {
    await useBackend('wasm');
    checkpoint = await loadCheckpoint(folder!);
    ids = checkpoint.tokenizer!.encode(readFileSync(book!, 'utf8'), { addSpecialTokens: false });
  });

  it('reproduces the measured perplexity of positions 0–256 and 256–1024 within 0.5 %', async () => {
    const expected = JSON.parse(readFileSync(`${folder}/eval.json`, 'utf8'))['held_herman-melville.npy'];
    const sums = [0, 0];
    for (let window = 0; window < 4; window++) {
      const start = window * 32_768;
      const losses = await tokenLosses(checkpoint.model, ids.slice(start, start + 1025));
      losses.forEach((loss, position) => (sums[position < 256 ? 0 : 1]! += loss));
    }
    expect(Math.abs(Math.exp(sums[0]! / (4 * 256)) / expected['0-256'] - 1)).toBeLessThan(0.005);
    expect(Math.abs(Math.exp(sums[1]! / (4 * 768)) / expected['256-1024'] - 1)).toBeLessThan(0.005);
  });

  it('gives the same losses in chunks as at once', async () => {
    const tokens = ids.slice(5000, 5300);
    const once = await tokenLosses(checkpoint.model, tokens);
    const chunked = await tokenLosses(checkpoint.model, tokens, { chunkTokens: 77 });
    expect(chunked).toBeAllclose(once, { atol: 2e-4, rtol: 0 });
    const fewRows = await tokenLosses(checkpoint.model, tokens, { chunkTokens: 150, logitRows: 32 });
    expect(fewRows).toBeAllclose(once, { atol: 2e-4, rtol: 0 });
  });

  it('hands an external attention function the chunk of queries and every key so far', async () => {
    const tokens = ids.slice(0, 50);
    const seen: number[][] = [];
    const attention: AttentionFunction = (q, k, v, context) => {
      if (context.layer === 5) seen.push([q.shape[1], k.shape[1], v.shape[1], context.queryOffset]);
      expect([q.shape[2], k.shape[2], q.shape[3]]).toEqual([4, 2, 64]);
      return denseAttention(q, k, v, context);
    };
    const losses = await tokenLosses(checkpoint.model, tokens, { attention, chunkTokens: 20 });
    expect(seen).toEqual([
      [20, 20, 20, 0],
      [20, 40, 40, 20],
      [10, 50, 50, 40],
    ]);
    expect(losses).toBeAllclose(await tokenLosses(checkpoint.model, tokens), { atol: 2e-4, rtol: 0 });
  });

  it('dense attention in row blocks equals attention at once', async () => {
    const random = (shape: [number, number, number, number]) =>
      tf.randomNormal(shape, 0, 1, 'float32', 3) as tf.Tensor4D;
    const [q, k, v] = [random([1, 3000, 2, 8]), random([1, 3000, 1, 8]), random([1, 3000, 1, 8])];
    const context = { layer: 0, causal: true, scale: 0.3, queryOffset: 0 };
    const blocks = denseAttention(q, k, v, context);
    const tail = denseAttention(tf.slice(q, [0, 2900, 0, 0]), k, v, { ...context, queryOffset: 2900 });
    const [all, end] = [await blocks.data(), await tail.data()];
    expect(all.slice(2900 * 16)).toBeAllclose(end, { atol: 1e-5, rtol: 0 });
  });

  it('generates greedily what repeated full passes choose, and leaks no tensor', async () => {
    const { model } = checkpoint;
    const prompt = ids.slice(2000, 2040);
    await generate(model, prompt, { maxTokens: 1 });
    const before = tf.memory().numTensors;
    const cached = await generate(model, prompt, { maxTokens: 6, stopIds: [] });
    expect(tf.memory().numTensors).toBe(before);
    const sequence = [...prompt];
    for (let step = 0; step < 6; step++) {
      const last = tf.tidy(() =>
        model
          .forward({ inputIds: tf.tensor2d([sequence], [1, sequence.length], 'int32') }, { logits: 'last' })
          .logits.argMax(-1),
      );
      sequence.push((await last.data())[0]!);
      last.dispose();
    }
    expect(cached).toEqual(sequence.slice(prompt.length));
  });

  it('samples repeatably from a seed', async () => {
    const prompt = ids.slice(2000, 2020);
    const run = (seed: number) => generate(checkpoint.model, prompt, { maxTokens: 8, temperature: 1, topK: 50, seed });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
  });
});
