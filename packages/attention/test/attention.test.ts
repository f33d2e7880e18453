import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import {
  blockSparseAttention,
  denseAttention as denseOracle,
  massRecall,
  searchBlockMask,
  type AttentionShape,
} from '@hip/mask-search';
import {
  BREAK_EVEN_KEYS,
  chooseDense,
  denseAttention,
  hipAttention,
  HipError,
  maskedAttention,
  type BlockMask,
  type DenseAttentionOptions,
  type PreparedAttention,
} from '../src/index.ts';
import { BACKENDS, randomInputs, SMALL, tensorsOf, TOLERANCE, useBackend } from './helpers.ts';

const shape: AttentionShape = { batch: 2, queries: 120, keys: 150, heads: 4, kvHeads: 2, headDim: 8 };
const inputs = randomInputs(shape, 1);

const VARIANTS: readonly (readonly [string, DenseAttentionOptions])[] = [
  ['causal', {}],
  ['not causal', { causal: false }],
  ['scale and soft-cap', { scale: 0.5, softcap: 2 }],
];

/** Runs a call on tensors of the inputs and returns its values; nothing is left behind. */
function values(
  call: (q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D) => tf.Tensor4D,
  of = inputs,
  as = shape,
): Float32Array {
  return tf.tidy(() => call(...tensorsOf(of, as)).dataSync() as Float32Array);
}

