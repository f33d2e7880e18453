// Sums over rows where the numbers lie on tfjs-wasm's heap, and where they do not.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { sumRows } from '../../src/model/matmul.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';

describe.each(BACKENDS)('sumRows on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('adds up columns of any matrix, a view of another tensor too', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 41 }), fc.integer({ min: 1, max: 33 }), async (rows, columns) => {
        const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 7.3) * 10);
        const expected = Float64Array.from({ length: columns }, (_, column) => {
          let sum = 0;
          for (let row = 0; row < rows; row++) sum += values[row * columns + column]!;
          return sum;
        });
        const before = tf.memory().numTensors;
        const flat = tf.tensor1d(values);
        const view = tf.reshape(flat, [rows, columns]) as tf.Tensor2D;
        const total = sumRows(view);
        expect(total.shape).toEqual([columns]);
        expect(await total.data()).toBeAllclose(expected, { rtol: 1e-5, atol: 1e-4 });
        expect(await flat.data()).toEqual(values);
        tf.dispose([flat, view, total]);
        expect(tf.memory().numTensors).toBe(before);
      }),
    );
  });
});
