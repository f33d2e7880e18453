// AdamW against a float64 reference, and its state.
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import '@hip/testing';
import { AdamW } from '../../src/train/optimizer/adamw.ts';
import { accumulate } from '../../src/train/optimizer/gradients.ts';
import type { GradientSet } from '../../src/train/optimizer/gradients.ts';
import { SeededRandom } from '../../src/random.ts';
import { clippedStep, referenceAdamW } from '../helpers/adamw.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { tinyLlama, weightsOf } from '../helpers/tiny.ts';

const LINEAR = 'layers.0.ffn.up.weight';
const NORM = 'layers.0.ffn.norm.weight';

function gradientsFor(
  names: readonly string[],
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): GradientSet {
  const random = new SeededRandom(seed);
  return new Map(
    names.map((name) => {
      const shape = [...shapes.get(name)!];
      const size = shape.reduce((a, b) => a * b, 1);
      return [
        name,
        tf.tensor(
          Float32Array.from({ length: size }, () => random.next() - 0.4),
          shape,
        ),
      ];
    }),
  );
}

describe.each(BACKENDS)('AdamW on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('follows the reference, with and without decay, whatever the rates', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          beta1: fc.double({ min: 0, max: 0.95, noNaN: true }),
          beta2: fc.double({ min: 0.5, max: 0.999, noNaN: true }),
          epsilon: fc.constantFrom(1e-8, 1e-6, 1e-3),
          weightDecay: fc.constantFrom(0, 0.01, 0.3),
        }),
        fc.array(fc.double({ min: 1e-4, max: 0.05, noNaN: true }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 1000 }),
        async (options, rates, seed) => {
          const model = tinyLlama();
          const before = await weightsOf(model);
          const optimizer = new AdamW(model, options);
          const shapes = new Map(model.slots.map((slot) => [slot.name, slot.shape]));
          const seen: Record<string, number[][]> = { [LINEAR]: [], [NORM]: [] };
          for (const [step, rate] of rates.entries()) {
            const gradients = gradientsFor([LINEAR, NORM], shapes, seed + step);
            for (const [name, gradient] of gradients) seen[name]!.push([...(await gradient.data())]);
            optimizer.apply(gradients, rate);
            tf.dispose([...gradients.values()]);
          }
          const after = await weightsOf(model);
          for (const [name, weightDecay] of [
            [LINEAR, options.weightDecay],
            [NORM, 0],
          ] as const) {
            const expected = referenceAdamW(before.get(name)!, seen[name]!, rates, { ...options, weightDecay });
            after.get(name)!.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(4e-6));
          }
          const untouched = [...before].filter(([name]) => name !== LINEAR && name !== NORM);
          expect(untouched.map(([name]) => after.get(name))).toEqual(untouched.map(([, values]) => values));
          optimizer.dispose();
          model.dispose();
        },
      ),
      { numRuns: 20 },
    );
  });

  it.each([1e-3, 0.5, 1e9])('takes a gradient clipped to a norm of %s', async (limit) => {
    const { norm, reported, before, actual, expected } = await clippedStep(limit);
    expect(norm).toBeGreaterThan(0.5);
    expect(norm).toBeLessThan(1e9);
    expect(reported).toBeCloseTo(norm, 5);
    expect(expected.size).toBe(before.size);
    for (const [name, weight] of expected)
      expect(actual.get(name)!, name).toBeAllclose(weight, { rtol: 0, atol: 2e-6 });
  });

  it('scales by layer depth: embeddings least, head and final norm most', async () => {
    const model = tinyLlama(1, { tie_word_embeddings: false });
    const before = await weightsOf(model);
    const optimizer = new AdamW(model, { layerDecay: 0.5, weightDecay: 0 });
    const gradients = new Map(model.slots.map((slot) => [slot.name, tf.ones([...slot.shape])]));
    optimizer.apply(gradients, 0.01);
    const after = await weightsOf(model);
    // The first Adam step is lr·sign(g).
    const moved = (name: string) => before.get(name)![0]! - after.get(name)![0]!;
    expect(moved('head.weight')).toBeCloseTo(0.01, 5);
    expect(moved('norm.weight')).toBeCloseTo(0.01, 5);
    expect(moved('layers.1.ffn.up.weight')).toBeCloseTo(0.005, 5);
    expect(moved('layers.0.ffn.up.weight')).toBeCloseTo(0.0025, 5);
    expect(moved('embeddings.token.weight')).toBeCloseTo(0.00125, 5);
    tf.dispose([...gradients.values()]);
    optimizer.dispose();
    model.dispose();
  });

  it('leaves clones of weights and gradients alone', async () => {
    const model = tinyLlama();
    const optimizer = new AdamW(model);
    const weight = model.weights.get(LINEAR)!;
    const gradients = new Map([[LINEAR, tf.ones([...weight.shape])]]);
    const copies = [tf.clone(weight), tf.clone(gradients.get(LINEAR)!)];
    const before = await Promise.all(copies.map(async (copy) => [...(await copy.data())]));
    optimizer.apply(gradients, 0.1);
    accumulate(gradients, new Map([[LINEAR, tf.ones([...weight.shape])]]));
    expect(await Promise.all(copies.map(async (copy) => [...(await copy.data())]))).toEqual(before);
    expect((await weight.data())[0]).toBeCloseTo(before[0]![0]! * (1 - 0.1 * 0.01) - 0.1, 5);
    expect((await gradients.get(LINEAR)!.data())[0]).toBe(2);
    copies[0]!.dispose();
    optimizer.apply(gradients, 0.1);
    expect((await weight.data())[0]).toBeCloseTo(before[0]![0]! * (1 - 0.1 * 0.01) ** 2 - 0.2, 2);
    tf.dispose([...copies, ...gradients.values()]);
    optimizer.dispose();
    model.dispose();
  });

  it('goes on exactly from a saved state', async () => {
    const run = async (saveAt: number | undefined): Promise<Map<string, number[]>> => {
      const model = tinyLlama();
      const shapes = new Map(model.slots.map((slot) => [slot.name, slot.shape]));
      let optimizer = new AdamW(model, { layerDecay: 0.9 });
      for (let step = 0; step < 6; step++) {
        if (step === saveAt) {
          const state = await optimizer.state();
          const copy = new Map(
            [...state].map(([name, s]) => [name, { ...s, first: s.first.slice(), second: s.second.slice() }]),
          );
          optimizer.dispose();
          optimizer = new AdamW(model, { layerDecay: 0.9 });
          optimizer.restore(copy);
        }
        const gradients = gradientsFor([LINEAR, ...(step % 2 ? [NORM] : [])], shapes, step);
        optimizer.apply(gradients, 0.01, tf.scalar(0.7));
        tf.dispose([...gradients.values()]);
      }
      const weights = await weightsOf(model);
      optimizer.dispose();
      model.dispose();
      return weights;
    };
    const straight = await run(undefined);
    expect(await run(3)).toEqual(straight);
  });
});

describe('AdamW options', () => {
  it('names what is wrong', async () => {
    await useBackend('cpu');
    const model = tinyLlama();
    expect(() => new AdamW(model, { beta2: 1 })).toThrow(/beta2 = 1: expected 0 ≤ beta2 < 1/);
    const optimizer = new AdamW(model);
    const bad = new Map([['layers.9.x', { first: new Float32Array(1), second: new Float32Array(1), steps: 1 }]]);
    expect(() => optimizer.restore(bad)).toThrow(/layers\.9\.x does not fit/);
    model.dispose();
  });
});