describe.each(BACKENDS)('on the %s backend', (backend) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend(backend);
  });
  afterAll(() => prepared.close());

  it.each(VARIANTS)('dense attention equals the float64 oracle: %s', (_, options) => {
    const expected = denseOracle(inputs.q, inputs.k, inputs.v, shape, options);
    expect(values((q, k, v) => denseAttention(q, k, v, options))).toBeAllclose(expected, TOLERANCE);
  });

  it.each(VARIANTS)(
    'HiP attention equals the oracle over its own mask, and that mask the reference search: %s',
    (_, options) => {
      let mask: BlockMask | undefined;
      const actual = values((q, k, v) =>
        hipAttention(q, k, v, { config: SMALL, dense: 'never', onMask: (found) => (mask = found), ...options }),
      );
      expect(mask).toEqual(searchBlockMask(inputs.q, inputs.k, shape, { ...SMALL, causal: options.causal ?? true }));
      const kept = massRecall(inputs.q, inputs.k, shape, mask!, { scale: options.scale, softcap: options.softcap });
      expect(kept).toBeLessThan(0.999);
      const expected = blockSparseAttention(inputs.q, inputs.k, inputs.v, shape, mask!, options);
      expect(actual).toBeAllclose(expected, TOLERANCE);
    },
  );

  it('takes causal from the configuration where the call does not say it', () => {
    const config = { ...SMALL, causal: false };
    let mask: BlockMask | undefined;
    const fromConfig = values((q, k, v) =>
      hipAttention(q, k, v, { config, dense: 'never', onMask: (found) => (mask = found) }),
    );
    expect(mask!.causal).toBe(false);
    expect(fromConfig).toEqual(
      values((q, k, v) => hipAttention(q, k, v, { config: SMALL, dense: 'never', causal: false })),
    );
    expect(fromConfig).not.toEqual(
      values((q, k, v) => hipAttention(q, k, v, { config, dense: 'never', causal: true })),
    );
  });

  it('attends over a mask that was found before', () => {
    const mask = searchBlockMask(inputs.q, inputs.k, shape, SMALL);
    expect(values((q, k, v) => maskedAttention(q, k, v, mask, { scale: 0.3 }))).toBeAllclose(
      blockSparseAttention(inputs.q, inputs.k, inputs.v, shape, mask, { scale: 0.3 }),
      TOLERANCE,
    );
  });

  it('a budget of all keys is dense attention, for any shape', () => {
    const shapes = fc.record({
      batch: fc.integer({ min: 1, max: 2 }),
      queries: fc.integer({ min: 1, max: 40 }),
      past: fc.integer({ min: 0, max: 40 }),
      kvHeads: fc.integer({ min: 1, max: 2 }),
      group: fc.integer({ min: 1, max: 3 }),
      headDim: fc.constantFrom(4, 8, 12),
      causal: fc.boolean(),
      seed: fc.nat(1000),
    });
    fc.assert(
      fc.property(shapes, ({ batch, queries, past, kvHeads, group, headDim, causal, seed }) => {
        const as = { batch, queries, keys: queries + past, heads: kvHeads * group, kvHeads, headDim };
        const of = randomInputs(as, seed);
        const options = { config: { ...SMALL, k: 80, stages: undefined }, causal } as const;
        const sparse = values((q, k, v) => hipAttention(q, k, v, { ...options, dense: 'never' }), of, as);
        expect(sparse).toBeAllclose(denseOracle(of.q, of.k, of.v, as, { causal }), TOLERANCE);
        // auto and always never search here.
        let searched = false;
        for (const dense of ['auto', 'always'] as const) {
          const run = values(
            (q, k, v) => hipAttention(q, k, v, { ...options, dense, onMask: () => (searched = true) }),
            of,
            as,
          );
          expect(run).toBeAllclose(sparse, TOLERANCE);
        }
        expect(searched).toBe(false);
      }),
      { numRuns: 25 },
    );
  });

  it('auto searches above the break-even', () => {
    const as = { batch: 1, queries: 4, keys: BREAK_EVEN_KEYS[backend] + 1, heads: 1, kvHeads: 1, headDim: 4 };
    const masks: BlockMask[] = [];
    values((q, k, v) => hipAttention(q, k, v, { onMask: (mask) => masks.push(mask) }), randomInputs(as, 3), as);
    expect(masks).toHaveLength(1);
  });

  it('gradients equal finite differences of the float64 oracle with the mask held fixed', () => {
    const weight = randomInputs(shape, 9).q;
    const mask = searchBlockMask(inputs.q, inputs.k, shape, SMALL);
    const kernels = {
      hip: (...[q, k, v]: tf.Tensor4D[]) => hipAttention(q!, k!, v!, { config: SMALL, dense: 'never' }),
      masked: (...[q, k, v]: tf.Tensor4D[]) => maskedAttention(q!, k!, v!, mask),
      dense: (...[q, k, v]: tf.Tensor4D[]) => denseAttention(q!, k!, v!),
    };
    for (const [name, kernel] of Object.entries(kernels)) {
      const arrays = [inputs.q, inputs.k, inputs.v].map((array) => Float64Array.from(array));
      const loss = (): number => {
        const [q, k, v] = arrays as [Float64Array, Float64Array, Float64Array];
        const out = name === 'dense' ? denseOracle(q, k, v, shape) : blockSparseAttention(q, k, v, shape, mask);
        return out.reduce((sum, value, i) => sum + value * weight[i]!, 0);
      };
      const gradients = tf.tidy(() =>
        tf
          .grads((...[q, k, v]: tf.Tensor[]) =>
            tf.sum(tf.mul(kernel(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D), tf.tensor(weight, q!.shape))),
          )([...tensorsOf(inputs, shape)])
          .map((gradient) => gradient.dataSync()),
      );
      gradients.forEach((gradient, which) => {
        const array = arrays[which]!;
        for (const at of [0, 7, gradient.length >> 1, gradient.length - 3]) {
          const old = array[at]!;
          array[at] = old + 1e-5;
          const up = loss();
          array[at] = old - 1e-5;
          const down = loss();
          array[at] = old;
          expect(gradient[at], `${name} of input ${which} at ${at}`).toBeCloseTo((up - down) / 2e-5, 3);
        }
      });
    }
  });

  it('leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    values((q, k, v) => hipAttention(q, k, v, { config: SMALL, dense: 'never' }));
    values((q, k, v) => denseAttention(q, k, v));
    expect(tf.memory().numTensors).toBe(before);
  });

  it('refuses shapes and configurations that make no sense, naming them', () => {
    const codeOf = (call: () => unknown): unknown => {
      try {
        tf.tidy(() => void call());
        return undefined;
      } catch (error) {
        return error instanceof HipError ? [error.code, error.message] : error;
      }
    };
    const q = tf.zeros<tf.Rank.R4>([1, 4, 3, 8]);
    const k = tf.zeros<tf.Rank.R4>([1, 4, 2, 8]);
    expect(codeOf(() => denseAttention(q, k, k))).toEqual([
      'invalid-shape',
      expect.stringContaining('heads must be a multiple of kvHeads') as string,
    ]);
    expect(codeOf(() => hipAttention(k, k, tf.zeros([1, 5, 2, 8])))).toEqual([
      'invalid-shape',
      expect.stringContaining('k and v must have the same shape') as string,
    ]);
    for (const dense of ['auto', 'never', 'always'] as const) {
      expect(codeOf(() => hipAttention(k, k, k, { dense, config: { k: 0 } }))).toEqual([
        'invalid-config',
        'k is 0: give an integer >= 1',
      ]);
    }
    const mask = searchBlockMask(inputs.q, inputs.k, shape, SMALL);
    expect(codeOf(() => maskedAttention(k, k, k, mask))).toEqual(['invalid-shape', expect.any(String) as string]);
    expect(codeOf(() => maskedAttention(k, k, k, undefined as unknown as BlockMask))).toEqual([
      'invalid-mask',
      'mask is undefined: give a BlockMask',
    ]);
    expect(codeOf(() => hipAttention(k, k, k, { dense: 'allways' as 'always' }))).toEqual([
      'invalid-config',
      'dense is allways: give one of auto, never, always',
    ]);
    for (const scale of [NaN, 0]) {
      expect(codeOf(() => denseAttention(k, k, k, { scale }))).toEqual([
        'invalid-config',
        `scale is ${scale}: give a positive number`,
      ]);
    }
    tf.dispose([q, k]);
    for (const wrong of [k, undefined, [[[[1]]]]] as unknown as tf.Tensor4D[])
      expect(codeOf(() => hipAttention(wrong, wrong, wrong))).toEqual([
        'unsupported',
        expect.stringMatching(/q is (disposed|no tensor)/) as string,
      ]);
  });
});

it('chooseDense: up to the break-even, and wherever every key would be kept', () => {
  expect(chooseDense(BREAK_EVEN_KEYS.wasm, 'wasm', 784)).toBe(true);
  expect(chooseDense(BREAK_EVEN_KEYS.wasm + 1, 'wasm', 784)).toBe(false);
  expect(chooseDense(9000, 'wasm', 9000)).toBe(true);
  expect(chooseDense(9001, 'wasm', 9000)).toBe(false);
});
