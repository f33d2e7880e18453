// Weights as codes of 4 or 8 bits in blocks along the inputs, and back. What lies on a grid of 16 steps already, as out of GGUF, is kept.
import { floatsToHalves, halvesToFloats } from '@hip/checkpoints/platform';
import type { FloatName } from './graph.ts';
import type { Matrix } from './quantize.ts';
import { fitBlock, gridOf } from './fit-block.ts';

/** Codes in blocks, as MatMulNBits has them: w ≈ (code − zero) · scale + least. */
export interface BlockCodes {
  readonly bits: 4 | 8;
  /** [outputs, blocks, blockSize · bits / 8]; the first of two codes of 4 bits is the low one. */
  readonly codes: Uint8Array;
  /** [outputs, blocks]. */
  readonly scales: Float32Array;
  /** Of 4 bits: [outputs, ⌈blocks / 2⌉], two a byte; absent: 8, of 8 bits 128. */
  readonly zeros: Uint8Array | undefined;
  /** What is added to each weight of a block, [blocks, outputs]; absent: nothing. */
  readonly least: Float32Array | undefined;
}

/** How 4-bit codes are made. */
export interface BlockOptions {
  readonly blockSize: number;
  readonly symmetric: boolean;
  /** Blocks have a float besides their scale. */
  readonly minima: boolean;
  /** Type that floats are stored in. */
  readonly type: FloatName;
}

const NIBBLE_ZERO = 8;
const BYTE_ZERO = 128;

/** Numbers as they will be stored. */
function stored(numbers: Float32Array, type: FloatName): Float32Array {
  return type === 'float' ? numbers : halvesToFloats(floatsToHalves(numbers).buffer, 0, numbers.length);
}

/** Calls `action` with each block's values, which it must not keep: [outputs, blocks] in order. */
function eachBlock(
  { values, inputs, outputs, inputStride, outputStride }: Matrix,
  blockSize: number,
  action: (block: Float32Array, index: number, output: number, at: number) => boolean | void,
): void {
  const blocks = Math.ceil(inputs / blockSize);
  const own = new Float32Array(blockSize);
  for (let n = 0; n < outputs; n++) {
    for (let block = 0; block < blocks; block++) {
      const first = block * blockSize;
      const count = Math.min(inputs - first, blockSize);
      for (let i = 0; i < count; i++) own[i] = values[(first + i) * inputStride + n * outputStride] as number;
      const whole = count === blockSize ? own : own.subarray(0, count);
      if (action(whole, n * blocks + block, n, block) === false) return;
    }
  }
}

/**
 * 4-bit codes in blocks. Symmetric: the value of the largest magnitude becomes −8, so that the scale has its sign; else scale and zero
 * point (or least value) of the least squared error.
 */
export function quantizeBlocks(matrix: Matrix, { blockSize, symmetric, minima, type }: BlockOptions): BlockCodes {
  const { inputs, outputs } = matrix;
  const blocks = Math.ceil(inputs / blockSize);
  const codes = new Uint8Array((outputs * blocks * blockSize) / 2);
  const zeroBytes = Math.ceil(blocks / 2);
  const zeros = symmetric || minima ? undefined : new Uint8Array(outputs * zeroBytes);
  const exact = new Float32Array(outputs * blocks);
  const lows = new Float32Array(outputs * blocks);
  eachBlock(matrix, blockSize, (block, index) => {
    if (symmetric) {
      const [low, high] = extremes(block);
      exact[index] = (high > -low ? high : low) / -8;
      return;
    }
    const { scale, low } = fitBlock(block, minima);
    exact[index] = scale;
    lows[index] = low;
  });
  const scales = stored(exact, type);
  const least = minima ? new Float32Array(outputs * blocks) : undefined;
  eachBlock(matrix, blockSize, (block, index, n, at) => {
    const inverse = scales[index] === 0 ? 0 : 1 / (scales[index] as number);
    const low = lows[index] as number;
    const zero = symmetric || minima ? NIBBLE_ZERO : clamp(Math.round(-low * inverse));
    if (zeros) zeros[n * zeroBytes + (at >> 1)]! |= zero << (4 * (at & 1));
    // Codes of the least value are 0, of MatMulNBits' arithmetic −8.
    if (least) least[at * outputs + n] = low + NIBBLE_ZERO * (scales[index] as number);
    for (let i = 0; i < blockSize; i++) {
      const value = i < block.length ? (block[i] as number) : least ? low : 0;
      const code = least ? Math.round((value - low) * inverse) : Math.round(value * inverse) + zero;
      codes[(index * blockSize + i) >> 1]! |= clamp(code) << (4 * (i & 1));
    }
  });
  return { bits: 4, codes, scales, zeros, least: least && stored(least, type) };
}

/** 8-bit codes in blocks, symmetric around 128: those of GGUF's Q8_0 come out as they are. */
export function quantizeByteBlocks(
  matrix: Matrix,
  { blockSize, type }: Pick<BlockOptions, 'blockSize' | 'type'>,
): BlockCodes {
  const blocks = Math.ceil(matrix.inputs / blockSize);
  const codes = new Uint8Array(matrix.outputs * blocks * blockSize).fill(BYTE_ZERO);
  const exact = new Float32Array(matrix.outputs * blocks);
  eachBlock(matrix, blockSize, (block, index) => {
    const [low, high] = extremes(block);
    exact[index] = Math.max(high, -low) / 127;
  });
  const scales = stored(exact, type);
  eachBlock(matrix, blockSize, (block, index) => {
    const inverse = scales[index] === 0 ? 0 : 1 / (scales[index] as number);
    for (const [i, value] of block.entries()) {
      codes[index * blockSize + i] = BYTE_ZERO + Math.max(-127, Math.min(127, Math.round(value * inverse)));
    }
  });
  return { bits: 8, codes, scales, zeros: undefined, least: undefined };
}

/**
 * Whether the values lie on grids of 16 steps in blocks, of which whole zero points would say less: some blocks begin between two steps
 * from zero.
 */
export function needsMinima(matrix: Matrix, blockSize: number): boolean {
  let [isGrid, isBetween] = [true, false];
  eachBlock(matrix, blockSize, (block) => {
    if (!gridOf(block, true)) return (isGrid = false);
    isBetween ||= !gridOf(block, false);
    return undefined;
  });
  return isGrid && isBetween;
}

/** Values of codes, in the order of the matrix's values. */
export function dequantizeBlocks(
  { bits, codes, scales, zeros, least }: BlockCodes,
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
      const code = bits === 8 ? (codes[i] as number) : ((codes[i >> 1] as number) >> (4 * (i & 1))) & 15;
      const zero = zeros
        ? ((zeros[n * zeroBytes + (block >> 1)] as number) >> (4 * (block & 1))) & 15
        : 2 ** (bits - 1);
      const value = (code - zero) * (scales[index] as number) + (least?.[block * outputs + n] ?? 0);
      values[k * inputStride + n * outputStride] = value;
    }
  }
  return values;
}

function extremes(block: Float32Array): readonly [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const value of block) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function clamp(code: number): number {
  return Math.max(0, Math.min(15, code));
}
