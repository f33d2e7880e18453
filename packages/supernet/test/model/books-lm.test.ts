// books-lm-6m against the perplexities measured in PyTorch (eval.json), and its text generation.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs';
import { sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import type { Checkpoint } from '../../src/checkpoint/load.ts';
import { generate } from '../../src/model/generate.ts';
import { tokenLosses } from '../../src/model/prefill.ts';
import { useBackend } from '../helpers/backend.ts';

const folder = sharedPath('models', 'books-lm-6m');
const book = sharedPath('data', 'books', 'herman-melville_moby-dick.txt');

describe.skipIf(!folder || !book)('books-lm-6m (../shared)', () => {
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
