// Backends, random inputs and float64 oracles for the tests.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import type { AttentionShape } from '@hip/mask-search';
import { prepareAttention, type PreparedAttention } from '../src/index.ts';

export const BACKENDS = ['cpu', 'wasm'] as const;

/** float32 against float64: the kernels' stated deviation. */
export const TOLERANCE = { rtol: 3e-5, atol: 3e-6 };

/** A search small enough for the oracle, at lengths where it leaves keys out. */
export const SMALL = {
  k: 32,
  blockQ: 16,
  blockK: 8,
  window: 16,
  sink: 8,
  denseLayers: 0,
  stages: [
    { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound' },
    { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact' },
  ],
} as const;

export async function useBackend(name: (typeof BACKENDS)[number]): Promise<PreparedAttention> {
  setWasmPaths(join(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  await tf.setBackend(name);
  await tf.ready();
  return prepareAttention({ threads: 2 });
}

export interface Inputs {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

export function randomInputs(shape: AttentionShape, seed: number): Inputs {
  let state = seed + 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  };
  const fill = (rows: number, heads: number): Float32Array =>
    Float32Array.from({ length: shape.batch * rows * heads * shape.headDim }, () => 2 * next());
  return {
    q: fill(shape.queries, shape.heads),
    k: fill(shape.keys, shape.kvHeads),
    v: fill(shape.keys, shape.kvHeads),
  };
}

export function tensorsOf(
  { q, k, v }: Inputs,
  { batch, queries, keys, heads, kvHeads, headDim }: AttentionShape,
): readonly [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D] {
  return [
    tf.tensor4d(q, [batch, queries, heads, headDim]),
    tf.tensor4d(k, [batch, keys, kvHeads, headDim]),
    tf.tensor4d(v, [batch, keys, kvHeads, headDim]),
  ];
}
