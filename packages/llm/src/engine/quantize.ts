// Float rows as blocks of 32 values: 8 bits with a scale (Q8_0), 4 bits with a scale and a minimum (Q4_1), in ggml's layout.
import { decodeTensor, encodeFloats } from '@hip/checkpoints';

/** Values of a block. */
export const BLOCK = 32;

/** Q8_0: float16 scale, 32 signed bytes. Value = scale · byte. */
export function toQ8(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / BLOCK;
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    let most = 0;
    for (let i = 0; i < BLOCK; i++) most = Math.max(most, Math.abs(values[b * BLOCK + i] as number));
    scales[b] = most / 127;
  }
  const halves = encodeFloats(scales, 'F16');
  const rounded = floats16(halves);
  const out = new Uint8Array(blocks * 34);
  for (let b = 0; b < blocks; b++) {
    out.set(halves.subarray(2 * b, 2 * b + 2), b * 34);
    const inverse = reciprocal(rounded[b] as number);
    for (let i = 0; i < BLOCK; i++) {
      const value = Math.round((values[b * BLOCK + i] as number) * inverse);
      out[b * 34 + 2 + i] = Math.max(-127, Math.min(127, value)) & 255;
    }
  }
  return out;
}

/** Q4_1: float16 scale and minimum, 16 bytes that hold value i in the low and value i + 16 in the high half. Value = scale · n + minimum. */
export function toQ4(values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks = values.length / BLOCK;
  const pairs = new Float32Array(2 * blocks);
  for (let b = 0; b < blocks; b++) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < BLOCK; i++) {
      const value = values[b * BLOCK + i] as number;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    pairs[2 * b] = (high - low) / 15;
    pairs[2 * b + 1] = low;
  }
  const halves = encodeFloats(pairs, 'F16');
  const rounded = floats16(halves);
  const out = new Uint8Array(blocks * 20);
  for (let b = 0; b < blocks; b++) {
    out.set(halves.subarray(4 * b, 4 * b + 4), b * 20);
    const inverse = reciprocal(rounded[2 * b] as number);
    const low = rounded[2 * b + 1] as number;
    const nibble = (i: number) =>
      Math.max(0, Math.min(15, Math.round(((values[b * BLOCK + i] as number) - low) * inverse)));
    for (let i = 0; i < 16; i++) out[b * 20 + 4 + i] = nibble(i) | (nibble(i + 16) << 4);
  }
  return out;
}

function reciprocal(scale: number): number {
  return scale === 0 ? 0 : 1 / scale;
}

function floats16(bytes: Uint8Array<ArrayBuffer>): Float32Array {
  return decodeTensor(bytes, 'F16', 'scales') as Float32Array;
}
