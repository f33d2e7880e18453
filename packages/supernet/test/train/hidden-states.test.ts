// Distillation of hidden states: the loss by hand, what it draws a student to, and what it refuses.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import type { Dataset } from '../../src/data/dataset.ts';
import { inputTensors } from '../../src/data/dataset.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { uniformSubnet } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { askHiddenStates, disposeHiddenTargets, hiddenStateLoss } from '../../src/train/losses/hidden-states.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyBert, tinyLlama } from '../helpers/tiny.ts';

/** Texts of unlike lengths, padded with 0 to the longest. */
function texts(lengths: readonly number[]): tf.Tensor2D[] {
  const length = Math.max(...lengths);
  const grid = (value: (row: number, at: number) => number) =>
    tf.tensor2d(
      lengths.map((own, row) => Array.from({ length }, (_, at) => (at < own ? value(row, at) : 0))),
      undefined,
      'int32',
    );
  return [grid((row, at) => 1 + ((row * 7 + at * 5) % 31)), grid(() => 1)];
}

const statesOf = (model: TransformerModel, ids: tf.Tensor2D, mask: tf.Tensor2D, subnet?: SubnetConfig) =>
  tf.tidy(() => {
    const how = { hiddenStates: true, ...(subnet && { subnet }) };
    return model.forward({ inputIds: ids, attentionMask: mask }, how).hiddenStates as tf.Tensor3D[];
  });

/** Mean squared difference of hidden states of a dataset's first rows to a teacher's. */
async function distance(student: TransformerModel, teacher: TransformerModel, data: Dataset): Promise<number> {
  const inputs = inputTensors(await data.batch([0, 1, 2, 3]));
  const value = tf.tidy(() => {
    const own = student.forward(inputs, { hiddenStates: true }).hiddenStates as tf.Tensor3D[];
    return hiddenStateLoss(own, askHiddenStates(teacher, inputs, undefined)).dataSync()[0] as number;
  });
  tf.dispose(Object.values(inputs) as tf.Tensor[]);
  return value;
}

describe.each(BACKENDS)('hiddenStateLoss on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('is the mean over layers, real tokens and channels, whatever is padding', () => {
    const [student, teacher] = [tinyBert(1), tinyBert(2)];
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 2),
        (lengths, layers) => {
          const before = tf.memory().numTensors;
          const [ids, mask] = texts(lengths) as [tf.Tensor2D, tf.Tensor2D];
          const subnet = { ...uniformSubnet(student.space, 2, 4, 24), layers };
          const own = statesOf(student, ids, mask, subnet);
          const theirs = statesOf(teacher, ids, mask);
          const targets = askHiddenStates(teacher, { inputIds: ids, attentionMask: mask }, undefined);
          const loss = hiddenStateLoss(own, targets);
          let [sum, count] = [0, 0];
          for (let layer = 1; layer <= layers; layer++) {
            const [a, b] = [own[layer]!.arraySync(), theirs[layer === layers ? 2 : layer]!.arraySync()];
            for (const [row, length] of lengths.entries())
              for (let at = 0; at < length; at++)
                for (const [channel, value] of a[row]![at]!.entries()) {
                  sum += (value - b[row]![at]![channel]!) ** 2;
                  count++;
                }
          }
          expect([...loss.dataSync()]).toBeAllclose([sum / count], { rtol: 1e-4, atol: 1e-6 });
          tf.dispose([ids, mask, loss, ...own, ...theirs]);
          disposeHiddenTargets(targets);
          expect(tf.memory().numTensors).toBe(before);
        },
      ),
      { numRuns: 10 },
    );
    student.dispose();
    teacher.dispose();
  });
});

describe('fineTune with hiddenStates', () => {
  const data = textWindows(patternedTokens(400), { length: 8 });
  beforeAll(() => useBackend('cpu'));

  it('draws a student to its teacher in between, and leaves nothing behind', async () => {
    const teacher = tinyLlama(2);
    const left: number[] = [];
    for (const hiddenStates of [0, 3]) {
      const student = tinyLlama(1);
      const options = { strategy: 'kd-only', gamma: 1, alpha: 0, teacher, steps: 12, batchSize: 4 } as const;
      // Tables of rotations are made once.
      await distance(student, teacher, data);
      const before = tf.memory().numTensors;
      await fineTune(student, data, { ...options, hiddenStates, learningRate: 5e-3 });
      expect(tf.memory().numTensors).toBe(before);
      left.push(await distance(student, teacher, data));
      student.dispose();
    }
    expect(left[1]).toBeLessThan(0.8 * left[0]!);
    teacher.dispose();
  });

  it('is part of the loss of every network that learns from the teacher, and of no other', async () => {
    const [model, teacher] = [tinyLlama(1), tinyLlama(2)];
    const lossesOf = async (gamma: 0 | 1, hiddenStates: number) => {
      let losses: readonly number[] = [];
      const copy = tinyLlama(1);
      const onProgress = (progress: { readonly losses: readonly number[] }) => (losses = progress.losses);
      await fineTune(copy, data, { gamma, hiddenStates, teacher, alpha: 0.5, steps: 1, batchSize: 4, onProgress });
      copy.dispose();
      return losses;
    };
    const [none, some] = [await lossesOf(1, 0), await lossesOf(1, 2)];
    expect(some.every((loss, pass) => loss > none[pass]!)).toBe(true);
    expect(await lossesOf(0, 2)).toEqual(await lossesOf(0, 0));
    model.dispose();
    teacher.dispose();
  });

  it('refuses a factor that is none and a teacher of another hidden size', async () => {
    const [student, wide] = [tinyLlama(1), tinyLlama(2, { hidden_size: 24, head_dim: 6 })];
    const options = { strategy: 'kd-only', gamma: 1, teacher: wide, steps: 1, batchSize: 2 } as const;
    await expect(fineTune(student, data, { ...options, hiddenStates: -1 })).rejects.toMatchObject({
      code: 'invalid-option',
      details: { name: 'hiddenStates', value: -1 },
    });
    await expect(fineTune(student, data, { ...options, hiddenStates: 1 })).rejects.toMatchObject({
      code: 'invalid-option',
      details: { width: 16, teacherWidth: 24 },
    });
    student.dispose();
    wide.dispose();
  });
});
