// Drop-out on WebGPU: how many, which, and the gradient through the same places.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { dropOut } from '../../src/model/dropout.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const COLUMNS = 64;

describeGpu('drop-out', () => {
  beforeAll(startWebGpu);

  it('keeps about 1 − rate of the numbers, scaled, by the seed alone, and lets through the same gradients', () =>
    fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.05, max: 0.9, noNaN: true }),
        fc.integer({ min: 0, max: 2 ** 24 * 8191 }),
        fc.integer({ min: 16, max: 64 }),
        async (rate, seed, rows) => {
          const x = tf.ones([rows, COLUMNS]) as tf.Tensor2D;
          const of = (other: number) => (input: tf.Tensor) => dropOut(input as tf.Tensor2D, rate, other);
          const [once, again, others] = [of(seed)(x), of(seed)(x), of(seed + 1)(x)];
          const gradient = tf.grad(of(seed))(x, tf.fill(x.shape, 2));
          const read = async (tensor: tf.Tensor) => [...(await tensor.data())];
          const values = await read(once);
          const kept = values.filter((value) => value !== 0);
          for (const value of kept) expect(value).toBeCloseTo(1 / (1 - rate), 3);
          // Six standard deviations of a binomial count.
          const count = rows * COLUMNS;
          expect(Math.abs(kept.length - count * (1 - rate))).toBeLessThan(6 * Math.sqrt(count * rate * (1 - rate)));
          expect(await read(again)).toEqual(values);
          expect(await read(others)).not.toEqual(values);
          expect(await read(gradient)).toEqual(values.map((value) => 2 * value));
          tf.dispose([x, once, again, others, gradient]);
        },
      ),
      { numRuns: 8 },
    ));
});
