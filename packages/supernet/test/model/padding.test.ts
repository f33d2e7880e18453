// A sequence means the same alone and in a batch: whatever stands beside it, and wherever it is padded.
import { describeGpu } from '@hip/testing';
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import type { ForwardOptions } from '../../src/model/types.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyGpt2, tinyLlama, tinyQwen, tinyRoberta } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const TOLERANCE = { atol: 2e-5, rtol: 0 };
const DECODERS = { gpt2: tinyGpt2, llama: tinyLlama, qwen2: tinyQwen } as const;
const CLASSIFIERS = {
  bert: tinyBert,
  roberta: tinyRoberta,
  'gpt2 classifier': () => tinyGpt2(1, { architectures: ['GPT2ForSequenceClassification'], num_labels: 3 }),
  'llama classifier': () =>
    tinyLlama(1, { architectures: ['LlamaForSequenceClassification'], num_labels: 3, pad_token_id: 1 }),
} as const;
const names = <T extends object>(of: T) => Object.keys(of) as (keyof T)[];

type Rows = readonly (readonly number[])[];

const tensor = (rows: Rows) => tf.tensor2d(rows.flat(), [rows.length, rows[0]!.length], 'int32');

/** Ids and mask of texts at the left or right end, or inside, of `length` places. */
function pad(texts: Rows, gaps: readonly number[], length: number, padding: number): { ids: Rows; mask: Rows } {
  const place = (values: readonly number[], i: number, filler: number): number[] => {
    const front = Math.min(gaps[i]!, length - values.length);
    const back = length - values.length - front;
    return [...Array<number>(front).fill(filler), ...values, ...Array<number>(back).fill(filler)];
  };
  return {
    ids: texts.map((text, i) => place(text, i, padding)),
    mask: texts.map((text, i) =>
      place(
        text.map(() => 1),
        i,
        0,
      ),
    ),
  };
}

async function run(model: TransformerModel, ids: Rows, mask?: Rows, options: ForwardOptions = {}): Promise<number[][]> {
  const logits = tf.tidy(() => {
    const { logits: all } = model.forward(
      { inputIds: tensor(ids), ...(mask && { attentionMask: tensor(mask) }) },
      { logits: 'last', ...options },
    );
    return tf.reshape(all, [ids.length, -1]);
  });
  const rows = (await logits.array()) as number[][];
  logits.dispose();
  return rows;
}

/** One to three texts of tokens 2 …, places before each, and the batch's length. */
const batches = fc
  .array(fc.array(fc.integer({ min: 2, max: 31 }), { minLength: 1, maxLength: 7 }), { minLength: 1, maxLength: 3 })
  .chain((texts) =>
    fc.record({
      texts: fc.constant(texts),
      gaps: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: texts.length, maxLength: texts.length }),
      extra: fc.integer({ min: 0, max: 3 }),
    }),
  );

