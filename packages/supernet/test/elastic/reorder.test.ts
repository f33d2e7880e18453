// Importance reordering: the function is preserved, the order is a permutation by importance, prefixes get better.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { reorderByImportance } from '../../src/elastic/reorder.ts';
import type { ReorderOptions } from '../../src/elastic/reorder-options.ts';
import { uniformSubnet } from '../../src/elastic/subnets.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { tokenLosses } from '../../src/model/prefill.ts';
import { useBackend } from '../helpers/backend.ts';
import { GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';
import { tinyLlama } from '../helpers/tiny.ts';

/** Sets a weight to `value(row, column)`. */
function fill(model: TransformerModel, name: string, value: (row: number, column: number) => number): void {
  const variable = model.weights.get(`${name}.weight`)!;
  const [rows, columns] = variable.shape as [number, number];
  const values = Float32Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns));
  tf.tidy(() => variable.assign(tf.tensor2d(values, [rows, columns])));
}

describe('the order of importance', () => {
  beforeAll(() => useBackend('wasm'));
  /** Two layers of two head groups and six FFN units. */
  const six = () => tinyLlama(1, { intermediate_size: 6 });

  it('taylor: the squared change of the loss when a unit is removed, summed over the losses', async () => {
    const model = six();
    const [output, down] = ['layers.0.attention.output', 'layers.0.ffn.down'];
    for (const name of [output, down]) fill(model, name, () => 1);
    /** A loss that is linear in the weights, so that the unit of every row changes it by just this much. */
    const loss = (name: string, changes: readonly number[]) => () => {
      const weight = model.weights.get(`${name}.weight`)!;
      const [rows, columns] = weight.shape as [number, number];
      const slopes = Array.from({ length: rows }, (_, row) => changes[Math.floor((row * changes.length) / rows)]!);
      const perRow = rows / changes.length;
      const factors = tf.tile(tf.tensor2d(slopes, [rows, 1]), [1, columns]);
      return tf.div(tf.sum(tf.mul(weight, factors)), perRow * columns) as tf.Scalar;
    };
    const losses = [
      loss(down, [3, 0, -4.5, 1, 2, -0.5]),
      loss(down, [-3, 0.75, 0, 2, 2, 0.1]),
      // Sums 1 and 0, squares 1 and 8.
      loss(output, [1, 2]),
      loss(output, [0, -2]),
    ];
    const report = await reorderByImportance(model, { criterion: 'taylor', losses });
    // Squares 18, 0.56, 20.25, 5, 8, 0.26; plain sums would be 0, 0.75, −4.5, 3, 4, −0.4, magnitudes 6, 0.75, 4.5, 3, 4, 0.6.
    expect(report.ffn[0]).toEqual([2, 0, 4, 3, 1, 5]);
    expect(report.headGroups[0]).toEqual([1, 0]);
    // No loss depends on this layer.
    expect([report.ffn[1], report.headGroups[1]]).toEqual([
      [0, 1, 2, 3, 4, 5],
      [0, 1],
    ]);
    model.dispose();
  });

  it.each(['up', 'gate', 'down'])(
    'magnitude: what a unit is multiplied by on its way counts, its %s too',
    async (part) => {
      const model = six();
      const sizes = [3, 1, 6, 2, 5, 4];
      for (const name of ['up', 'gate']) {
        fill(model, `layers.1.ffn.${name}`, (_, unit) => (name === part ? sizes[unit]! : 1));
      }
      fill(model, 'layers.1.ffn.down', (unit) => (part === 'down' ? -sizes[unit]! : 1));
      const { ffn } = await reorderByImportance(model, { criterion: 'magnitude' });
      expect(ffn[1]).toEqual([2, 4, 5, 0, 3, 1]);
      model.dispose();
    },
  );

  it('names a criterion that is none', async () => {
    const model = six();
    for (const criterion of ['foo', 'toString', undefined]) {
      await expect(reorderByImportance(model, { criterion } as unknown as ReorderOptions)).rejects.toMatchObject({
        code: 'invalid-option',
        details: { criterion },
      });
    }
    model.dispose();
  });
});

describe.skipIf(missingGolden)(`reorderByImportance${missingGolden}`, () => {
  beforeAll(() => useBackend('wasm'));

  it.each(GOLDENS)('%s keeps its function', async (name) => {
    const { inputs } = await loadGolden(goldenPath(name)!);
    const { model } = await loadCheckpoint(goldenPath(name)!);
    const before = await model.forward(inputs).logits.data();
    const first = await model.weights.get('layers.0.ffn.up.weight')!.data();
    const objective = () => tf.mean(tf.square(model.forward(inputs).logits)) as tf.Scalar;
    const criteria: ReorderOptions[] = [
      { criterion: 'magnitude' },
      { criterion: 'taylor', losses: [objective] },
      { criterion: 'activation', batches: [inputs] },
    ];
    for (const options of criteria) {
      const { headGroups, ffn } = await reorderByImportance(model, options);
      const sorted = (order: readonly number[]) => [...order].sort((a, b) => a - b);
      const units = (count: number) => Array.from({ length: count }, (_, i) => i);
      for (const order of headGroups) expect(sorted(order)).toEqual(units(model.config.kvHeads));
      for (const order of ffn) expect(sorted(order)).toEqual(units(model.config.ffn));
      expect(await model.forward(inputs).logits.data()).toBeAllclose(before, { atol: 1e-5, rtol: 0 });
    }
    expect(await model.weights.get('layers.0.ffn.up.weight')!.data()).not.toEqual(first);
    model.dispose();
  });

  it.each(['taylor', 'activation'] as const)('needs calibration data for %s', async (criterion) => {
    const { model } = await loadCheckpoint(goldenPath('llama-gqa')!);
    await expect(reorderByImportance(model, { criterion })).rejects.toMatchObject({ code: 'invalid-option' });
    model.dispose();
  });

  it('puts a unit that does nothing last', async () => {
    const { inputs } = await loadGolden(goldenPath('gpt2')!);
    const { model } = await loadCheckpoint(goldenPath('gpt2')!);
    const down = model.weights.get('layers.1.ffn.down.weight')!;
    const values = (await down.data()).slice() as Float32Array;
    values.fill(0, 5 * 96, 6 * 96);
    down.assign(tf.tensor(values, down.shape));
    const { ffn } = await reorderByImportance(model, { criterion: 'activation', batches: [inputs] });
    expect(ffn[1]!.at(-1)).toBe(5);
    model.dispose();
  });

  const books = sharedPath('models', 'books-lm-6m');
  const text = sharedPath('data', 'books', 'herman-melville_moby-dick.txt');
  const missing = missingShared('models/books-lm-6m', 'data/books/herman-melville_moby-dick.txt');
  it.skipIf(missing)(
    `makes the narrow prefixes of a trained model better on text it was not calibrated on${missing}`,
    async () => {
      const { model, tokenizer } = await loadCheckpoint(books!);
      const ids = tokenizer!.encode(readFileSync(text!, 'utf8').slice(100_000, 112_000), { addSpecialTokens: false });
      const narrow = uniformSubnet(model.space, 6, 4, 512);
      const loss = async () => {
        const losses = await tokenLosses(model, ids.slice(1500, 1800), { subnet: narrow });
        return losses.reduce((sum, value) => sum + value, 0) / losses.length;
      };
      const batch = tf.tensor2d(Int32Array.from(ids.slice(0, 256)), [1, 256], 'int32');
      const before = await loss();
      await reorderByImportance(model, { criterion: 'activation', batches: [{ inputIds: batch }] });
      expect(await loss()).toBeLessThan(before - 0.2);
      model.dispose();
    },
  );
});
