// Loss and accuracy against sums in doubles, of the whole dataset and of each example.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { inputTensors } from '../../src/data/dataset.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama } from '../helpers/tiny.ts';

const LENGTH = 5;
const ids = (example: number) => Array.from({ length: LENGTH }, (_, t) => (7 * example + 3 * t * t + 1) % 32);

/** Eleven examples with so many labels each; −1 where there is none. */
function dataset(labelsOf: (example: number) => number[]): Dataset {
  return {
    length: 11,
    batch: (indices) => ({
      size: indices.length,
      inputIds: { shape: [indices.length, LENGTH], data: Int32Array.from([...indices].flatMap(ids)) },
      labels: Int32Array.from([...indices].flatMap(labelsOf)),
    }),
  };
}

const text = dataset((example) => ids(example).map((id, t) => (example === 4 || (t + example) % 3 === 0 ? -1 : id)));
const classes = dataset((example) => [example === 2 ? -1 : example % 3]);

async function byHand(model: TransformerModel, data: Dataset, options: object) {
  const batch = await data.batch(Array.from({ length: data.length }, (_, i) => i));
  const inputs = inputTensors(batch);
  const logits = model.forward(inputs, options).logits;
  const width = logits.shape.at(-1)!;
  const values = await logits.data();
  tf.dispose([logits, ...(Object.values(inputs) as tf.Tensor[])]);
  const rows = batch.labels.length / batch.size;
  const zeros = () => Array.from({ length: batch.size }, () => 0);
  const scores = { loss: zeros(), accuracy: zeros() };
  const count = zeros();
  for (const [row, label] of batch.labels.entries()) {
    if (label < 0) continue;
    const example = Math.floor(row / rows);
    const z = Array.from(values.slice(row * width, (row + 1) * width));
    const most = Math.max(...z);
    scores.loss[example]! += Math.log(z.reduce((sum, one) => sum + Math.exp(one - most), 0)) + most - z[label]!;
    scores.accuracy[example]! += +(z[label] === most);
    count[example]!++;
  }
  return { ...scores, count };
}

describe.each(BACKENDS)('evaluate on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([
    ['tokens', () => tinyLlama(3), text],
    ['classes', () => tinyBert(3), classes],
  ] as const)('%s: the means of rows with a label, of all and of each example', async (_, make, data) => {
    const model = make();
    for (const subnet of [undefined, smallestSubnet(model.space)]) {
      const expected = await byHand(model, data, subnet ? { subnet } : {});
      const labelled = expected.count.reduce((sum, one) => sum + one, 0);
      const mean = (sums: number[]) => sums.reduce((sum, one) => sum + one, 0) / labelled;
      const each = (sums: number[]) => sums.map((sum, example) => sum / Math.max(1, expected.count[example]!));
      for (const batchSize of [1, 4, 11, 64]) {
        const result = await evaluate(model, data, { batchSize, perExample: true, ...(subnet && { subnet }) });
        expect(result.count).toBe(labelled);
        expect(result.loss).toBeCloseTo(mean(expected.loss), 5);
        expect(result.accuracy).toBeCloseTo(mean(expected.accuracy), 6);
        expect([...result.perExample!.count]).toEqual(expected.count);
        expect(result.perExample!.loss).toBeAllclose(each(expected.loss), { atol: 1e-5, rtol: 1e-5 });
        expect(result.perExample!.accuracy).toBeAllclose(each(expected.accuracy), { atol: 1e-6, rtol: 0 });
      }
    }
    expect(await evaluate(model, data)).not.toHaveProperty('perExample');
    model.dispose();
  });

  it('refuses a dataset without a label', async () => {
    const model = tinyBert();
    const none = dataset(() => [-1]);
    await expect(evaluate(model, none)).rejects.toMatchObject({ code: 'invalid-data', details: { examples: 11 } });
    model.dispose();
  });
});
