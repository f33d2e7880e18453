// The moving average and drop-out of attention on WebGPU, against the cpu's formulas.
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { dropped } from '../../src/model/dropout.ts';
import { WeightAverage } from '../../src/train/optimizer/average.ts';
import { tinyLlama, weightsOf } from '../helpers/tiny.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

describeGpu('training on webgpu', () => {
  beforeAll(startWebGpu);

  it('averages every weight, through a saved state', async () => {
    const model = tinyLlama(1);
    const before = await weightsOf(model);
    let average = new WeightAverage(model, { decay: 0.9 });
    for (const weight of model.weights.values()) tf.tidy(() => weight.assign(tf.add(tf.mul(weight, 0.5), 1)));
    average.update(200);
    const state = await average.state();
    average.dispose();
    average = new WeightAverage(model, { decay: 0.9 });
    average.restore(state);
    average.update(200);
    average.apply();
    for (const [name, values] of await weightsOf(model)) {
      values.forEach((value, i) => {
        const first = before.get(name)![i]!;
        const later = 0.5 * first + 1;
        expect(Math.abs(value - (0.81 * first + 0.19 * later))).toBeLessThan(1e-5);
      });
    }
    average.dispose();
    model.dispose();
  });

  it('attention multiplies values by the shares that are left, and so do its gradients', async () => {
    const of = (seed: number) => tf.randomNormal([1, 5, 1, 4], 0, 1, 'float32', seed) as tf.Tensor4D;
    const [q, k, v, weigh] = [of(1), of(2), of(3), of(4)] as const;
    const drop = { rate: 0.4, seed: 77 };
    const context = { layer: 0, causal: false, scale: 0.5, queryOffset: 0, dropout: drop };
    const rows = (x: tf.Tensor) => tf.reshape(x, [5, 4]) as tf.Tensor2D;
    const scores = tf.matMul(rows(q), rows(k), false, true);
    const shares = tf.softmax(tf.mul(scores, 0.5));
    const mask = dropped(tf.onesLike(shares), drop.rate, drop.seed);
    const byHand = (value: tf.Tensor) => tf.matMul(tf.mul(shares, mask) as tf.Tensor2D, rows(value));
    const own = tf.grad((x: tf.Tensor) => tf.sum(tf.mul(denseAttention(q, k, x as tf.Tensor4D, context), weigh)))(v);
    const theirs = tf.matMul(tf.mul(shares, mask) as tf.Tensor2D, rows(weigh), true);
    const pairs = [
      [denseAttention(q, k, v, context), byHand(v)],
      [own, theirs],
    ] as const;
    for (const [a, b] of pairs) {
      const [x, y] = [await a.data(), await b.data()];
      x.forEach((value, i) => expect(Math.abs(value - y[i]!)).toBeLessThan(1e-5));
    }
  });
});
