// Importance reordering: the function is preserved, the order is a permutation by importance, prefixes get better.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { reorderByImportance } from '../../src/elastic/reorder.ts';
import type { ReorderOptions } from '../../src/elastic/reorder.ts';
import { uniformSubnet } from '../../src/elastic/space.ts';
import { tokenLosses } from '../../src/model/prefill.ts';
import { useBackend } from '../helpers/backend.ts';
import { GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

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
