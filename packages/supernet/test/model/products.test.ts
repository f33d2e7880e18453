// Attention on tfjs-wasm, product by product and batched: which one runs depends on the product kernel, what comes out does not.
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { matMulTied, sumRows, wantsPlainProducts } from '../../src/model/matmul.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';

const original = () => tf.getKernel('BatchMatMul', 'wasm')!;
let plain: ReturnType<typeof original>;
let calls = 0;

beforeAll(async () => {
  await useBackend('wasm');
  plain = original();
});

/** A kernel that says it is batched, as @hip/kernels-cpu's does; tfjs-wasm's own computes (slowly, batches and transposes too). */
function replaceProducts(): void {
  tf.unregisterKernel('BatchMatMul', 'wasm');
  const kernelFunc: tf.KernelFunc = (args) => {
    calls++;
    return plain.kernelFunc(args);
  };
  tf.registerKernel({ ...plain, kernelFunc: Object.assign(kernelFunc, { batched: true }) });
}

function restoreProducts(): void {
  if (original() === plain) return;
  tf.unregisterKernel('BatchMatMul', 'wasm');
  tf.registerKernel(plain);
}
afterEach(restoreProducts);

function random(shape: number[], seed: number): tf.Tensor {
  const next = new SeededRandom(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => next.next() - 0.5),
    shape,
  );
}

async function numbersOf(make: () => tf.Tensor[]): Promise<number[][]> {
  const tensors = tf.tidy(make);
  const numbers = await Promise.all(tensors.map(async (tensor) => [...(await tensor.data())]));
  tf.dispose(tensors);
  return numbers;
}

it('attention and its gradients are the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        batch: fc.integer({ min: 1, max: 2 }),
        rows: fc.integer({ min: 1, max: 7 }),
        more: fc.integer({ min: 0, max: 5 }),
        kvHeads: fc.integer({ min: 1, max: 2 }),
        group: fc.integer({ min: 1, max: 2 }),
        causal: fc.boolean(),
        padded: fc.boolean(),
        window: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
      }),
      async ({ batch, rows, more, kvHeads, group, causal, padded, window }) => {
        const keys = rows + more;
        const q = random([batch, rows, kvHeads * group, 8], 1);
        const [k, v] = [random([batch, keys, kvHeads, 8], 2), random([batch, keys, kvHeads, 8], 3)];
        const mask = tf.tensor2d(
          Int32Array.from({ length: batch * keys }, (_, i) => (i % keys === 0 || !padded || i % 3 > 0 ? 1 : 0)),
          [batch, keys],
          'int32',
        );
        const run = () =>
          numbersOf(() => {
            const attend = (...[a, b, c]: tf.Tensor4D[]) =>
              denseAttention(a!, b!, c!, {
                layer: 0,
                causal,
                scale: 0.3,
                queryOffset: more,
                ...(padded && { mask }),
                ...(window && causal && { window }),
              });
            const weighted = (...inputs: tf.Tensor[]) =>
              tf.sum(tf.mul(attend(...(inputs as tf.Tensor4D[])), random([batch, rows, kvHeads * group, 8], 4)));
            return [attend(...([q, k, v] as tf.Tensor4D[])), ...tf.grads(weighted)([q, k, v])];
          });
        restoreProducts();
        expect(wantsPlainProducts()).toBe(true);
        const single = await run();
        replaceProducts();
        expect(wantsPlainProducts()).toBe(false);
        const before = calls;
        const batched = await run();
        // Two products forward, twice, and four backward: none of them head by head.
        expect(calls - before).toBe(8);
        single.forEach((numbers, i) => numbers.forEach((x, j) => expect(batched[i]![j]).toBeCloseTo(x, 5)));
        tf.dispose([q, k, v, mask]);
      },
    ),
    {
      numRuns: 25,
      // One row of one sequence goes its own way.
      examples: [
        [{ batch: 1, rows: 1, more: 5, kvHeads: 2, group: 2, causal: true, padded: false, window: undefined }],
        [{ batch: 1, rows: 1, more: 5, kvHeads: 2, group: 1, causal: true, padded: true, window: 3 }],
        [{ batch: 1, rows: 1, more: 4, kvHeads: 1, group: 2, causal: false, padded: true, window: undefined }],
      ],
    },
  );
});

it('tied logits, their gradients and sums over rows are the same', async () => {
  const [x, table] = [random([5, 6], 1), random([9, 6], 2)];
  const run = () =>
    numbersOf(() => {
      const weighted = (a: tf.Tensor, b: tf.Tensor) =>
        tf.sum(tf.mul(matMulTied(a as tf.Tensor2D, b as tf.Tensor2D), random([5, 9], 3)));
      return [...tf.grads(weighted)([x, table]), sumRows(x as tf.Tensor2D), tf.sum(x, 0)];
    });
  const single = await run();
  replaceProducts();
  const batched = await run();
  single.forEach((numbers, i) => numbers.forEach((value, j) => expect(batched[i]![j]).toBeCloseTo(value, 6)));
  single[2]!.forEach((value, i) => expect(value).toBeCloseTo(single[3]![i]!, 6));
  tf.dispose([x, table]);
});
