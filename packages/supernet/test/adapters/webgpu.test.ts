// Adapters on webgpu: trained as on the cpu, encoded and played from a recording, one buffer of moments for what is trained.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { addAdapters } from '../../src/adapters/add.ts';
import { trainedSlots, trainedWeights } from '../../src/adapters/trained.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import type { FineTuneOptions } from '../../src/train/run/options.ts';
import { patternedTokens, tinyLlama } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const windows = textWindows(patternedTokens(400), { length: 8 });

async function trained(options: FineTuneOptions) {
  const base = tinyLlama();
  const model = addAdapters(base, { targets: ['query', 'down'], ranks: [0, 2, 4], alpha: 8 });
  const run = await fineTune(model, windows, options);
  const values = await Promise.all([...trainedWeights(model).values()].map((weight) => weight.data()));
  for (const each of [model, base]) each.dispose();
  return { values, losses: run.history.map(({ loss }) => loss), recording: run.recording };
}

describeGpu('adapters', () => {
  beforeAll(startWebGpu);

  it.each<[string, FineTuneOptions]>([
    ['plainly, from a recording', { strategy: 'plain', steps: 5 }],
    ['as a super-network of ranks', { strategy: 'sandwich', steps: 2 }],
  ])('are trained %s as on the cpu', async (_, how) => {
    const options = { ...how, batchSize: 2, learningRate: 3e-3, seed: 3 };
    await tf.setBackend('cpu');
    const expected = await trained(options);
    await tf.setBackend('webgpu');
    const actual = await trained(options);
    expect(actual.losses).toBeAllclose(expected.losses, { rtol: 2e-4, atol: 0 });
    for (const [i, values] of expected.values.entries()) {
      expect(actual.values[i]!).toBeAllclose(values, { rtol: 0, atol: 3e-4 });
    }
    // A sub-network of other widths each step does not come again.
    expect((actual.recording?.played ?? 0) > 0).toBe(how.strategy === 'plain');
  });

  it('have moments of their own size only', async () => {
    await tf.setBackend('webgpu');
    const base = tinyLlama();
    const model = addAdapters(base, { rank: 4 });
    const optimizer = new AdamW(model);
    const { name, shape } = trainedSlots(model)[0]!;
    const before = tf.memory().numBytes;
    const gradient = tf.ones([...shape]);
    optimizer.apply(new Map([[name, gradient]]), 1e-3);
    gradient.dispose();
    const size = trainedSlots(model).reduce((sum, slot) => sum + slot.shape[0]! * slot.shape[1]!, 0);
    expect(tf.memory().numBytes - before).toBe(2 * 4 * size);
    optimizer.dispose();
    for (const each of [model, base]) each.dispose();
  });
});
