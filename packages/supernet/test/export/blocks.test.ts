// Weights in blocks of 4 and 8 bits: what lies on a grid already is kept to the bit, the rest errs less than by the block's extent alone.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeBlocks, needsMinima, quantizeBlocks, quantizeByteBlocks } from '../../src/export/onnx/blocks.ts';

const BLOCK = 32;
const OPTIONS = { blockSize: BLOCK, symmetric: false, minima: false, type: 'float' } as const;

/** A matrix of two outputs, of two blocks each, [inputs, outputs]. */
function matrixOf(block: (output: number, index: number) => (i: number) => number) {
  const [inputs, outputs] = [2 * BLOCK, 2];
  const values = new Float32Array(inputs * outputs);
  for (let n = 0; n < outputs; n++) {
    for (let b = 0; b < 2; b++) {
      const at = block(n, b);
      for (let i = 0; i < BLOCK; i++) values[(b * BLOCK + i) * outputs + n] = at(i);
    }
  }
  return { values, inputs, outputs, inputStride: outputs, outputStride: 1 };
}

const most = (a: Float32Array, b: Float32Array): number =>
  a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
const squares = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);

const code = fc.array(fc.integer({ min: 0, max: 15 }), { minLength: BLOCK, maxLength: BLOCK });
const codes = fc.array(code, { minLength: 4, maxLength: 4 });
/** Scales as float16 has them. */
const scale = fc.integer({ min: 1, max: 1000 }).map((n) => n / 4096);

describe('blocks', () => {
  it('of GGUF’s Q4_1 come out as they went in, with a least value of their own', () => {
    fc.assert(
      fc.property(codes, scale, fc.integer({ min: -4000, max: 0 }), (all, d, low) => {
        const matrix = matrixOf((n, b) => (i) => Math.fround(low / 1024 + d * all[2 * n + b]![i]!));
        const made = quantizeBlocks(matrix, { ...OPTIONS, minima: true });
        expect(most(dequantizeBlocks(made, matrix, BLOCK), matrix.values)).toBeLessThan(1e-5 * (1 + d * 16));
      }),
    );
  });

  it('of Q4_0 come out as they went in, with a zero point', () => {
    fc.assert(
      fc.property(codes, scale, (all, d) => {
        const matrix = matrixOf((n, b) => (i) => d * (all[2 * n + b]![i]! - 8));
        const made = quantizeBlocks(matrix, OPTIONS);
        expect(most(dequantizeBlocks(made, matrix, BLOCK), matrix.values)).toBeLessThan(1e-5);
        expect(needsMinima(matrix, BLOCK)).toBe(false);
      }),
    );
  });

  it('of Q8_0 come out as they went in', () => {
    const byte = fc.array(fc.integer({ min: -127, max: 127 }), { minLength: BLOCK - 1, maxLength: BLOCK - 1 });
    fc.assert(
      fc.property(fc.array(byte, { minLength: 4, maxLength: 4 }), scale, (all, d) => {
        const matrix = matrixOf((n, b) => (i) => d * (i === 0 ? 127 : all[2 * n + b]![i - 1]!));
        const made = quantizeByteBlocks(matrix, OPTIONS);
        expect(most(dequantizeBlocks(made, matrix, BLOCK), matrix.values)).toBeLessThan(1e-5 * (1 + d * 127));
      }),
    );
  });

  it('need least values where a grid begins between two steps from zero, and only there', () => {
    const grid = (low: number) => matrixOf(() => (i) => low + 0.25 * ((7 * i) % 16));
    expect(needsMinima(grid(-1.1), BLOCK)).toBe(true);
    expect(needsMinima(grid(-1.25), BLOCK)).toBe(false);
    expect(
      needsMinima(
        matrixOf((n) => (i) => Math.sin(i + n)),
        BLOCK,
      ),
    ).toBe(false);
  });

  it('of other weights err no more than by 16 steps from least to largest', () => {
    const numbers = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: BLOCK, maxLength: BLOCK });
    fc.assert(
      fc.property(fc.array(numbers, { minLength: 4, maxLength: 4 }), (all) => {
        const matrix = matrixOf((n, b) => (i) => all[2 * n + b]![i]!);
        const error = squares(dequantizeBlocks(quantizeBlocks(matrix, OPTIONS), matrix, BLOCK), matrix.values);
        const plain = all.flatMap((block) => {
          const [low, high] = [Math.min(0, ...block), Math.max(0, ...block)];
          const step = (high - low) / 15 || 1;
          const zero = Math.round(-low / step);
          return block.map((value) => {
            const at = Math.max(0, Math.min(15, Math.round(value / step) + zero));
            return value - (at - zero) * step;
          });
        });
        expect(error).toBeLessThanOrEqual(plain.reduce((sum, miss) => sum + miss * miss, 0) * (1 + 1e-4) + 1e-9);
      }),
    );
  });
});
