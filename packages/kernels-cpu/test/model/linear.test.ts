// Products with stored matrices, and their rows, against float64 by the types' definitions.
import { afterAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { createCpuRuntime } from '../../src/index.ts';
import { WEIGHT_TYPES, type WeightType } from '../../src/model/types.ts';
import { randomTensor } from '../support.ts';
import { randomMatrix } from './oracle.ts';

const TYPES = Object.keys(WEIGHT_TYPES) as WeightType[];

/** x · wᵀ in float64, and the sum of the products' sizes, which rounding is a share of. */
function product(
  x: Float32Array,
  w: Float64Array,
  { rows, outputs, columns }: { readonly rows: number; readonly outputs: number; readonly columns: number },
): { readonly sums: Float64Array; readonly sizes: Float64Array } {
  const sums = new Float64Array(rows * outputs);
  const sizes = new Float64Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) {
      for (let c = 0; c < columns; c++) {
        const term = x[r * columns + c]! * w[o * columns + c]!;
        sums[r * outputs + o]! += term;
        sizes[r * outputs + o]! += Math.abs(term);
      }
    }
  }
  return { sums, sizes };
}

/** Largest error as a share of the sum of the products' sizes. */
function error(actual: Float32Array, expected: Float64Array, sizes: Float64Array): number {
  return actual.reduce((most, value, i) => {
    const off = Math.abs(value - expected[i]!) / (sizes[i]! + 1e-6);
    return off <= most ? most : off;
  }, 0);
}

describe.each(['plain', 'relaxed'] as const)('stored matrices, %s SIMD', async (simd) => {
  const cpu = await createCpuRuntime({ simd, threads: 2 });
  afterAll(() => cpu.close());

  it.each(TYPES)('%s: rows are the float32 numbers it stores, bit for bit', (type) => {
    const columns = WEIGHT_TYPES[type].values === 1 ? 53 : 512;
    const { bytes, values } = randomMatrix(type, 40, columns, 3);
    using w = cpu.createMatrix({ type, rows: 40, columns });
    w.write(0, bytes);
    const ids = Array.from({ length: 30 }, (_, i) => (i * 7) % 40);
    using out = cpu.createActivation(30 * columns);
    const expected = ids.flatMap((id) => [...values.subarray(id * columns, (id + 1) * columns)].map(Math.fround));
    cpu.embed(out, w, ids);
    expect([...out.view]).toEqual(expected);
    cpu.embed(out, w, Int32Array.from(ids.slice(0, 2)), { scale: 3 });
    expect([...out.view.subarray(0, 2 * columns)]).toEqual(
      expected.slice(0, 2 * columns).map((x) => Math.fround(3 * x)),
    );
  });

  it.each(TYPES)('%s: products of any number of rows', (type) => {
    const { values: size } = WEIGHT_TYPES[type];
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(1, 30, 70, 261)),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: size === 1 ? 150 : size === 32 ? 6 : 2 }),
        fc.boolean(),
        fc.boolean(),
        fc.nat(1000),
        (rows, outputs, blocks, withBias, add, seed) => {
          const columns = blocks * size;
          const shape = { rows, outputs, columns };
          const { bytes, values } = randomMatrix(type, outputs, columns, seed);
          const input = randomTensor(rows * columns, seed + 1);
          const { sums, sizes } = product(input, values, shape);
          const [bias, before] = [randomTensor(outputs, seed + 2), randomTensor(rows * outputs, seed + 3)];
          const expected = sums.map((sum, i) => sum + (withBias ? bias[i % outputs]! : 0) + (add ? before[i]! : 0));
          using w = cpu.createMatrix({ type, rows: outputs, columns });
          // In two parts: rows may come as they are read.
          const cut = Math.floor(outputs / 2) * (bytes.length / outputs);
          w.write(0, bytes.subarray(0, cut));
          w.write(Math.floor(outputs / 2), bytes.subarray(cut));
          using x = cpu.createActivation(rows * columns);
          using out = cpu.createActivation(rows * outputs);
          using b = cpu.createActivation(outputs);
          x.view.set(input);
          out.view.set(before);
          b.view.set(bias);
          cpu.linear(out, x, w, { rows, bias: withBias ? b : undefined, add });
          expect(
            error(
              out.view,
              expected,
              sizes.map((s) => s + 2),
            ),
          ).toBeLessThan(2e-5);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('several matrices of other types and widths with the same rows', () => {
    for (const rows of [1, 3, 40]) {
      const input = randomTensor(rows * 256, 8);
      using x = cpu.createActivation(rows * 256);
      x.view.set(input);
      const targets = (['Q4_1', 'Q6_K', 'F16', 'Q8_0'] as const).map((type, i) => {
        const outputs = [40, 7, 64, 21][i]!;
        const { bytes, values } = randomMatrix(type, outputs, 256, i);
        const matrix = cpu.createMatrix({ type, rows: outputs, columns: 256 });
        matrix.write(0, bytes);
        return { matrix, out: cpu.createActivation(rows * outputs), values };
      });
      cpu.linears(x, targets, { rows });
      for (const { matrix, out, values } of targets) {
        const { sums, sizes } = product(input, values, { rows, outputs: matrix.rows, columns: 256 });
        expect(error(out.view, sums, sizes)).toBeLessThan(2e-5);
        matrix.dispose();
        out.dispose();
      }
    }
  });

  it('halves that are not finite, as scales or as weights, reach their outputs and no others', () => {
    for (const type of TYPES.filter((each) => each !== 'F32')) {
      const columns = Math.max(64, WEIGHT_TYPES[type].values);
      const { bytes } = randomMatrix(type, 9, columns, 4);
      // Row 5 begins with a half; of Q6_K the block ends with it; bfloat16 has another infinity.
      const at = 5 * (bytes.length / 9) + (type === 'Q6_K' ? 208 : 0);
      for (const bits of type === 'BF16' ? [0x7f80, 0xffc0] : [0x7c00, 0xfc00, 0x7e01]) {
        new DataView(bytes.buffer).setUint16(at, bits, true);
        using w = cpu.createMatrix({ type, rows: 9, columns });
        w.write(0, bytes);
        using out = cpu.createActivation(12 * 9);
        for (const rows of [1, 12]) {
          using x = cpu.createActivation(rows * columns);
          x.view.fill(0.5);
          cpu.linear(out, x, w, { rows });
          expect([...out.view.subarray(0, 9)].map(Number.isFinite)).toEqual(
            Array.from({ length: 9 }, (_, i) => i !== 5),
          );
        }
        using row = cpu.createActivation(columns);
        cpu.embed(row, w, [5]);
        expect([...row.view].every(Number.isFinite)).toBe(false);
      }
    }
  });

  it('a number that is not finite reaches the outputs of its row and no others', () => {
    for (const type of TYPES) {
      const columns = Math.max(32, WEIGHT_TYPES[type].values);
      const { bytes } = randomMatrix(type, 9, columns, 4);
      using w = cpu.createMatrix({ type, rows: 9, columns });
      w.write(0, bytes);
      for (const rows of [2, 12]) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          using x = cpu.createActivation(rows * columns);
          using out = cpu.createActivation(rows * 9);
          x.view.fill(1);
          x.view[columns + 5] = bad;
          cpu.linear(out, x, w, { rows });
          expect([...out.view.subarray(9, 18)].some(Number.isFinite)).toBe(false);
          expect([...out.view.subarray(0, 9), ...out.view.subarray(18)].every(Number.isFinite)).toBe(true);
        }
      }
    }
  });
});
