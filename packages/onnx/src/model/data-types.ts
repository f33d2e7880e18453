// Element types of ONNX tensors: their numbers and how many bits an element takes.
import { OnnxError } from '../errors.ts';

/** TensorProto.DataType by name. */
export const DATA_TYPES = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
} as const;

/** Name of an element type. */
export type DataTypeName = keyof typeof DATA_TYPES;

// Indexed by the type's number; 0: no fixed size.
const BITS = [0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2];

const NAMES = new Map(Object.entries(DATA_TYPES).map(([name, number]) => [number, name as DataTypeName]));

/** The type's name, or undefined for a number that ONNX has not given out. */
export function dataTypeName(number: number): DataTypeName | undefined {
  return NAMES.get(number as (typeof DATA_TYPES)[DataTypeName]);
}

/** Bits that an element takes. @throws OnnxError `unsupported` for strings and unknown types */
export function bitsOf(dataType: number, tensor: string): number {
  const bits = BITS[dataType];
  if (bits) return bits;
  const name = dataTypeName(dataType) ?? `of number ${dataType}`;
  throw new OnnxError('unsupported', `tensor ${tensor}: elements ${name} have no bytes of a fixed size`, {
    tensor,
    dataType,
  });
}

/** Elements of a shape. @throws OnnxError `invalid-model` for negative dimensions and counts beyond 2^53 */
export function elementsOf(dims: readonly (number | bigint)[], tensor: string): number {
  const count = dims.reduce<number>((product, dim) => product * Number(dim), 1);
  if (dims.every((dim) => dim >= 0) && Number.isSafeInteger(count)) return count;
  throw new OnnxError('invalid-model', `tensor ${tensor}: shape [${dims.join(', ')}] is none that a tensor can have`, {
    tensor,
    dims: dims.map(Number),
  });
}

/** Bytes that a tensor's elements take, the last byte filled up. @throws OnnxError as {@link bitsOf} and {@link elementsOf} */
export function bytesOf(dataType: number, dims: readonly (number | bigint)[], tensor: string): number {
  return Math.ceil((elementsOf(dims, tensor) * bitsOf(dataType, tensor)) / 8);
}