describe.each(BACKENDS)('padding on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([...names(DECODERS), ...names(CLASSIFIERS)])('%s: a text in a batch is as alone', async (name) => {
    const model = { ...DECODERS, ...CLASSIFIERS }[name]();
    await fc.assert(
      fc.asyncProperty(batches, async ({ texts, gaps, extra }) => {
        const length = Math.max(...texts.map((text) => text.length)) + extra;
        const { ids, mask } = pad(texts, gaps, length, 1);
        const together = await run(model, ids, mask);
        for (const [i, text] of texts.entries()) {
          expect(together[i]!).toBeAllclose((await run(model, [text]))[0]!, TOLERANCE);
        }
      }),
      { numRuns: 8 },
    );
    model.dispose();
  });

  it.each(names(DECODERS))('%s: and goes on so, padded left or right, or is refused', async (name) => {
    const model = DECODERS[name]();
    await fc.assert(
      fc.asyncProperty(batches, fc.boolean(), async ({ texts, extra }, isLeft) => {
        const length = Math.max(...texts.map((text) => text.length)) + extra;
        const { ids, mask } = pad(
          texts,
          texts.map(() => (isLeft ? length : 0)),
          length,
          1,
        );
        const cache = new ConcatKeyValueCache();
        await run(model, ids, mask, { cache });
        const written = texts.map((text) => [...text]);
        let seen = mask;
        // Windows count places, those of padding too.
        const isRefused = name === 'qwen2' && !isLeft && mask.flat().includes(0);
        const refused: unknown[] = [];
        for (const next of [5, 9, 4]) {
          seen = seen.map((row) => [...row, 1]);
          const step = run(
            model,
            texts.map((_, i) => [next + i]),
            seen,
            { cache },
          );
          const together = await step.catch((error: unknown) => void refused.push(error));
          if (!together) break;
          for (const [i, row] of written.entries()) {
            row.push(next + i);
            expect(together[i]!).toBeAllclose((await run(model, [row]))[0]!, TOLERANCE);
          }
        }
        expect(refused).toMatchObject(isRefused ? [{ code: 'unsupported' }] : []);
        cache.dispose();
      }),
      { numRuns: 6 },
    );
    model.dispose();
  });

  it('positions can be given, and are checked', async () => {
    for (const model of [tinyGpt2(), tinyLlama(), tinyBert(), tinyRoberta()]) {
      const ids = [[5, 6, 7, 8]];
      const at = (positions: number[]) =>
        tf.tidy(() =>
          model
            .forward(
              {
                inputIds: tensor(ids),
                positionIds: tensor([positions]),
              },
              { logits: 'last' },
            )
            .logits.dataSync(),
        );
      const [plain] = await run(model, ids);
      expect(at([0, 1, 2, 3])).toBeAllclose(plain!, TOLERANCE);
      expect(at([3, 1, 0, 2])).not.toBeAllclose(plain!, { atol: 1e-4, rtol: 0 });
      expect(() => at([0, 1, 2])).toThrow(expect.objectContaining({ code: 'invalid-input' }));
      expect(() => at([0, 1, 2, -1])).toThrow(/positionIds\[0, 3\] = -1/);
      model.dispose();
    }
    for (const model of [tinyGpt2(), tinyBert(), tinyRoberta()]) {
      const at = () => model.forward({ inputIds: tensor([[5, 6]]), positionIds: tensor([[0, 50]]) });
      expect(at).toThrow(/positionIds\[0, 1\] = 50/);
      model.dispose();
    }
  });

  it('more places than positions are enough, where the texts fit', async () => {
    const model = tinyGpt2();
    const text = [5, 6, 7];
    for (const gap of [0, 27]) {
      const { ids, mask } = pad([text], [gap], 30, 1);
      expect((await run(model, ids, mask))[0]!).toBeAllclose((await run(model, [text]))[0]!, TOLERANCE);
    }
    await expect(run(model, [Array<number>(25).fill(3)])).rejects.toMatchObject({ code: 'invalid-input' });
    model.dispose();
  });

  it('a model of one segment type takes a pair of any', async () => {
    const model = tinyRoberta();
    const inputs = { inputIds: tensor([[5, 6, 7]]), tokenTypeIds: tensor([[0, 1, 1]]) };
    const logits = tf.tidy(() => model.forward(inputs).logits.dataSync());
    expect(logits).toBeAllclose((await run(model, [[5, 6, 7]]))[0]!, TOLERANCE);
    tf.dispose(inputs);
    model.dispose();
  });
});

describeGpu('padding on webgpu', () => {
  beforeAll(startWebGpu);

  it('a text in a batch is as alone, whether the host knows the mask or not', async () => {
    const texts = [
      [5, 6, 7, 8],
      [9, 10],
    ];
    const { ids, mask } = pad(texts, [0, 2], 4, 1);
    for (const model of [tinyGpt2(1, { n_layer: 1 }), tinyLlama(1, { num_hidden_layers: 1 })]) {
      await tf.setBackend('cpu');
      const alone = await Promise.all(texts.map(async (text) => (await run(model, [text]))[0]!));
      await tf.setBackend('webgpu');
      const onDevice = tf.tidy(() => tf.cast(tf.mul(tensor(mask), 1), 'int32') as tf.Tensor2D);
      const logits = tf.tidy(() => {
        const inputs = { inputIds: tensor(ids), attentionMask: onDevice };
        return tf.reshape(model.forward(inputs, { logits: 'last' }).logits, [2, -1]);
      });
      for (const together of [(await logits.array()) as number[][], await run(model, ids, mask)]) {
        for (const [i, expected] of alone.entries()) {
          expect(together[i]!).toBeAllclose(expected, { atol: 2e-4, rtol: 0 });
        }
      }
      tf.dispose([logits, onDevice]);
      model.dispose();
    }
  });
});
