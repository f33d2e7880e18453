// Drop-out by place: where it is, that the seed alone draws it, and that gradients are those of the pass.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { denseAttention } from '../../src/model/attention/dense.ts';
import type { DropoutRates } from '../../src/model/dropout.ts';
import type { AttentionContext } from '../../src/model/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyInputs, tinyLlama } from '../helpers/tiny.ts';

const context: AttentionContext = { layer: 0, causal: false, scale: 0.5, queryOffset: 0 };

function values(model: TransformerModel, options: object): Float32Array {
  return tf.tidy(() => model.forward(tinyInputs(model), options).logits.dataSync().slice() as Float32Array);
}

describe.each(BACKENDS)('drop-out on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('of each place changes the logits of a training pass, by its seed alone, and of no other pass', () => {
    const model = tinyBert(1, { architectures: ['BertForSequenceClassification'], num_labels: 3 });
    const plain = values(model, {});
    for (const place of ['hidden', 'attention', 'classifier'] as const) {
      const dropout: DropoutRates = { [place]: 0.4 };
      const once = values(model, { training: true, dropout, seed: 7 });
      expect(once, place).not.toEqual(plain);
      expect(values(model, { training: true, dropout, seed: 7 }), place).toEqual(once);
      expect(values(model, { training: true, dropout, seed: 8 }), place).not.toEqual(once);
      expect(values(model, { dropout, seed: 7 }), place).toEqual(plain);
    }
    expect(values(model, { training: true, dropout: { hidden: 0.4 }, seed: 7 })).toEqual(
      values(model, { training: true, dropout: 0.4, seed: 7 }),
    );
    model.dispose();
  });

  it('of attention drops shares and scales the others: on average nothing changes', () => {
    const [q, k, v] = [1, 2, 3].map((seed) => tf.randomNormal([1, 4, 2, 3], 0, 1, 'float32', seed) as tf.Tensor4D);
    const plain = denseAttention(q!, k!, v!, context).dataSync();
    const sums = new Float64Array(plain.length);
    const draws = 400;
    for (let seed = 0; seed < draws; seed++) {
      const out = tf.tidy(() => denseAttention(q!, k!, v!, { ...context, dropout: { rate: 0.3, seed } }).dataSync());
      out.forEach((value, i) => (sums[i] = (sums[i] as number) + value / draws));
    }
    sums.forEach((value, i) => expect(Math.abs(value - (plain[i] as number))).toBeLessThan(0.25));
  });
});

it('the gradient of attention with drop-out is that of its own places', async () => {
  await useBackend('cpu');
  const of = (seed: number) => tf.randomNormal([2, 3, 2, 2], 0, 1, 'float32', seed) as tf.Tensor4D;
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 20 }),
      fc.constantFrom(0, 1, 2),
      fc.nat({ max: 23 }),
      (seed, which, at) => {
        const inputs = [of(1), of(2), of(3)] as const;
        const weigh = of(4);
        const run = (...given: tf.Tensor[]) => {
          const [q, k, v] = given as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
          return tf.sum(tf.mul(denseAttention(q, k, v, { ...context, dropout: { rate: 0.4, seed } }), weigh));
        };
        const gradient = tf
          .grads(run as never)(inputs as never)
          [which]!.dataSync()[at] as number;
        const moved = (by: number) => {
          const shift = tf.tensor(
            Float32Array.from({ length: 24 }, (_, i) => (i === at ? by : 0)),
            [2, 3, 2, 2],
          );
          return run(...inputs.map((input, i) => (i === which ? tf.add(input, shift) : input))).dataSync()[0] as number;
        };
        const h = 1 / 64;
        expect(Math.abs((moved(h) - moved(-h)) / (2 * h) - gradient)).toBeLessThan(5e-3 * (1 + Math.abs(gradient)));
      },
    ),
    { numRuns: 12 },
  );
});

it('drop-out of attention is refused where attention is not the dense one', async () => {
  await useBackend('cpu');
  const model = tinyLlama();
  const attention = (...all: Parameters<typeof denseAttention>) => denseAttention(...all);
  const pass = (dropout: number | DropoutRates, training = true) =>
    tf.tidy(() => model.forward(tinyInputs(model), { training, dropout, attention }).logits.size);
  expect(() => pass({ attention: 0.1 })).toThrow(expect.objectContaining({ code: 'invalid-option' }) as Error);
  expect(pass(0.1)).toBeGreaterThan(0);
  expect(pass({ attention: 0.1 }, false)).toBeGreaterThan(0);
  model.dispose();
});
