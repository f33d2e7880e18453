// What a user would run instead: onnxruntime's GroupQueryAttention (native, AVX-512), and dense attention out of tfjs-wasm operations.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { AttentionShape } from '@hip/mask-search';
import { groupQueryModel } from '@hip/onnx/model';

/** Read by onnxruntime when it makes the operator: 1 computes the whole score matrix, head by head, instead of tiles of it. */
const DISABLE_FLASH = 'ORT_GQA_DISABLE_FLASH_ATTENTION';

/**
 * Dense causal attention in onnxruntime-node on `threads` threads; queries = keys.
 *
 * @param options.flash its flash path, the default; without it, the whole score matrix in memory
 */
export async function onnxAttention(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  shape: AttentionShape,
  { threads, flash }: { readonly threads: number; readonly flash: boolean },
): Promise<{ run(): Promise<Float32Array>; close(): Promise<void> }> {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  process.env[DISABLE_FLASH] = flash ? '0' : '1';
  const session = await InferenceSession.create(await groupQueryModel({ ...shape, type: 'float' }), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const feeds = {
    query: new Tensor('float32', q, [batch, queries, heads * headDim]),
    key: new Tensor('float32', k, [batch, keys, kvHeads * headDim]),
    value: new Tensor('float32', v, [batch, keys, kvHeads * headDim]),
    seqlens_k: new Tensor('int32', new Int32Array(batch).fill(keys - 1), [batch]),
    total_sequence_length: new Tensor('int32', Int32Array.of(keys), []),
  };
  return {
    run: async () => (await session.run(feeds, ['output']))['output']!.data as Float32Array,
    close: () => session.release(),
  };
}

/** Dense causal attention written in tfjs operations on the wasm backend: what there is without a kernel. Materialises H·T² scores. */
export async function tfjsAttention(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  { batch, queries, heads, headDim }: AttentionShape,
): Promise<{ run(): Promise<Float32Array>; close(): void }> {
  setWasmPaths(join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  await tf.setBackend('wasm');
  await tf.ready();
  const inputs = [q, k, v].map((data) => tf.tensor4d(data, [batch, queries, heads, headDim]));
  const hidden = tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([queries, queries]), -1, 0)), -1e9));
  return {
    run: async () => {
      const out = tf.tidy(() => {
        const [a, b, c] = inputs.map((t) => tf.transpose(t, [0, 2, 1, 3])) as [tf.Tensor, tf.Tensor, tf.Tensor];
        const scores = tf.add(tf.mul(tf.matMul(a, b, false, true), 1 / Math.sqrt(headDim)), hidden);
        return tf.transpose(tf.matMul(tf.softmax(scores), c), [0, 2, 1, 3]);
      });
      const data = (await out.data()) as Float32Array;
      out.dispose();
      return data;
    },
    close: () => tf.dispose([...inputs, hidden]),
  };
}
