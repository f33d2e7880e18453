// Products of mixed precision: the kernel itself, with matrices that every device has, against sums on the host.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu, worstMismatch } from '@hip/testing';
import { halfProductCode, type MatrixSpelling } from '../../src/webgpu/half-product-code.ts';
import { multiplyHalves, planHalfProduct, whyNoHalfProducts } from '../../src/webgpu/half-products.ts';
import { startWebGpu } from '../helpers/webgpu.ts';

const EMULATED = 'array<f32, 256>';

function loader(kind: string, order: string, buffer: string): string {
  const at = order === 'row_major' ? 'r * stride + c' : 'c * stride + r';
  const halves = `unpack2x16float(${buffer}[i / 8u][(i % 8u) / 2u])[i % 2u]`;
  const [index, value] =
    kind === 'result'
      ? [`offset + ${at}`, `${buffer}[i]`]
      : [`offset * 8u + ${at.replace('stride', 'stride * 8u')}`, halves];
  return `fn load_${kind}_${order}(offset: u32, stride: u32) -> ${EMULATED} {
  var m: ${EMULATED};
  for (var r = 0u; r < 16u; r++) { for (var c = 0u; c < 16u; c++) { let i = ${index}; m[r * 16u + c] = ${value}; } }
  return m;
}`;
}

/** Every lane holds whole matrices: slow, but the same kernel. */
function emulated(bias: boolean): MatrixSpelling {
  const loads = ['left', 'right'].flatMap((kind) =>
    ['row_major', 'col_major'].map((order) => loader(kind, order, 'staged')),
  );
  return {
    enables: '',
    left: EMULATED,
    right: EMULATED,
    result: EMULATED,
    functions: [
      ...loads,
      bias ? loader('result', 'row_major', 'biases') : '',
      `fn multiply(a: ${EMULATED}, b: ${EMULATED}, c: ${EMULATED}) -> ${EMULATED} {
  var left = a; var right = b; var m = c;
  for (var i = 0u; i < 256u; i++) { for (var k = 0u; k < 16u; k++) { m[i] += left[i / 16u * 16u + k] * right[k * 16u + i % 16u]; } }
  return m;
}
fn store(offset: u32, value: ${EMULATED}, stride: u32, thread: u32) {
  var m = value;
  for (var i = thread % 32u; i < 256u; i += 32u) { result[offset + i / 16u * stride + i % 16u] = m[i]; }
}`,
    ].join('\n'),
    load: (kind, order, _, offset, stride) => `load_${kind}_${order}(${offset}, ${stride})`,
    multiplyAdd: (left, right, sum) => `multiply(${left}, ${right}, ${sum})`,
    store: (_, offset, value, stride) => `store(${offset}, ${value}, ${stride}, thread);`,
  };
}

/** Eighths of small numbers: float16 as they are. */
const rounded = (length: number, seed: number): Float32Array => {
  let state = seed * 2654435761 + 12345;
  const next = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % 64) / 8 - 4;
  return Float32Array.from({ length }, next);
};

describeGpu('products of mixed precision', () => {
  beforeAll(startWebGpu);

  it.each([
    [48, 16, 40, false, true, true, { rowSubgroups: 2, columnSubgroups: 1, rowMatrices: 1, columnMatrices: 1 }, 64],
    [16, 48, 75, true, false, true, { rowSubgroups: 1, columnSubgroups: 1, rowMatrices: 1, columnMatrices: 2 }, 32],
  ])(
    '%i × %i × %i, transposed %s %s, bias %s',
    async (rows, columns, inner, transposeA, transposeB, withBias, tile, part) => {
      const workgroups = [
        Math.ceil(columns / (16 * tile.columnSubgroups * tile.columnMatrices)),
        Math.ceil(rows / (16 * tile.rowSubgroups * tile.rowMatrices)),
        Math.ceil(inner / part),
      ] as const;
      const [left, right] = [rounded(rows * inner, 1), rounded(inner * columns, 2)];
      const added = rounded(columns, 3);
      const product = multiplyHalves(
        tf.tensor2d(left, transposeA ? [inner, rows] : [rows, inner]),
        tf.tensor2d(right, transposeB ? [columns, inner] : [inner, columns]),
        { transposeA, transposeB, bias: withBias ? tf.tensor1d(added) : undefined },
        { spelling: emulated(withBias && inner <= part), plan: { tile, workgroups, part } },
      );
      const values = (await product!.data()) as Float32Array;
      const expected = Float32Array.from({ length: rows * columns }, (_, cell) => {
        const [row, column] = [Math.floor(cell / columns), cell % columns];
        let sum = withBias ? added[column]! : 0;
        for (let k = 0; k < inner; k++) {
          sum +=
            left[transposeA ? k * rows + row : row * inner + k]! *
            right[transposeB ? column * inner + k : k * columns + column]!;
        }
        return sum;
      });
      expect(worstMismatch(values, expected, { rtol: 1e-5, atol: 1e-3 })).toBeUndefined();
    },
  );

  it('says why a device has none', () => {
    expect(whyNoHalfProducts()).toMatch(/chromium-experimental-subgroup-matrix|lanes/);
  });
});

it('plans cover every element once, and parts the whole inner extent', () => {
  const extent = fc.integer({ min: 1, max: 200 }).map((n) => 16 * n);
  fc.assert(
    fc.property(extent, extent, extent, fc.boolean(), fc.boolean(), (rows, columns, inner, transposeA, transposeB) => {
      const plan = planHalfProduct(rows, columns, inner, { transposeA, transposeB });
      if (!plan) return rows * columns * inner < 2 ** 20;
      const { tile, workgroups, part } = plan;
      const tileRows = 16 * tile.rowSubgroups * tile.rowMatrices;
      const tileColumns = 16 * tile.columnSubgroups * tile.columnMatrices;
      expect(workgroups[0] * tileColumns).toBeGreaterThanOrEqual(columns);
      expect((workgroups[0] - 1) * tileColumns).toBeLessThan(columns);
      expect(workgroups[1] * tileRows).toBeGreaterThanOrEqual(rows);
      expect((workgroups[1] - 1) * tileRows).toBeLessThan(rows);
      expect(workgroups[2] * part).toBeGreaterThanOrEqual(inner);
      expect((workgroups[2] - 1) * part).toBeLessThan(inner);
      return part % 32 === 0;
    }),
  );
});

it('shapes that matrices of 16 do not cover are left to tfjs', () => {
  const straight = { transposeA: false, transposeB: false };
  expect(planHalfProduct(1024, 1024, 1024, straight)).toBeDefined();
  expect(planHalfProduct(1000, 1024, 1024, straight)).toBeUndefined();
  expect(planHalfProduct(1024, 2, 1024, straight)).toBeUndefined();
  expect(planHalfProduct(1024, 1024, 1023, straight)).toBeUndefined();
  expect(planHalfProduct(1024, 1024, 1023, { transposeA: true, transposeB: false })).toBeDefined();
  expect(halfProductCode({ tile: planHalfProduct(64, 64, 256, straight)!.tile, ...straight, bias: false })).toMatch(
    /subgroupMatrixMultiplyAccumulate/,
  );
});
