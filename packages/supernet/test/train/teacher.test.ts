// Teachers: one model, and ensembles.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { inputTensors } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import type { ModelInputs } from '../../src/model/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { createTargets } from '../../src/train/losses/targets.ts';
import { disposeTeacher } from '../../src/train/losses/distributions.ts';
import { askTeacher } from '../../src/train/teacher/teacher.ts';
import type { Teacher } from '../../src/train/teacher/teacher.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama } from '../helpers/tiny.ts';

const data = textWindows(patternedTokens(800), { length: 8 });
const ROWS = [0, 3, 5];

/** softmax(z / ρ) of a model's rows, in doubles from float32 logits. */
function softmaxRows(model: TransformerModel, inputs: ModelInputs, temperature: number): number[][] {
  return tf.tidy(() =>
    (model.forward(inputs).logits.arraySync() as number[][][]).flat().map((row) => {
      const most = Math.max(...row);
      const powers = row.map((z) => Math.exp((z - most) / temperature));
      const sum = powers.reduce((total, value) => total + value, 0);
      return powers.map((value) => value / sum);
    }),
  );
}

async function ask(teacher: Teacher, temperature: number) {
  const batch = await data.batch(ROWS);
  const inputs = inputTensors(batch);
  const targets = createTargets(batch.labels);
  try {
    const distribution = askTeacher(teacher, inputs, { targets, temperature });
    const probabilities = (await distribution.probabilities.array()) as number[][];
    const negativeEntropy = (await distribution.negativeEntropy.array()) as number[];
    disposeTeacher(distribution);
    return { probabilities, negativeEntropy };
  } finally {
    tf.dispose([inputs.inputIds!, targets.indices]);
  }
}

describe.each(BACKENDS)('askTeacher on %s', (backend) => {
  let firstRow: ModelInputs;
  beforeAll(async () => {
    await useBackend(backend);
    firstRow = inputTensors(await data.batch([0]));
  });

  it('the mean of the members, and its entropy', async () => {
    const models = [1, 2, 3].map((seed) => tinyLlama(seed));
    const inputs = inputTensors(await data.batch(ROWS));
    for (const model of models) softmaxRows(model, inputs, 1);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 }),
        fc.double({ min: 0.25, max: 4, noNaN: true }),
        async (chosen, temperature) => {
          const before = tf.memory().numTensors;
          const { probabilities, negativeEntropy } = await ask(
            chosen.map((index) => models[index]!),
            temperature,
          );
          expect(tf.memory().numTensors).toBe(before);
          const rows = chosen.map((index) => softmaxRows(models[index]!, inputs, temperature));
          const mean = rows[0]!.map((row, n) =>
            row.map((_, i) => rows.reduce((sum, member) => sum + member[n]![i]!, 0) / rows.length),
          );
          expect(probabilities.flat()).toBeAllclose(mean.flat(), { rtol: 1e-4, atol: 1e-6 });
          const entropies = mean.map((row) => row.reduce((sum, p) => sum + p * Math.log(p), 0));
          expect(negativeEntropy).toBeAllclose(entropies, { rtol: 1e-4, atol: 1e-5 });
        },
      ),
      { numRuns: 12 },
    );
    for (const model of models) model.dispose();
    inputs.inputIds!.dispose();
  });

  it('an ensemble of one is that model', async () => {
    const model = tinyLlama(4);
    expect(await ask([model], 2)).toEqual(await ask(model, 2));
    model.dispose();
  });

  it('refuses no members and members of other classes, and keeps nothing', async () => {
    const model = tinyLlama(1);
    const wider = tinyLlama(2, { vocab_size: 48 });
    // Tables of positions are made at the first use, and stay.
    for (const each of [model, wider]) softmaxRows(each, firstRow, 1);
    const before = tf.memory().numTensors;
    await expect(ask([], 1)).rejects.toMatchObject({ code: 'invalid-option', message: /needs one model/ });
    await expect(ask([model, model, wider], 1)).rejects.toMatchObject({
      code: 'invalid-option',
      message: /member 2 of the teacher has 48 classes, those before it 32/,
    });
    expect(tf.memory().numTensors).toBe(before);
    await expect(fineTune(model, data, { strategy: 'kd-only', teacher: [], steps: 1 })).rejects.toMatchObject({
      code: 'invalid-option',
    });
    for (const teacher of [wider, [wider, wider]]) {
      await expect(fineTune(model, data, { strategy: 'kd-only', teacher, steps: 1 })).rejects.toMatchObject({
        code: 'invalid-option',
        message: /the teacher has 48 classes, the student 32/,
      });
    }
    model.dispose();
    wider.dispose();
  });

  it('a student of several comes closer to their mean than to each', async () => {
    const [student, ...models] = [5, 6, 7].map((seed) => tinyLlama(seed)) as [TransformerModel, TransformerModel];
    for (const [index, model] of models.entries()) {
      await fineTune(model, data, { strategy: 'plain', steps: 12, batchSize: 8, learningRate: 1e-2, seed: index });
    }
    softmaxRows(student, firstRow, 1);
    const before = tf.memory().numTensors;
    await fineTune(student, data, {
      strategy: 'kd-only',
      alpha: 0,
      teacher: models,
      steps: 60,
      batchSize: 8,
      learningRate: 2e-2,
    });
    expect(tf.memory().numTensors).toBe(before);
    const own = (await ask(student, 1)).probabilities;
    const distance = async (teacher: Teacher) => {
      const { probabilities } = await ask(teacher, 1);
      return probabilities.flat().reduce((sum, p, i) => sum + p * Math.log(p / own.flat()[i]!), 0);
    };
    const toMean = await distance(models);
    for (const model of models) expect(toMean).toBeLessThan(await distance(model));
    for (const model of [student, ...models]) model.dispose();
  });
});
