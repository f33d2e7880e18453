// Reading and writing safetensors: one tensor at a time from any byte source, and streaming out.
import { elementCount } from '../shape.ts';
import { CheckpointError } from '../errors.ts';
import type { ByteSource } from '../files/byte-source.ts';
import { closeOnError } from '../files/access.ts';
import { memorySource } from '../files/byte-source.ts';
import { brief } from '../quote.ts';
import { DTYPE_BYTES, decodeTensor, encodeFloats } from './dtypes.ts';
import type { FloatDtype, TensorData } from './dtypes.ts';
import { encodeHeader, headerLength, parseHeader } from './safetensors-header.ts';
import type { TensorInfo } from './safetensors-header.ts';
import { requireStorable } from './storable.ts';
import { rowRange } from '../weights/raw.ts';
import type { RawTensor, ReadRawOptions } from '../weights/raw.ts';

/** A tensor decoded to float32 (or int32 for integer types). */
export interface LoadedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** An open safetensors file: the header is read and checked, tensors are read on request. */
export interface SafetensorsFile {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** @throws CheckpointError `missing-weight` for an unknown name. */
  read(name: string): Promise<LoadedTensor>;
  /** A tensor's bytes, whole or some rows. @throws CheckpointError `missing-weight`, `invalid-shape` for rows it lacks */
  readRaw(name: string, options?: ReadRawOptions): Promise<RawTensor>;
  close(): Promise<void>;
}

/**
 * Opens a safetensors file. The whole header is validated against the format: length limit, UTF-8, JSON, unique names, known
 * dtypes, sizes, and a data section without gaps, overlaps or trailing bytes.
 *
 * Where that fails the source is closed. Types that are listed but not decoded (F8, F6, F4, C64, …) are refused by `read`; `readRaw` gives
 * their bytes.
 *
 * @throws CheckpointError `invalid-safetensors` with `details.damage`, and what reading throws
 *
 * @example
 * ```ts
 * import { openSafetensors, writeSafetensors } from '@hip/checkpoints';
 *
 * const bytes = writeSafetensors([{ name: 'x', shape: [2], data: new Float32Array([1, 2]) }]);
 * const file = await openSafetensors(bytes);
 * console.log((await file.read('x')).data); // => Float32Array(2) [ 1, 2 ]
 * ```
 */
export async function openSafetensors(input: ByteSource | Uint8Array): Promise<SafetensorsFile> {
  const source = input instanceof Uint8Array ? memorySource(input) : input;
  const { dataStart, header } = await closeOnError(source, async () => {
    const length = headerLength(await source.read(0, Math.min(8, source.size)), source.size, source.name);
    const bytes = await source.read(8, length);
    return { dataStart: 8 + length, header: parseHeader(bytes, source.size - 8 - length, source.name) };
  });
  const readRaw = async (name: string, options: ReadRawOptions = {}): Promise<RawTensor> => {
    const info = header.tensors.get(name);
    if (!info) throw new CheckpointError('missing-weight', `${source.name} has no tensor ${brief(name)}`, { name });
    const { shape, begin, byteLength } = rowRange({ ...info, byteLength: info.end - info.begin }, options.rows);
    const bytes = await source.read(dataStart + info.begin + begin, byteLength, options.into);
    return { name, dtype: info.dtype, shape, bytes };
  };
  return {
    name: source.name,
    ...header,
    readRaw,
    read: async (name) => {
      const { bytes, shape } = await readRaw(name);
      return { name, shape, data: decodeTensor(bytes, header.tensors.get(name)!.dtype, name) };
    },
    close: () => source.close(),
  };
}

/** A tensor to write. */
export interface TensorToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
  /** @defaultValue 'F32'; int32 data is always written as I32 */
  readonly dtype?: FloatDtype;
}

/** Bytes of {@link TensorToWrite} in a file. */
export function tensorBytes({ shape, data, dtype }: TensorToWrite): number {
  return shape.reduce(
    (size, extent) => size * extent,
    DTYPE_BYTES[data instanceof Int32Array ? 'I32' : (dtype ?? 'F32')],
  );
}

/**
 * The file as a sequence of chunks, one tensor encoded at a time: write them to disk without holding the file.
 *
 * @throws CheckpointError `invalid-shape`, `unsupported-dtype` (of another dtype, or too large for F16), before the first chunk
 */
export function* safetensorsChunks(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Generator<Uint8Array> {
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  let position = 0;
  for (const tensor of tensors) {
    const { name, shape, data } = tensor;
    if (names.has(name) || name === '__metadata__') {
      throw new CheckpointError('invalid-shape', `tensor name ${name} is used twice or reserved`, { name });
    }
    names.add(name);
    const count = elementCount(shape);
    if (count !== data.length) {
      throw new CheckpointError('invalid-shape', `tensor ${name} [${shape.join(', ')}] has ${data.length} elements`, {
        name,
        shape,
        length: data.length,
      });
    }
    if (data instanceof Float32Array) requireStorable(name, data, tensor.dtype ?? 'F32');
    const end = position + tensorBytes(tensor);
    const dtype = data instanceof Int32Array ? 'I32' : (tensor.dtype ?? 'F32');
    infos.push({ name, dtype, shape, begin: position, end });
    position = end;
  }
  yield encodeHeader(infos, metadata);
  for (const { data, dtype } of tensors) {
    yield data instanceof Int32Array ? new Uint8Array(new Int32Array(data).buffer) : encodeFloats(data, dtype ?? 'F32');
  }
}

/**
 * Bytes of a file with such tensors, header and all; nothing is written.
 *
 * @example
 * ```ts
 * import { safetensorsByteLength, writeSafetensors } from '@hip/checkpoints';
 *
 * const file = writeSafetensors([{ name: 'w', shape: [2, 3], data: new Float32Array(6) }]);
 * console.log(safetensorsByteLength([{ name: 'w', shape: [2, 3] }]) === file.byteLength); // => true
 * ```
 */
export function safetensorsByteLength(
  tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype?: FloatDtype }[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): number {
  let end = 0;
  const infos = tensors.map(({ name, shape, dtype = 'F32' }): TensorInfo => {
    const begin = end;
    end += elementCount(shape) * DTYPE_BYTES[dtype];
    return { name, dtype, shape, begin, end };
  });
  return encodeHeader(infos, metadata).byteLength + end;
}

/**
 * The whole file in memory; see {@link safetensorsChunks} for streaming.
 *
 * @throws CheckpointError `invalid-shape`, `unsupported-dtype`
 */
export function writeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const chunks = [...safetensorsChunks(tensors, metadata)];
  const out = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.byteLength, 0));
  let position = 0;
  for (const chunk of chunks) {
    out.set(chunk, position);
    position += chunk.byteLength;
  }
  return out;
}
