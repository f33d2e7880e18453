// Float rows as blocks of 32 values: 8 bits with a scale (Q8_0), 4 bits with a scale and a minimum (Q4_1), in ggml's layout.
import { decodeTensor, encodeFloats } from '@hip/checkpoints';

/** Values of a block. */
export const BLOCK = 32;

/** Q8_0: float16 scale, 32 signed bytes. Value = scale · byte. A value that is no number makes its block none. */
export function toQ8(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / BLOCK;
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    let most = 0;
    let sum = 0;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
      const size = Math.abs(values[i] as number);
      if (size > most) most = size;
      sum += size;
    }
    scales[b] = (Number.isNaN(sum) ? sum : most) / 127;
  }
  const halves = encodeFloats(scales, 'F16');
  const rounded = floats16(halves);
  const out = new Uint8Array(blocks * 34);
  for (let b = 0; b < blocks; b++) {
    const to = b * 34;
    out[to] = halves[2 * b] as number;
    out[to + 1] = halves[2 * b + 1] as number;
    const inverse = reciprocal(rounded[b] as number);
    for (let i = 0; i < BLOCK; i++) {
      const value = (values[b * BLOCK + i] as number) * inverse;
      // Rounded half up, by truncating what is above 0.
      out[to + 2 + i] = value >= 127 ? 127 : value <= -127 ? 129 : ((value + 128.5) | 0) - 128;
    }
  }
  return out;
}

/**
 * Q4_1: float16 scale and minimum, 16 bytes that hold value i in the low and value i + 16 in the high half. Value = scale · n + minimum. A value
 * that is no number makes its block none.
 */
export function toQ4(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / BLOCK;
  const pairs = new Float32Array(2 * blocks);
  for (let b = 0; b < blocks; b++) {
    let low = Infinity;
    let high = -Infinity;
    let sum = 0;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
      const value = values[i] as number;
      if (value < low) low = value;
      if (value > high) high = value;
      sum += value;
    }
    pairs[2 * b] = (Number.isNaN(sum) ? sum : high - low) / 15;
    pairs[2 * b + 1] = Number.isNaN(sum) ? sum : low;
  }
  const halves = encodeFloats(pairs, 'F16');
  const rounded = floats16(halves);
  const out = new Uint8Array(blocks * 20);
  for (let b = 0; b < blocks; b++) {
    const to = b * 20;
    for (let i = 0; i < 4; i++) out[to + i] = halves[4 * b + i] as number;
    const inverse = reciprocal(rounded[2 * b] as number);
    const low = rounded[2 * b + 1] as number;
    for (let i = b * BLOCK; i < b * BLOCK + 16; i++) {
      const first = nibble(((values[i] as number) - low) * inverse);
      out[to + 4 + i - b * BLOCK] = first | (nibble(((values[i + 16] as number) - low) * inverse) << 4);
    }
  }
  return out;
}

/** The nearest of 0 … 15. */
function nibble(value: number): number {
  return value <= 0 ? 0 : value >= 15 ? 15 : (value + 0.5) | 0;
}

function reciprocal(scale: number): number {
  return scale === 0 ? 0 : 1 / scale;
}

function floats16(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  return decodeTensor(bytes, 'F16', 'scales') as Float32Array;
}
