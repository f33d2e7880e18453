// Mixed precision: who is refused, and that scaled losses leave the same weights.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { textWindows } from '../../src/data/text-windows.ts';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import { embed } from '../../src/train/evaluation/embeddings.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import type { Precision } from '../../src/model/precision.ts';
import { trainStep } from '../../src/train/step/step.ts';
import { mixedMatMul } from '../../src/webgpu/half-products.ts';
import { patternedTokens, tinyLlama, weightsOf } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(100), { length: 8 });

describe('mixed precision', () => {
  beforeAll(() => tf.setBackend('cpu'));

  it('is refused where there are no matrix units, in words', async () => {
    const model = tinyLlama();
    const refused = { code: 'unsupported', message: expect.stringContaining('tfjs runs on cpu') as string };
    await expect(fineTune(model, data, { precision: 'mixed', steps: 1 })).rejects.toMatchObject(refused);
    await expect(evaluate(model, data, { precision: 'mixed' })).rejects.toMatchObject(refused);
    await expect(fineTune(model, data, { precision: 'half' as Precision })).rejects.toMatchObject({
      code: 'invalid-option',
    });
    const square = tf.ones([16, 16]) as tf.Tensor2D;
    expect(() => mixedMatMul(square, square)).toThrow(expect.objectContaining(refused) as Error);
    await expect(embed(model, data, { precision: 'mixed' })).rejects.toMatchObject({ code: 'unsupported-model' });
    model.dispose();
  });

  it.each([1e-3, 1, Number.POSITIVE_INFINITY])('scales the loss and takes it back, clipped at %f', async (clipNorm) => {
    const batch = await data.batch([0, 3, 5]);
    const plan = [{ hard: 1, soft: 0, teaches: false }];
    const run = async (mixed: boolean) => {
      const model = tinyLlama();
      const optimizer = new AdamW(model, { epsilon: 1e-3 });
      const numbers: number[] = [];
      let tensors = 0;
      // The first step makes tables and moments that stay.
      for (let step = 0; step < 2; step++) {
        tensors = tf.memory().numTensors;
        const context = { model, optimizer, temperature: 1, clipNorm, dropout: 0, mixed };
        const { losses, norm } = trainStep(context, [batch], plan, 0.1, 0);
        numbers.push((await norm.data())[0]!, (await losses[0]!.data())[0]!);
        tf.dispose([norm, ...losses]);
      }
      expect(tf.memory().numTensors).toBe(tensors);
      optimizer.dispose();
      const weights = await weightsOf(model);
      model.dispose();
      return { numbers, weights };
    };
    // Products this small are left to tfjs: the scale, a power of two, is all that differs.
    expect(await run(true)).toEqual(await run(false));
  });
});
