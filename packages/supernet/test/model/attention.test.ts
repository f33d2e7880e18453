// No row reads what it may not see: a key or value, not finite or larger than any mask, leaves every row before it, and every other text, as it was.
import '@hip/testing';
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { denseAttention } from '../../src/model/attention/dense.ts';
import type { AttentionContext } from '../../src/model/types.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama } from '../helpers/tiny.ts';

const SIZE = 4;

const cases = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  queries: fc.integer({ min: 1, max: 6 }),
  earlier: fc.integer({ min: 0, max: 6 }),
  kvHeads: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 2 }),
  causal: fc.boolean(),
  window: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  padded: fc.boolean(),
  biased: fc.boolean(),
  bad: fc.constantFrom(Number.NaN, Infinity, -Infinity, 1e10, -1e20, 1e30, -3e38),
  place: fc.nat(),
  inKeys: fc.boolean(),
});

function values(shape: readonly number[], seed: number): Float32Array {
  return Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(seed + i * (1 + seed)));
}

describe.each(BACKENDS)('dense attention on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('what is not finite, or vast, reaches the rows that see it, and no other', () =>
    fc.assert(
      fc.property(
        cases,
        ({ batch, queries, earlier, kvHeads, group, causal, window, padded, biased, bad, place, inKeys }) => {
          const keys = queries + earlier;
          const qShape: [number, number, number, number] = [batch, queries, kvHeads * group, SIZE];
          const kvShape: [number, number, number, number] = [batch, keys, kvHeads, SIZE];
          const biasShape: [number, number, number, number] = [batch, kvHeads * group, queries, keys];
          const bias = values(biasShape, 4);
          const [q, k, v] = [values(qShape, 1), values(kvShape, 2), values(kvShape, 3)];
          const mask = Int32Array.from({ length: batch * keys }, (_, i) => ((i * 7) % 3 === 0 && i % keys > 0 ? 0 : 1));
          const context: AttentionContext = { layer: 0, causal, scale: 0.6, queryOffset: earlier };
          const run = (keysIn: Float32Array, valuesIn: Float32Array) =>
            tf.tidy(() =>
              denseAttention(tf.tensor4d(q, qShape), tf.tensor4d(keysIn, kvShape), tf.tensor4d(valuesIn, kvShape), {
                ...context,
                ...(window && { window }),
                ...(biased && { bias: tf.tensor4d(bias, biasShape) }),
                ...(padded && { mask: tf.tensor2d(mask, [batch, keys], 'int32') }),
              }).dataSync(),
            ) as Float32Array;
          const before = run(k, v);
          const poisoned = [k.slice(), v.slice()] as const;
          const index = place % k.length;
          poisoned[inKeys ? 0 : 1][index] = bad;
          const after = run(...poisoned);
          const [b, key, kvHead] = [
            Math.floor(index / (keys * kvHeads * SIZE)),
            Math.floor(index / (kvHeads * SIZE)) % keys,
            Math.floor(index / SIZE) % kvHeads,
          ];
          let [seen, reached] = [0, 0];
          const changed: number[] = [];
          for (let i = 0; i < after.length; i++) {
            const [row, head] = [Math.floor(i / (kvHeads * group * SIZE)), Math.floor(i / SIZE) % (kvHeads * group)];
            const position = earlier + (row % queries);
            const sees = (other: number): boolean =>
              (!padded || mask[b * keys + other] !== 0) &&
              (!causal || other <= position) &&
              (!window || Math.abs(other - position) < window);
            const isOwn = Math.floor(row / queries) === b && Math.floor(head / group) === kvHead;
            if (isOwn && sees(key)) {
              seen++;
              if (!Number.isFinite(after[i])) reached++;
              continue;
            }
            // A row that sees nothing weighs all alike; numbers it stays.
            const isBlind = isOwn && !Array.from({ length: keys }, (_, other) => sees(other)).some(Boolean);
            if (isBlind ? !Number.isFinite(after[i]) : !(Math.abs(after[i]! - before[i]!) < 1e-5)) changed.push(i);
          }
          expect(changed, 'rows that do not see it').toEqual([]);
          // An infinite key may weigh nothing, and what is vast need not overflow; all else shows.
          const mayHide = Number.isFinite(bad) || (inKeys && !Number.isNaN(bad));
          expect(seen === 0 || reached > 0 || mayHide, 'rows that see it').toBe(true);
        },
      ),
      { numRuns: 200 },
    ));

  it('scores have the bias added and see as far as the window to either side', async () => {
    const [batch, tokens, heads, kvHeads, window, scale] = [2, 5, 4, 2, 3, 0.6];
    const [q, k, v] = [
      values([batch, tokens, heads, SIZE], 1),
      values([batch, tokens, kvHeads, SIZE], 2),
      values([batch, tokens, kvHeads, SIZE], 3),
    ];
    const bias = values([batch, heads, tokens, tokens], 4);
    const expected = Float32Array.from({ length: q.length }, (_, at) => {
      const [b, i, h, c] = [
        Math.floor(at / (tokens * heads * SIZE)),
        Math.floor(at / (heads * SIZE)) % tokens,
        Math.floor(at / SIZE) % heads,
        at % SIZE,
      ];
      const kv = Math.floor(h / 2);
      const seen = Array.from({ length: tokens }, (__, j) => j).filter((j) => Math.abs(i - j) < window);
      const weights = seen.map((j) => {
        let sum = bias[((b * heads + h) * tokens + i) * tokens + j]!;
        for (let x = 0; x < SIZE; x++)
          sum += q[((b * tokens + i) * heads + h) * SIZE + x]! * k[((b * tokens + j) * kvHeads + kv) * SIZE + x]!;
        return Math.exp(sum * scale);
      });
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return seen.reduce(
        (sum, j, n) => sum + (weights[n]! / total) * v[((b * tokens + j) * kvHeads + kv) * SIZE + c]!,
        0,
      );
    });
    const given = [
      tf.tensor4d(q, [batch, tokens, heads, SIZE]),
      tf.tensor4d(k, [batch, tokens, kvHeads, SIZE]),
      tf.tensor4d(v, [batch, tokens, kvHeads, SIZE]),
      tf.tensor4d(bias, [batch, heads, tokens, tokens]),
    ] as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
    const run = (...[a, b, c, added]: typeof given) =>
      denseAttention(a, b, c, { layer: 0, causal: false, scale, queryOffset: 0, window, bias: added });
    expect(await run(...given).data()).toBeAllclose(expected, { atol: 1e-5, rtol: 0 });
    // The bias' gradient along a direction, by differences.
    const along = values([batch, heads, tokens, tokens], 7);
    const loss = (step: number) =>
      tf.tidy(
        () =>
          tf
            .sum(
              tf.square(
                run(given[0], given[1], given[2], tf.add(given[3], tf.mul(tf.tensor4d(along, given[3].shape), step))),
              ),
            )
            .dataSync()[0]!,
      );
    const gradient = tf.grad((added: tf.Tensor) =>
      tf.sum(tf.square(run(given[0], given[1], given[2], added as tf.Tensor4D))),
    )(given[3]);
    const slope = ((await gradient.data()) as Float32Array).reduce((sum, value, i) => sum + value * along[i]!, 0);
    expect(slope).toBeCloseTo((loss(0.01) - loss(-0.01)) / 0.02, 3);
  });

  it('a token that is not finite leaves the tokens before it, and its neighbours, as they were', () => {
    const [llama, bert] = [tinyLlama(), tinyBert()];
    tf.tidy(() => {
      const ids = tf.tensor2d([5, 6, 7, 8, 9, 10], [1, 6], 'int32');
      const right = llama.forward({ inputIds: ids }).logits.dataSync();
      const table = llama.weights.get('embeddings.token.weight')!;
      const poisoned = table
        .dataSync()
        .slice()
        .fill(Number.NaN, 9 * 16, 10 * 16);
      table.assign(tf.tensor(poisoned, table.shape));
      const hidden = llama.forward({ inputIds: ids }, { logits: 'hidden' }).logits.dataSync();
      expect(hidden.slice(0, 4 * 16).every(Number.isFinite)).toBe(true);
      expect(hidden.slice(4 * 16).some(Number.isFinite)).toBe(false);
      expect(right.every(Number.isFinite)).toBe(true);
      // The padding of another text.
      const words = bert.weights.get('embeddings.token.weight')!;
      const batch = {
        inputIds: tf.tensor2d([5, 6, 7, 0, 8, 9, 10, 11], [2, 4], 'int32'),
        attentionMask: tf.tensor2d([1, 1, 1, 0, 1, 1, 1, 1], [2, 4], 'int32'),
      };
      const expected = bert.forward(batch).logits.dataSync();
      words.assign(tf.tensor(words.dataSync().slice().fill(Number.NaN, 0, 16), words.shape));
      expect(bert.forward(batch).logits.dataSync()).toBeAllclose(expected, { atol: 1e-5, rtol: 0 });
    });
    for (const model of [llama, bert]) model.dispose();
  });
});
