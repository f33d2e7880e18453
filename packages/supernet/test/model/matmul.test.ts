// Products against sums in doubles, whichever way round a backend takes them.
import fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { timesTransposed, transposedTimes } from '../../src/model/matmul.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';

const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));

describe.each(BACKENDS)('products on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('a matrix that is a factor in two shapes', async () => {
    const x = tf.tensor2d([1, 2, 3], [1, 3]);
    const table = tf.ones<tf.Rank.R2>([50, 3]);
    const two = tf.tensor2d([2], [1, 1]);
    const first = tf.tidy(() => tf.matMul(two, x));
    const second = tf.tidy(() => timesTransposed(x, table));
    const third = tf.tidy(() => tf.matMul(two, x));
    expect(await first.array()).toEqual([[2, 4, 6]]);
    expect(await second.array()).toEqual([Array.from({ length: 50 }, () => 6)]);
    expect(await third.array()).toEqual([[2, 4, 6]]);
    tf.dispose([x, table, two, first, second, third]);
  });

  it('a·bᵀ and aᵀ·b, of few rows and of many', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 5, 40),
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(1, 3, 64, 150),
        (rows, inner, columns) => {
          const [a, b] = [numbers(rows * inner, 1), numbers(columns * inner, 2)];
          const sum = (left: (k: number) => number, right: (k: number) => number, count: number) => {
            let total = 0;
            for (let k = 0; k < count; k++) total += left(k) * right(k);
            return total;
          };
          const product = tf.tidy(() =>
            timesTransposed(tf.tensor2d(a, [rows, inner]), tf.tensor2d(b, [columns, inner])),
          );
          expect(product.shape).toEqual([rows, columns]);
          const expected = Float64Array.from({ length: rows * columns }, (_, at) => {
            const [i, j] = [Math.floor(at / columns), at % columns];
            return sum(
              (k) => a[i * inner + k]!,
              (k) => b[j * inner + k]!,
              inner,
            );
          });
          expect(product.dataSync()).toBeAllclose(expected, { atol: 1e-5, rtol: 1e-5 });
          product.dispose();
          const other = tf.tidy(() => transposedTimes(tf.tensor2d(a, [rows, inner]), tf.tensor2d(a, [rows, inner])));
          const gram = Float64Array.from({ length: inner * inner }, (_, at) => {
            const [i, j] = [Math.floor(at / inner), at % inner];
            return sum(
              (k) => a[k * inner + i]!,
              (k) => a[k * inner + j]!,
              rows,
            );
          });
          expect(other.dataSync()).toBeAllclose(gram, { atol: 1e-5, rtol: 1e-5 });
          other.dispose();
        },
      ),
      { numRuns: 40 },
    );
  });
});
