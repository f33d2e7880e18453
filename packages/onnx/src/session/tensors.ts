// Tensors on the host: made from numbers, read as floats, and the shapes of caches that graphs ask for.
import { getFloat16, setFloat16 } from '@petamoriken/float16';
import { OnnxError } from '../errors.ts';
import type { CacheShape } from '../cut/cache-shapes.ts';
import type { OrtTensor, TensorClass } from '../runtime/ort.ts';

/** A tensor of numbers. @throws OnnxError `unsupported` for types that no decoder's inputs have */
export function hostTensor(
  Tensor: TensorClass,
  type: string,
  numbers: ArrayLike<number>,
  dims: readonly number[],
): OrtTensor {
  switch (type) {
    case 'int64':
      return new Tensor(
        type,
        BigInt64Array.from(numbers as ArrayLike<number> & Iterable<number>, (each) => BigInt(each)),
        dims,
      );
    case 'int32':
      return new Tensor(type, Int32Array.from(numbers), dims);
    case 'bool':
      return new Tensor(type, Uint8Array.from(numbers), dims);
    case 'float32':
      return new Tensor(type, Float32Array.from(numbers), dims);
    case 'float16':
      return feedable(new Tensor(type, halves(numbers), dims));
    default:
      throw new OnnxError('unsupported', `an input of type ${type}`, { type });
  }
}

/** onnxruntime-node does not take a tensor whose float16 are a Float16Array: the same memory as bits. */
export function feedable(tensor: OrtTensor): OrtTensor {
  if (tensor.type !== 'float16' || tensor.location !== 'cpu') return tensor;
  const { cpuData } = tensor as { cpuData?: ArrayBufferView };
  if (cpuData && !(cpuData instanceof Uint16Array)) {
    Object.assign(tensor, { cpuData: new Uint16Array(cpuData.buffer, cpuData.byteOffset, cpuData.byteLength / 2) });
  }
  return tensor;
}

/** float16 bits. */
export function halves(numbers: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(numbers.length);
  const view = new DataView(bits.buffer);
  for (let i = 0; i < numbers.length; i++) setFloat16(view, 2 * i, numbers[i]!, true);
  return bits;
}

/** Numbers of a float tensor on the host. */
export function floatsOf(type: string, data: unknown): Float32Array {
  if (data instanceof Float32Array) return data;
  if (type === 'float16' && ArrayBuffer.isView(data)) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    return Float32Array.from({ length: data.byteLength / 2 }, (_, i) => getFloat16(view, 2 * i, true));
  }
  throw new OnnxError('invalid-option', `keys and values are ${type}: give float32 or float16`, { type });
}

/** Integers of a tensor on the host. */
export function integersOf(tensor: OrtTensor): readonly number[] {
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}

/** 1 where a tensor on the host is not 0: masks are as long as their text, and are read with every token. */
export function tokenBits({ data }: OrtTensor): Uint8Array {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    // Halves of each: a text's numbers are not made to big integers one by one.
    const halves = new Int32Array(data.buffer, data.byteOffset, 2 * data.length);
    const bits = new Uint8Array(data.length);
    for (let i = 0; i < bits.length; i++) bits[i] = (halves[2 * i]! | halves[2 * i + 1]!) === 0 ? 0 : 1;
    return bits;
  }
  return Uint8Array.from(data as ArrayLike<number>, (value) => (value === 0 ? 0 : 1));
}

/** A shape that the graph asks for, int64. */
export function cacheShapeOf(
  Tensor: TensorClass,
  { tokens, axes, joined, start, end }: CacheShape,
  sizes: { readonly B: number; readonly H: number; readonly D: number; readonly past: number; readonly total: number },
): OrtTensor {
  const count = { past: sizes.past, new: sizes.total - sizes.past, whole: sizes.total }[tokens];
  const dims = [...(joined ? [2] : []), ...axes.map((axis) => (axis === 'S' ? count : sizes[axis]))];
  const part = dims.slice(start, end);
  return new Tensor('int64', BigInt64Array.from(part, BigInt), [part.length]);
}
