// Norms, rotation, gates and sums against float64.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createCpuRuntime, type Activation, type ActivationFunction } from '../../src/index.ts';
import { randomTensor } from '../support.ts';

/** The error function by its series and, where that cancels, its continued fraction. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 3) {
    let [term, sum] = [size, size];
    for (let n = 1; n < 80; n++) {
      term *= -(size * size) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = size;
  for (let n = 60; n > 0; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-size * size) / fraction / Math.sqrt(Math.PI));
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const FUNCTIONS: Record<ActivationFunction, (x: number) => number> = {
  identity: (x) => x,
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  'gelu-quick': (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(0, x),
  'relu-squared': (x) => Math.max(0, x) ** 2,
  sigmoid,
  tanh: Math.tanh,
};

const CLOSE = { rtol: 2e-6, atol: 1e-6 };

describe.each(['plain', 'relaxed'] as const)('operations on activations, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());
  const filled = (values: ArrayLike<number>): Activation => {
    const activation = cpu.createActivation(values.length);
    activation.view.set(values);
    return activation;
  };

  it.each(Object.keys(FUNCTIONS) as ActivationFunction[])('%s, with a factor and without', (activation) => {
    for (const length of [1, 7, 32, 20_003]) {
      const values = randomTensor(length, length).map((x) => x * 12);
      const factors = randomTensor(length, 5);
      const f = FUNCTIONS[activation];
      using x = filled(values);
      using up = filled(factors);
      using out = cpu.createActivation(length);
      cpu.gate(out, x, up, { length, activation });
      expect(out.view).toBeAllclose(
        Float64Array.from(values, (v, i) => f(v) * factors[i]!),
        CLOSE,
      );
      cpu.gate(x, x, undefined, { length, activation });
      expect(x.view).toBeAllclose(Float64Array.from(values, f), CLOSE);
    }
  });

  it.each(Object.keys(FUNCTIONS) as ActivationFunction[])('%s of the largest numbers and of NaN', (activation) => {
    const values = [3e38, -3e38, 1e4, -1e4, 100, -100, 0, 1e-30, NaN];
    using x = filled(values);
    cpu.gate(x, x, undefined, { length: values.length, activation });
    const actual = [...x.view];
    const wrong = values.filter((value, i) => {
      const expected = Math.fround(FUNCTIONS[activation](value));
      return !Object.is(actual[i], expected) && !(Math.abs(actual[i]! - expected) <= 2e-6 * (1 + Math.abs(expected)));
    });
    expect(wrong).toEqual([]);
  });

  it('norms of rows', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 5, 300),
        fc.integer({ min: 1, max: 90 }),
        fc.boolean(),
        fc.boolean(),
        (rows, width, unitOffset, plain) => {
          const [values, weights, offsets] = [
            randomTensor(rows * width, width),
            randomTensor(width, 3),
            randomTensor(width, 4),
          ];
          using x = filled(values);
          using weight = filled(weights);
          using bias = filled(offsets);
          using out = cpu.createActivation(rows * width);
          const epsilon = 1e-3;
          const expected = (centred: boolean): Float64Array =>
            Float64Array.from(values, (value, i) => {
              const row = values.subarray(i - (i % width), i - (i % width) + width);
              const mean = centred ? row.reduce((sum, v) => sum + v, 0) / width : 0;
              const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
              const factor = plain ? 1 : weights[i % width]! + (unitOffset ? 1 : 0);
              return (
                ((value - mean) / Math.sqrt(variance + epsilon)) * factor +
                (centred && !plain ? offsets[i % width]! : 0)
              );
            });
          const options = { rows, width, epsilon, unitOffset };
          cpu.layerNorm(out, x, plain ? undefined : weight, plain ? undefined : bias, options);
          expect(out.view).toBeAllclose(expected(true), { rtol: 2e-5, atol: 2e-5 });
          cpu.rmsNorm(x, x, plain ? undefined : weight, options);
          expect(x.view).toBeAllclose(expected(false), { rtol: 2e-6, atol: 2e-6 });
        },
      ),
      { numRuns: 25 },
    );
  });

  it('rotation of halves and of neighbours, whole heads or their first numbers', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 3, 130),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(9),
        fc.boolean(),
        (rows, heads, half, rest, interleaved) => {
          const rotaryDim = 2 * half;
          const headDim = rotaryDim + rest;
          const values = randomTensor(rows * heads * headDim, half);
          const angles = randomTensor(rows * half, rest);
          using x = filled(values);
          using cos = filled(angles.map(Math.cos));
          using sin = filled(angles.map(Math.sin));
          const expected = Float64Array.from(values);
          for (let r = 0; r < rows; r++) {
            for (let h = 0; h < heads; h++) {
              for (let i = 0; i < half; i++) {
                const at = (r * heads + h) * headDim;
                const [first, second] = interleaved ? [at + 2 * i, at + 2 * i + 1] : [at + i, at + half + i];
                const [c, s] = [cos.view[r * half + i]!, sin.view[r * half + i]!];
                expected[first] = values[first]! * c - values[second]! * s;
                expected[second] = values[second]! * c + values[first]! * s;
              }
            }
          }
          cpu.rotate(x, { rows, heads, headDim, rotaryDim, cos, sin, interleaved });
          expect(x.view).toBeAllclose(expected, CLOSE);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('soft-cap, sums and products', () => {
    const values = randomTensor(40_001, 2).map((x) => x * 80);
    const others = randomTensor(40_001, 3);
    using x = filled(values);
    using out = filled(others);
    cpu.addScaled(out, x, { length: 40_001, scale: 0.5 });
    expect(out.view).toBeAllclose(
      Float64Array.from(others, (v, i) => v + 0.5 * values[i]!),
      CLOSE,
    );
    cpu.addScaled(out, x, { length: 3 });
    cpu.softcap(x, { length: 40_001, cap: 30 });
    expect(x.view).toBeAllclose(
      Float64Array.from(values, (v) => 30 * Math.tanh(v / 30)),
      { rtol: 2e-6, atol: 5e-6 },
    );
    cpu.scale(x.slice(1, 2), { length: 2, factor: 4 });
    expect(x.view[1]).toBeCloseTo(120 * Math.tanh(values[1]! / 30), 3);
    expect(x.view[3]).toBeCloseTo(30 * Math.tanh(values[3]! / 30), 3);
  });
});
