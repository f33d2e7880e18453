// Blocks that are made while loading, read back by the checkpoints package's dequantiser.
import fc from 'fast-check';
import { dequantize } from '@hip/checkpoints';
import { describe, expect, it } from 'vitest';
import { BLOCK, toQ4, toQ8 } from '../../src/engine/quantize.ts';

const blocks = fc
  .array(fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: BLOCK, maxLength: BLOCK }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((rows) => Float32Array.from(rows.flat()));

/** Largest error in a block, over its span. */
function errors(values: Float32Array, back: ArrayLike<number>, span: (block: Float32Array) => number): number[] {
  return Array.from({ length: values.length / BLOCK }, (_, b) => {
    const block = values.subarray(b * BLOCK, (b + 1) * BLOCK);
    const worst = block.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (back[b * BLOCK + i] as number))),
      0,
    );
    return worst / Math.max(span(block), 1e-3);
  });
}

describe('quantisation', () => {
  it('Q8_0 is off by half a step of 127 at most, and what float16 takes from the scale', () => {
    fc.assert(
      fc.property(blocks, (values) => {
        const most = (block: Float32Array) => Math.max(...block.map(Math.abs));
        for (const error of errors(values, dequantize(toQ8(values), 'Q8_0'), most)) {
          expect(error).toBeLessThan(0.5 / 127 + 2 ** -10);
        }
      }),
    );
  });

  it('Q4_1 is off by half a step of 15 at most, and what float16 takes from scale and minimum', () => {
    fc.assert(
      fc.property(blocks, (values) => {
        // Rounding the minimum counts by its size.
        const span = (block: Float32Array) =>
          Math.max(...block) - Math.min(...block) + Math.max(...block.map(Math.abs)) / 8;
        for (const error of errors(values, dequantize(toQ4(values), 'Q4_1'), span)) {
          expect(error).toBeLessThan(0.5 / 15 + 2 ** -6);
        }
      }),
    );
  });

  it('keeps zeros, constants and both ends of a block', () => {
    const zeros = new Float32Array(BLOCK);
    expect([...dequantize(toQ8(zeros), 'Q8_0')]).toEqual([...zeros]);
    expect([...dequantize(toQ4(zeros), 'Q4_1')]).toEqual([...zeros]);
    const constant = new Float32Array(BLOCK).fill(-1.5);
    expect([...dequantize(toQ4(constant), 'Q4_1')]).toEqual([...constant]);
    const ramp = Float32Array.from({ length: BLOCK }, (_, i) => (i % 16) - 4);
    expect([...dequantize(toQ4(ramp), 'Q4_1')]).toEqual([...ramp]);
  });
});
