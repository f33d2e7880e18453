// The WGSL kernels against the tfjs ops they replace: values and gradients on webgpu and on cpu agree.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu, worstMismatch } from '@hip/testing';
import { activate, gatedActivation } from '../../src/model/activations.ts';
import { denseAttention } from '../../src/model/attention/dense.ts';
import { embed, repeatRow } from '../../src/model/embedding.ts';
import { linear } from '../../src/model/matmul.ts';
import { layerNorm, rmsNorm } from '../../src/model/norms.ts';
import { applyRope } from '../../src/model/rope.ts';
import { accumulate, clipFactor, globalNorm } from '../../src/train/optimizer/gradients.ts';
import { createTargets } from '../../src/train/losses/targets.ts';
import { objectiveLoss } from '../../src/train/losses/losses.ts';
import { teacherDistribution } from '../../src/train/losses/distributions.ts';
import { startWebGpu, valuesOn } from '../helpers/webgpu.ts';

const TOLERANCE = { rtol: 2e-4, atol: 2e-5 };
const RUNS = { numRuns: 5 };

/** Repeatable values of mean 0; the same on every backend. */
function values(shape: number[], seed: number): tf.Tensor {
  let state = seed * 2654435761 + 12345;
  const next = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5) * 2;
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next), shape);
}

/** Outputs that differ between the backends: the value of f, and the gradients of its weighted sum in every input. */
async function mismatches(shapes: readonly number[][], f: (...inputs: tf.Tensor[]) => tf.Tensor): Promise<string[]> {
  const run = () => {
    const inputs = shapes.map((shape, i) => values(shape, i + 1));
    const out = f(...inputs);
    const dy = values(out.shape, 99);
    return [out, ...tf.grads(f)(inputs, dy)];
  };
  const expected = await valuesOn('cpu', run);
  const actual = await valuesOn('webgpu', run);
  return expected.flatMap((wanted, i) => {
    const worst = worstMismatch(actual[i] ?? [], wanted, TOLERANCE);
    return worst ? [`output ${i} at ${worst.index}: ${worst.actual}, expected ${worst.expected}`] : [];
  });
}

const size = (max: number) => fc.integer({ min: 1, max });

