// The elements of one tensor, wherever they lie: in the model file, in a file beside it, in typed fields, or made by the caller.
import { OnnxError } from '../errors.ts';
import { bitsOf, bytesOf, dataTypeName } from './data-types.ts';
import type { TensorProto } from './types.ts';

/** A tensor's elements, read when they are asked for. */
export interface OnnxWeight {
  /** Bytes of all elements, little-endian, in C order; 4-bit elements two a byte, the first one low. */
  readonly byteLength: number;
  /**
   * Reads bytes of it.
   *
   * @param offset - in bytes @defaultValue 0
   * @param length - in bytes @defaultValue up to the end
   */
  read(offset?: number, length?: number): Promise<Uint8Array>;
}

/** Bytes as a weight. */
export function bytesWeight(bytes: Uint8Array): OnnxWeight {
  return {
    byteLength: bytes.byteLength,
    read: async (offset = 0, length = bytes.byteLength - offset) => bytes.subarray(offset, offset + length),
  };
}

/** Elements that are inside the message: raw_data, or the typed fields that small exporters use. */
export function embeddedWeight(tensor: TensorProto): OnnxWeight {
  const expected = bytesOf(tensor.dataType, tensor.dims, tensor.name);
  const bytes = tensor.rawData.byteLength > 0 ? tensor.rawData : typedBytes(tensor);
  if (bytes.byteLength !== expected) throw wrongSize(tensor, bytes.byteLength, expected);
  return bytesWeight(bytes);
}

/** The error for elements that are too many or too few. */
export function wrongSize(tensor: TensorProto, found: number, expected: number): OnnxError {
  const type = dataTypeName(tensor.dataType) ?? tensor.dataType;
  const message = `tensor ${tensor.name}: ${type} [${tensor.dims.join(', ')}] takes ${expected} bytes, there are ${found}`;
  return new OnnxError('invalid-model', message, { tensor: tensor.name, found, expected });
}

function typedBytes(tensor: TensorProto): Uint8Array {
  const bits = bitsOf(tensor.dataType, tensor.name);
  const { floatData, int32Data, int64Data, doubleData, uint64Data } = tensor;
  const view = (array: ArrayBufferView) => new Uint8Array(array.buffer);
  if (floatData.length > 0) return view(Float32Array.from(floatData));
  if (doubleData.length > 0) return view(Float64Array.from(doubleData));
  if (int64Data.length > 0) return view(BigInt64Array.from(int64Data));
  if (uint64Data.length > 0) {
    return view(bits === 32 ? Uint32Array.from(uint64Data, Number) : BigUint64Array.from(uint64Data));
  }
  // Elements of 16 bits and less: one in each number, those of 4 bits two.
  if (bits === 32) return view(Int32Array.from(int32Data));
  return view(bits === 16 ? Uint16Array.from(int32Data) : Uint8Array.from(int32Data));
}
