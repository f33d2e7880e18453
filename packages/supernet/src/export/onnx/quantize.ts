// Weights as 8-bit and 4-bit codes, and back: the arithmetic that the graph's operators undo.
import { floatsToHalves, halvesToFloats } from '@hip/checkpoints/platform';
import type { FloatName } from './graph.ts';

/** A matrix whose element of input k and output n is `values[k · inputStride + n · outputStride]`. */
export interface Matrix {
  readonly values: Float32Array;
  readonly inputs: number;
  readonly outputs: number;
  readonly inputStride: number;
  readonly outputStride: number;
}

/** Codes of 8 bits, one scale for each output: w ≈ (code − 128) · scale. */
export interface ByteCodes {
  /** In the order of the matrix's values. */
  readonly codes: Uint8Array;
  /** [outputs]. */
  readonly scales: Float32Array;
}

/** Codes of 4 bits in blocks along the inputs, as MatMulNBits has them: w ≈ (code − zero) · scale. */
export interface BlockCodes {
  /** [outputs, blocks, blockSize / 2]; the first of two codes is the low one. */
  readonly codes: Uint8Array;
  /** [outputs, blocks]. */
  readonly scales: Float32Array;
  /** [outputs, ⌈blocks / 2⌉], two a byte; absent: 8. */
  readonly zeros: Uint8Array | undefined;
}

/** The code that stands for zero. */
const BYTE_ZERO = 128;
const NIBBLE_ZERO = 8;

/** Scales as they will be stored. */
function stored(scales: Float32Array, type: FloatName): Float32Array {
  return type === 'float' ? scales : halvesToFloats(floatsToHalves(scales).buffer, 0, scales.length);
}

/** Symmetric 8-bit codes, per output channel. */
export function quantizeBytes({ values, inputs, outputs, inputStride, outputStride }: Matrix): ByteCodes {
  const scales = new Float32Array(outputs);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      const magnitude = Math.abs(values[at] as number);
      if (magnitude > (scales[n] as number)) scales[n] = magnitude;
    }
  }
  for (let n = 0; n < outputs; n++) scales[n] = (scales[n] as number) / 127;
  const codes = new Uint8Array(inputs * outputs);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      const scale = scales[n] as number;
      const code = scale > 0 ? Math.round((values[at] as number) / scale) : 0;
      codes[at] = BYTE_ZERO + Math.max(-127, Math.min(127, code));
    }
  }
  return { codes, scales };
}

/** Values of 8-bit codes, in the order of the codes. */
export function dequantizeBytes({ codes, scales }: ByteCodes, matrix: Omit<Matrix, 'values'>): Float32Array {
  const { inputs, outputs, inputStride, outputStride } = matrix;
  const values = new Float32Array(codes.length);
  for (let k = 0; k < inputs; k++) {
    for (let n = 0, at = k * inputStride; n < outputs; n++, at += outputStride) {
      values[at] = ((codes[at] as number) - BYTE_ZERO) * (scales[n] as number);
    }
  }
  return values;
}

/** How 4-bit codes are made. */
export interface BlockOptions {
  readonly blockSize: number;
  readonly symmetric: boolean;
  /** Type that scales are stored in. */
  readonly type: FloatName;
}

/**
 * 4-bit codes in blocks. Symmetric: the value of the largest magnitude becomes −8, so that the scale has its sign; else codes span the
 * block's least and largest value and zero.
 */
export function quantizeBlocks(matrix: Matrix, { blockSize, symmetric, type }: BlockOptions): BlockCodes {
  const { values, inputs, outputs, inputStride, outputStride } = matrix;
  const blocks = Math.ceil(inputs / blockSize);
  const codes = new Uint8Array((outputs * blocks * blockSize) / 2);
  const zeroBytes = Math.ceil(blocks / 2);
  const zeros = symmetric ? undefined : new Uint8Array(outputs * zeroBytes);
  const exact = new Float32Array(outputs * blocks);
  const lows = symmetric ? undefined : new Float32Array(outputs * blocks);
  for (let n = 0; n < outputs; n++) {
    for (let block = 0; block < blocks; block++) {
      let [low, high] = [0, 0];
      const end = Math.min(inputs, (block + 1) * blockSize);
      for (let k = block * blockSize; k < end; k++) {
        const value = values[k * inputStride + n * outputStride] as number;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      const index = n * blocks + block;
      exact[index] = symmetric ? (high > -low ? high : low) / -8 : (high - low) / 15;
      if (lows) lows[index] = low;
    }
  }
  const scales = stored(exact, type);
  for (let n = 0; n < outputs; n++) {
    for (let block = 0; block < blocks; block++) {
      const index = n * blocks + block;
      const inverse = scales[index] === 0 ? 0 : 1 / (scales[index] as number);
      const zero = lows ? clamp(Math.round(-(lows[index] as number) * inverse)) : NIBBLE_ZERO;
      if (zeros) zeros[n * zeroBytes + (block >> 1)]! |= zero << (4 * (block & 1));
      for (let i = 0; i < blockSize; i++) {
        const k = block * blockSize + i;
        const value = k < inputs ? (values[k * inputStride + n * outputStride] as number) : 0;
        codes[(index * blockSize + i) >> 1]! |= clamp(Math.round(value * inverse) + zero) << (4 * (i & 1));
      }
    }
  }
  return { codes, scales, zeros };
}

/** Values of 4-bit codes, in the order of the matrix's values. */
export function dequantizeBlocks(
  { codes, scales, zeros }: BlockCodes,
  { inputs, outputs, inputStride, outputStride }: Omit<Matrix, 'values'>,
  blockSize: number,
): Float32Array {
  const values = new Float32Array(inputs * outputs);
  const blocks = Math.ceil(inputs / blockSize);
  const zeroBytes = Math.ceil(blocks / 2);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) {
      const block = Math.floor(k / blockSize);
      const index = n * blocks + block;
      const i = index * blockSize + (k % blockSize);
      const code = ((codes[i >> 1] as number) >> (4 * (i & 1))) & 15;
      const zero = zeros ? ((zeros[n * zeroBytes + (block >> 1)] as number) >> (4 * (block & 1))) & 15 : NIBBLE_ZERO;
      values[k * inputStride + n * outputStride] = (code - zero) * (scales[index] as number);
    }
  }
  return values;
}

function clamp(code: number): number {
  return Math.max(0, Math.min(15, code));
}
