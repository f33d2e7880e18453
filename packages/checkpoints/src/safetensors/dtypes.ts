// Element types of safetensors: sizes, decoding to the types tfjs computes in, and rounding to f16/bf16.
import { CheckpointError } from '../errors.ts';
import { floatsToHalves, halvesToFloats } from '../half.ts';
import { brief } from '../quote.ts';

/** Element types of the safetensors format with their size in bytes: half a byte for F4, three quarters for the types of 6 bits. */
export const DTYPE_BYTES = {
  BOOL: 1,
  F4: 0.5,
  F6_E2M3: 0.75,
  F6_E3M2: 0.75,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** Element type of a stored tensor. */
export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

/** Element types this package writes. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/** Decoded elements: floats as float32, integers as int32. */
export type TensorData = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** Decodes little-endian elements. 64-bit integers must fit 32 bits. @throws CheckpointError `unsupported-dtype`. */
export function decodeTensor(bytes: Uint8Array<ArrayBuffer>, dtype: SafetensorsDtype, name: string): TensorData {
  // The bytes are always a fresh copy, so the typed arrays below are aligned.
  const buffer = bytes.byteOffset === 0 ? bytes.buffer : bytes.slice().buffer;
  const count = bytes.byteLength / DTYPE_BYTES[dtype];
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, 0, count);
    case 'F16':
      return halvesToFloats(buffer, 0, count);
    case 'BF16':
      return decodeBf16(new Uint16Array(buffer, 0, count));
    case 'F64':
      return new Float32Array(new Float64Array(buffer, 0, count));
    case 'I32':
      return new Int32Array(buffer, 0, count);
    case 'I16':
      return new Int32Array(new Int16Array(buffer, 0, count));
    case 'U16':
      return new Int32Array(new Uint16Array(buffer, 0, count));
    case 'I8':
      return new Int32Array(new Int8Array(buffer, 0, count));
    case 'U8':
    case 'BOOL':
      return new Int32Array(new Uint8Array(buffer, 0, count));
    case 'I64':
      return narrow(new BigInt64Array(buffer, 0, count), name);
    case 'U32':
    case 'U64':
    case 'F4':
    case 'F6_E2M3':
    case 'F6_E3M2':
    case 'F8_E4M3':
    case 'F8_E5M2':
    case 'F8_E8M0':
    case 'F8_E4M3FNUZ':
    case 'F8_E5M2FNUZ':
    case 'C64':
      throw new CheckpointError(
        'unsupported-dtype',
        `tensor ${brief(name)} is ${dtype}, which is listed but not read: convert it to F32, F16 or BF16`,
        {
          name,
          dtype,
        },
      );
  }
}

/** Encodes float32 values; F16 and BF16 round to nearest even, beyond their range to infinity. */
export function encodeFloats(values: Float32Array, dtype: FloatDtype): Uint8Array<ArrayBuffer> {
  if (dtype === 'F32') return new Uint8Array(new Float32Array(values).buffer);
  if (dtype === 'F16') return floatsToHalves(values);
  const bits = new Uint32Array(new Float32Array(values).buffer);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const bit = bits[i] as number;
    // Keep NaNs quiet; otherwise round to nearest, ties to even, on the upper 16 bits.
    out[i] = (bit & 0x7fffffff) > 0x7f800000 ? (bit >>> 16) | 0x40 : (bit + 0x7fff + ((bit >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(out.buffer);
}

function decodeBf16(half: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(half.length);
  for (let i = 0; i < half.length; i++) bits[i] = (half[i] as number) << 16;
  return new Float32Array(bits.buffer);
}

function narrow(values: BigInt64Array, name: string): Int32Array<ArrayBuffer> {
  const out = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    if (value !== (value | 0)) {
      throw new CheckpointError('unsupported-dtype', `tensor ${brief(name)} holds ${value}, which does not fit int32`, {
        name,
        value,
      });
    }
    out[i] = value;
  }
  return out;
}