describeGpu('fused kernels', () => {
  beforeAll(startWebGpu);

  it('layer norm and RMS norm', () =>
    fc.assert(
      fc.asyncProperty(size(150), size(140), async (rows, columns) => {
        expect(
          await mismatches([[rows, columns], [columns], [columns]], (x, w, b) =>
            layerNorm(x as tf.Tensor2D, w as tf.Tensor1D, b as tf.Tensor1D, 1e-3),
          ),
        ).toEqual([]);
        expect(
          await mismatches([[rows, columns], [columns]], (x, w) => rmsNorm(x as tf.Tensor2D, w as tf.Tensor1D, 1e-3)),
        ).toEqual([]);
      }),
      RUNS,
    ));

  it('bias gradients over any number of rows', () =>
    fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 63, 255, 256, 257, 4200), size(70), async (rows, columns) => {
        expect(
          await mismatches([[rows, 3], [3, columns], [columns]], (x, w, b) =>
            linear(x as tf.Tensor2D, w as tf.Tensor2D, b as tf.Tensor1D),
          ),
        ).toEqual([]);
      }),
      RUNS,
    ));

  it.each(['gelu', 'gelu-tanh', 'silu', 'relu'] as const)('%s, alone and as a gate', async (activation) => {
    expect(await mismatches([[5, 33]], (x) => activate(tf.mul<tf.Tensor2D>(x, 4), activation))).toEqual([]);
    expect(
      await mismatches(
        [
          [5, 33],
          [5, 33],
        ],
        (gate, up) => gatedActivation(tf.mul<tf.Tensor2D>(gate, 4), up as tf.Tensor2D, activation),
      ),
    ).toEqual([]);
  });

  it('rotary embedding', async () => {
    expect(
      await mismatches([[2, 3, 4, 6]], (x) => {
        const table = (seed: number) => values([1, 3, 1, 6], seed) as tf.Tensor4D;
        return applyRope(x as tf.Tensor4D, { cos: table(5), sin: table(6) });
      }),
    ).toEqual([]);
    expect(
      await mismatches([[2, 3, 4, 6]], (x) => {
        const table = (seed: number) => values([2, 3, 1, 6], seed) as tf.Tensor4D;
        return applyRope(x as tf.Tensor4D, { cos: table(5), sin: table(6) });
      }),
    ).toEqual([]);
  });

  it('attention: what is not finite reaches the rows that see it, and no other', async () => {
    const [shape, mask] = [
      [2, 5, 2, 4],
      [1, 1, 1, 1, 1, 0, 1, 1, 1, 1],
    ];
    const run = (bad: number, where: 'k' | 'v', padded: boolean) => () => {
      const part = (name: string, seed: number) => {
        const data = values(shape, seed).dataSync().slice();
        // Token 3 of the first sequence, token 0 (padding) of the second; of each the first key head.
        if (name === where) for (const token of [3, 5]) data[token * 8] = bad;
        return tf.tensor4d(data, shape as [number, number, number, number]);
      };
      return [
        denseAttention(values([2, 5, 4, 4], 1) as tf.Tensor4D, part('k', 2), part('v', 3), {
          layer: 0,
          causal: true,
          scale: 0.7,
          queryOffset: 0,
          ...(padded && { mask: tf.tensor2d(mask, [2, 5], 'int32') }),
        }),
      ];
    };
    for (const where of ['k', 'v'] as const) {
      for (const padded of [false, true]) {
        const [right] = await valuesOn('cpu', run(0.5, where, padded));
        for (const bad of [Number.NaN, Infinity, -Infinity]) {
          const [found] = await valuesOn('webgpu', run(bad, where, padded));
          const wrong = [...found!.keys()].filter((i) => {
            const [sequence, row, head] = [Math.floor(i / 80), Math.floor(i / 16) % 5, Math.floor(i / 4) % 4];
            if (padded && sequence === 1 && row === 0) return false; // sees nothing
            const sees = head < 2 && (sequence === 0 ? row >= 3 : !padded);
            return sees ? !Number.isNaN(found![i]) : !(Math.abs(found![i]! - right![i]!) < 1e-4);
          });
          expect(wrong, `${bad} in ${where}`).toEqual([]);
        }
      }
    }
  });

  it('attention: grouped heads, causal, windows, padding, fewer queries than keys', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          batch: size(2),
          queries: size(5),
          earlier: fc.integer({ min: 0, max: 70 }),
          kvHeads: size(2),
          group: size(2),
          causal: fc.boolean(),
          window: fc.option(size(4), { nil: undefined }),
          padded: fc.boolean(),
        }),
        async ({ batch, queries, earlier, kvHeads, group, causal, window, padded }) => {
          const keys = queries + earlier;
          const q = [batch, queries, kvHeads * group, 4];
          const kv = [batch, keys, kvHeads, 4];
          const visible = (_: unknown, i: number) => (i % keys < keys - 1 - (i % 2) || i % keys === 0 ? 1 : 0);
          expect(
            await mismatches([q, kv, kv, [q[0]!, q[2]!, q[1]!, kv[1]!]], (a, b, c, d) =>
              denseAttention(a as tf.Tensor4D, b as tf.Tensor4D, c as tf.Tensor4D, {
                layer: 0,
                causal,
                scale: 0.7,
                queryOffset: earlier,
                ...(window && { window }),
                bias: d as tf.Tensor4D,
                ...(padded && {
                  mask: tf.tensor2d(Int32Array.from({ length: batch * keys }, visible), [batch, keys], 'int32'),
                }),
              }),
            ),
          ).toEqual([]);
        },
      ),
      RUNS,
    ));

  it('a row repeated for every example', async () => {
    expect(await mismatches([[70]], (row) => repeatRow(row as tf.Tensor1D, 130))).toEqual([]);
  });

  it('embedding gradients add up repeated ids', async () => {
    const ids = Int32Array.from({ length: 90 }, (_, i) => (i * i) % 7);
    expect(await mismatches([[9, 70]], (table) => embed(table as tf.Tensor2D, tf.tensor1d(ids, 'int32')))).toEqual([]);
  });

  it('embedding gradients of ids that come thousands of times, in rows wider than a workgroup', async () => {
    const ids = Int32Array.from({ length: 2900 }, (_, i) => (i % 3 === 0 ? 1 : (i * i) % 7));
    const f = (table: tf.Tensor) => embed(table as tf.Tensor2D, tf.tensor1d(ids, 'int32'));
    expect(await mismatches([[8, 300]], f)).toEqual([]);
  });

  it.each([
    { soft: 0, temperature: 1, ignored: false },
    { soft: 0.7, temperature: 1, ignored: true },
    { soft: 0.7, temperature: 2, ignored: false },
  ])('the objective with $soft of distillation, temperature $temperature', async ({ soft, temperature, ignored }) => {
    expect(
      await mismatches([[37, 150]], (z) => {
        const teacher = soft > 0 ? teacherDistribution(values([37, 150], 7) as tf.Tensor2D, temperature) : undefined;
        const labels = Int32Array.from({ length: 37 }, (_, i) => (ignored && i % 5 === 0 ? -1 : (i * 11) % 150));
        const terms = { hard: 0.3, soft, normalizer: 29, ...(teacher && { teacher }) };
        return objectiveLoss(z as tf.Tensor2D, createTargets(labels), terms);
      }),
    ).toEqual([]);
  });

  it('gradients add up in place, but not where another tensor reads the same memory', async () => {
    const sums = () => {
      const first = values([300], 1);
      const second = values([300], 2);
      const alias = tf.reshape(second, [3, 100]);
      const total = new Map([
        ['alone', first],
        ['seen', second],
      ]);
      const more = () =>
        new Map([
          ['alone', values([300], 3)],
          ['seen', values([300], 4)],
          ['new', values([300], 5)],
        ]);
      accumulate(total, more());
      accumulate(total, more());
      return [...total.values(), alias];
    };
    const expected = await valuesOn('cpu', sums);
    const actual = await valuesOn('webgpu', sums);
    for (const [i, wanted] of expected.entries())
      expect(worstMismatch(actual[i] ?? [], wanted, TOLERANCE)).toBeUndefined();
    expect(expected).toHaveLength(4);
    expect([...expected[3]!]).toEqual([...(await valuesOn('cpu', () => [values([300], 2)]))[0]!]);
  });

  it('the global norm and clipping by it', async () => {
    const run = () => [
      globalNorm(
        new Map(
          [[70_000], [3, 5], [1], [7], [300], [2], [9], [5], [4100]].map((shape, i) => [`w${i}`, values(shape, i)]),
        ),
      ),
    ];
    const [expected] = await valuesOn('cpu', run);
    const [actual] = await valuesOn('webgpu', run);
    expect(actual).toBeAllclose(expected!, { rtol: 1e-5 });
    const clipped = () => [0.5, 3, 40].map((norm) => clipFactor(tf.scalar(norm), 2));
    expect((await valuesOn('webgpu', clipped)).map(([factor]) => factor)).toBeAllclose([1, 2 / 3, 0.05]);
  });
});
