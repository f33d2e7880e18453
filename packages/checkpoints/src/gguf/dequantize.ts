// Block types of GGUF to float32, bit for bit as ggml defines them: one rounding to float32, that of the stored sum or product.
import { CheckpointError } from '../errors.ts';
import { halfReader, type HalfReader } from '../half.ts';
import { decodeTensor } from '../safetensors/dtypes.ts';
import type { TensorData } from '../safetensors/dtypes.ts';
import { GGUF_TYPES } from './types.ts';
import type { GgufDtype } from './types.ts';

/** Writes the values of block `b`, which begins at byte `at`, from `out[to]` on. */
type BlockDecoder = (bytes: Uint8Array, half: HalfReader, at: number, out: Float32Array, to: number) => void;

/** 4-bit values: the low halves of 16 bytes are values 0…15, the high halves values 16…31. */
const q4 =
  (withMinimum: boolean): BlockDecoder =>
  (bytes, half, at, out, to) => {
    const d = half(at);
    const m = withMinimum ? half(at + 2) : 0;
    const qs = at + (withMinimum ? 4 : 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[qs + i] as number;
      if (withMinimum) {
        out[to + i] = d * (byte & 15) + m;
        out[to + 16 + i] = d * (byte >> 4) + m;
      } else {
        out[to + i] = d * ((byte & 15) - 8);
        out[to + 16 + i] = d * ((byte >> 4) - 8);
      }
    }
  };

/** 5-bit values: as 4-bit ones, with the fifth bit of value i in bit i of four bytes. */
const q5 =
  (withMinimum: boolean): BlockDecoder =>
  (bytes, half, at, out, to) => {
    const d = half(at);
    const m = withMinimum ? half(at + 2) : 0;
    const high = at + (withMinimum ? 4 : 2);
    const qs = high + 4;
    const bit = (i: number) => (((bytes[high + (i >> 3)] as number) >> (i & 7)) & 1) << 4;
    for (let i = 0; i < 16; i++) {
      const byte = bytes[qs + i] as number;
      const low = (byte & 15) | bit(i);
      const up = (byte >> 4) | bit(i + 16);
      if (withMinimum) {
        out[to + i] = d * low + m;
        out[to + 16 + i] = d * up + m;
      } else {
        out[to + i] = d * (low - 16);
        out[to + 16 + i] = d * (up - 16);
      }
    }
  };

const q8: BlockDecoder = (bytes, half, at, out, to) => {
  const d = half(at);
  for (let i = 0; i < 32; i++) out[to + i] = d * (((bytes[at + 2 + i] as number) << 24) >> 24);
};

/** Scale and minimum, 6 bits each, of sub-block j of 8, out of 12 bytes. */
function scaleAndMinimum(bytes: Uint8Array, at: number, j: number): readonly [scale: number, minimum: number] {
  const byte = (i: number) => bytes[at + i] as number;
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

/** 256 values in 8 sub-blocks of 32; bytes of 32 hold two sub-blocks, and bit j of high byte i the fifth bit of value i of sub-block j. */
const qk =
  (fiveBits: boolean): BlockDecoder =>
  (bytes, half, at, out, to) => {
    const d = half(at);
    const dmin = half(at + 2);
    const high = at + 16;
    const qs = high + (fiveBits ? 32 : 0);
    for (let j = 0; j < 8; j++) {
      const [scale, minimum] = scaleAndMinimum(bytes, at + 4, j);
      const step = d * scale;
      const offset = dmin * minimum;
      const shift = (j & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const low = ((bytes[qs + (j >> 1) * 32 + i] as number) >> shift) & 15;
        const q = fiveBits ? low | ((((bytes[high + i] as number) >> j) & 1) << 4) : low;
        out[to + j * 32 + i] = step * q - offset;
      }
    }
  };

/** 256 values in two halves of 128, each four rows of 32: 4 low bits, 2 high bits, an int8 scale for 16 values. */
const q6k: BlockDecoder = (bytes, half, at, out, to) => {
  const d = half(at + 208);
  for (let part = 0; part < 2; part++) {
    const low = at + part * 64;
    const high = at + 128 + part * 32;
    const scales = at + 192 + part * 8;
    for (let row = 0; row < 4; row++) {
      for (let i = 0; i < 32; i++) {
        const bits = ((bytes[low + (row & 1) * 32 + i] as number) >> ((row >> 1) * 4)) & 15;
        const q = (bits | ((((bytes[high + i] as number) >> (row * 2)) & 3) << 4)) - 32;
        const scale = ((bytes[scales + row * 2 + (i >> 4)] as number) << 24) >> 24;
        out[to + part * 128 + row * 32 + i] = d * scale * q;
      }
    }
  }
};

const DECODERS: Partial<Record<GgufDtype, BlockDecoder>> = {
  Q4_0: q4(false),
  Q4_1: q4(true),
  Q5_0: q5(false),
  Q5_1: q5(true),
  Q8_0: q8,
  Q4_K: qk(false),
  Q5_K: qk(true),
  Q6_K: q6k,
};

/**
 * Values of whole blocks as float32 (integers as int32).
 *
 * @param bytes - whole blocks of the type
 * @param name - the tensor's, for messages
 * @throws CheckpointError `invalid-gguf` for a piece of a block, `unsupported-dtype` for integers beyond 32 bits
 *
 * @example
 * ```ts
 * import { dequantize } from '@hip/checkpoints';
 *
 * const block = new Uint8Array(34).fill(3, 2); // f16 scale, 32 × int8
 * block.set([0x00, 0x38]); // the scale, 0.5
 * console.log([...dequantize(block, 'Q8_0').subarray(0, 2)]); // => [ 1.5, 1.5 ]
 * ```
 */
export function dequantize(bytes: Uint8Array<ArrayBuffer>, dtype: GgufDtype, name = 'the tensor'): TensorData {
  const { blockSize, blockBytes } = GGUF_TYPES[dtype];
  const blocks = bytes.byteLength / blockBytes;
  if (!Number.isInteger(blocks)) {
    const message = `${name}: ${bytes.byteLength} bytes are no whole number of ${dtype} blocks of ${blockBytes}`;
    throw new CheckpointError('invalid-gguf', message, { name, dtype, bytes: bytes.byteLength, blockBytes });
  }
  const decode = DECODERS[dtype];
  if (!decode) return decodeTensor(bytes, dtype as 'F32', name);
  const out = new Float32Array(blocks * blockSize);
  const half = halfReader(bytes);
  for (let b = 0; b < blocks; b++) decode(bytes, half, b * blockBytes, out, b * blockSize);
  return out;
}
