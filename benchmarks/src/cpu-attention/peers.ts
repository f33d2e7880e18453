// What a user would run instead: onnxruntime's GroupQueryAttention (native, AVX-512), and dense attention out of tfjs-wasm operations.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { AttentionShape } from '@hip/mask-search';
import { Message } from '../../../packages/supernet/src/export/protobuf.ts';

const FLOAT = 1;
const INT32 = 6;

function value(name: string, type: number, dims: readonly (number | string)[]): Message {
  const shape = new Message();
  for (const dim of dims) {
    shape.message(1, typeof dim === 'number' ? new Message().integer(1, dim) : new Message().string(2, dim));
  }
  return new Message()
    .string(1, name)
    .message(2, new Message().message(1, new Message().integer(1, type).message(2, shape)));
}

function integerAttribute(name: string, n: number): Message {
  return new Message().string(1, name).integer(3, n).integer(20, 2);
}

/** A model of one causal GroupQueryAttention without past, positions or rotary embedding. */
function groupQueryAttentionModel({ heads, kvHeads, headDim }: AttentionShape): Uint8Array {
  const node = new Message();
  for (const name of ['q', 'k', 'v', '', '', 'lengths', 'total']) node.string(1, name);
  for (const name of ['out', 'present_k', 'present_v']) node.string(2, name);
  node.string(4, 'GroupQueryAttention');
  node.message(5, integerAttribute('num_heads', heads)).message(5, integerAttribute('kv_num_heads', kvHeads));
  node.string(7, 'com.microsoft');
  const graph = new Message().message(1, node).string(2, 'attention');
  const flat = (name: string, count: number): Message => value(name, FLOAT, ['batch', 'rows', count * headDim]);
  graph.message(11, flat('q', heads)).message(11, flat('k', kvHeads)).message(11, flat('v', kvHeads));
  graph.message(11, value('lengths', INT32, ['batch'])).message(11, value('total', INT32, []));
  graph.message(12, flat('out', heads));
  const opset = (domain: string, version: number): Message => new Message().string(1, domain).integer(2, version);
  return new Message()
    .integer(1, 8)
    .message(7, graph)
    .message(8, opset('', 17))
    .message(8, opset('com.microsoft', 1))
    .finish();
}

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
  const session = await InferenceSession.create(groupQueryAttentionModel(shape), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const feeds = {
    q: new Tensor('float32', q, [batch, queries, heads * headDim]),
    k: new Tensor('float32', k, [batch, keys, kvHeads * headDim]),
    v: new Tensor('float32', v, [batch, keys, kvHeads * headDim]),
    lengths: new Tensor('int32', new Int32Array(batch).fill(keys - 1), [batch]),
    total: new Tensor('int32', Int32Array.of(keys), []),
  };
  return {
    run: async () => (await session.run(feeds, ['out']))['out']!.data as Float32Array,
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
