// What methods of one window share: dense layers before any sparse one, of the same sequence, call by call.
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, expect, it } from 'vitest';
import type { AttentionFunction } from '@instatune/supernet';
import { SharedLayers } from '../src/quality/shared-layers.ts';

beforeAll(() => tf.setBackend('cpu'));
const shared = new SharedLayers();
afterEach(() => shared.dispose());

/** An attention that answers with what it counts. */
function counting(calls: number[], answer: number): AttentionFunction {
  return (q, _k, _v, { layer }) => {
    calls.push(layer);
    return tf.fill(q.shape, answer + calls.length);
  };
}

/** Two calls for each of three layers. @returns the first number of each output */
function run(attention: AttentionFunction): number[] {
  return [0, 1, 2, 0, 1, 2].map((layer) => {
    const q = tf.zeros<tf.Rank.R4>([1, 1, 1, 1]);
    const out = attention(q, q, q, { layer, causal: true, scale: 1, queryOffset: 0 });
    const [value] = out.dataSync();
    tf.dispose([q, out]);
    return value!;
  });
}

it('layers that both methods leave dense are computed once', () => {
  const before = tf.memory().numTensors;
  const [first, second, other]: number[][] = [[], [], []];
  const a = run(shared.wrap(counting(first!, 100), 2, 'text'));
  expect(first).toEqual([0, 1, 2, 0, 1, 2]);
  const b = run(shared.wrap(counting(second!, 200), 1, 'text'));
  expect(second).toEqual([1, 2, 1, 2]);
  expect(b).toEqual([a[0], 201, 202, a[3], 203, 204]);
  run(shared.wrap(counting(other!, 300), 2, 'questions 4096'));
  expect(other).toHaveLength(6);
  // No layer is dense: nothing is shared.
  expect(run(shared.wrap(counting([], 400), 0, 'text'))).toEqual([401, 402, 403, 404, 405, 406]);
  shared.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
