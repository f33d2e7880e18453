// The end of tfjs-wasm's memory: an error with a code, and nothing written over what lies at address 0.
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { textWindows } from '../../src/data/text-windows.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(800), { length: 8 });
/** Largest block that the allocator has left. */
let limit = Number.POSITIVE_INFINITY;

describe('memory of tfjs-wasm', () => {
  beforeAll(async () => {
    await useBackend('wasm');
    tf.scalar(0).dispose();
    const { wasm } = tf.backend() as unknown as { wasm: { _malloc: (bytes: number) => number } };
    const allocate = wasm._malloc;
    wasm._malloc = (bytes) => (bytes > limit ? 0 : allocate(bytes));
  });
  afterEach(() => {
    limit = Number.POSITIVE_INFINITY;
  });

  it('a forward pass that does not fit says so, and the next one works', async () => {
    const model = tinyLlama(1);
    const inputs = { inputIds: tf.zeros<tf.Rank.R2>([4, 8], 'int32') };
    const logits = async () => {
      const output = model.forward(inputs).logits;
      const values = await output.data();
      output.dispose();
      return values;
    };
    const expected = await logits();
    const before = tf.memory().numTensors;
    limit = 512;
    expect(() => model.forward(inputs)).toThrow(
      expect.objectContaining({
        code: 'out-of-memory',
        message: expect.stringMatching(/no \d+ bytes left, its memory at \d+ of 4096 MiB: take smaller batches/),
      }),
    );
    expect(tf.memory().numTensors).toBe(before);
    limit = Number.POSITIVE_INFINITY;
    expect(await logits()).toEqual(expected);
    model.dispose();
    inputs.inputIds.dispose();
  });

  it.each([300, 1000, 3000])('training where blocks of %i bytes are left names the batch', async (bytes) => {
    const model = tinyLlama(1);
    await fineTune(model, data, { strategy: 'plain', steps: 1, batchSize: 4, learningRate: 1e-3 });
    limit = bytes;
    await expect(
      fineTune(model, data, { strategy: 'plain', steps: 1, batchSize: 4, learningRate: 1e-3 }),
    ).rejects.toMatchObject({
      code: 'out-of-memory',
      message: /gave up on 32 tokens .*accumulate/,
      details: { rows: 32 },
    });
    model.dispose();
  });
});
