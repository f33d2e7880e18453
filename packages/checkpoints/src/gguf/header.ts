// The header of a GGUF file by @huggingface/gguf, from any byte source; every tensor's place checked against the file.
import { CheckpointError } from '../errors.ts';
import type { ByteSource } from '../files/byte-source.ts';
import { elementCount } from '../shape.ts';
import { GGUF_TYPES, ggufDtype, unreadDtype } from './types.ts';
import type { GgufDtype } from './types.ts';

/** A value of the metadata; 64-bit integers as numbers. */
export type GgufValue = number | string | boolean | readonly GgufValue[];

/** Key → value, e.g. `general.architecture` → `llama`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** How a GGUF file can be damaged; `details.damage` of the `invalid-gguf` error. */
export type GgufDamage = 'not-gguf' | 'header' | 'big-endian' | 'truncated' | 'duplicate-name' | 'invalid-shape';

/** One tensor of a file. */
export interface GgufTensorInfo {
  readonly name: string;
  /** Undefined for types that are not read; `typeName` then says which. */
  readonly dtype: GgufDtype | undefined;
  readonly typeName: string;
  /** Row-major as everywhere here, outermost first: a linear weight is [out, in]. */
  readonly shape: readonly number[];
  /** First byte in the file. */
  readonly begin: number;
  readonly byteLength: number;
}

/** A parsed header. */
export interface GgufHeader {
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>;
}

/** Reads and checks the header. @throws CheckpointError `invalid-gguf` with `details.damage`, and what reading throws */
export async function readHeader(source: ByteSource): Promise<GgufHeader> {
  const start = await source.read(0, Math.min(4, source.size));
  if (new TextDecoder().decode(start) !== 'GGUF') {
    throw damaged('not-gguf', `${source.name} is no GGUF file: it does not begin with GGUF`, source);
  }
  const parsed = await parse(source);
  if (!parsed.littleEndian) throw damaged('big-endian', `${source.name} is big endian`, source);
  const metadata = new Map(Object.entries(parsed.metadata).map(([key, value]) => [key, plain(value)]));
  const tensors = new Map<string, GgufTensorInfo>();
  for (const { name, shape, dtype, offset } of parsed.tensorInfos) {
    if (tensors.has(name)) {
      throw damaged('duplicate-name', `${source.name} has two tensors ${name}`, source, { tensor: name });
    }
    const begin = Number(parsed.tensorDataOffset) + Number(offset);
    tensors.set(name, place(source, name, shape.map(Number).reverse(), dtype, begin));
  }
  return { metadata, tensors };
}

async function parse(source: ByteSource) {
  // 100 KB that only files of this format need.
  const { gguf } = await import('@huggingface/gguf');
  let failure: unknown;
  // The parser asks an address for ranges; here every range is the source's.
  const fetchRange = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const [, from = 0, to = 0] = (/^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '') ?? []).map(
      Number,
    );
    const length = Math.min(to + 1, source.size) - from;
    if (length <= 0) throw damaged('truncated', `${source.name} ends inside its header`, source);
    try {
      const bytes = await source.read(from, length);
      return new Response(bytes, { headers: { 'Content-Range': `bytes ${from}-${from + length - 1}/${source.size}` } });
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    return await gguf('https://localhost/header.gguf', { fetch: fetchRange });
  } catch (cause) {
    if (failure !== undefined) throw failure;
    if (cause instanceof CheckpointError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw damaged('header', `the header of ${source.name} cannot be read: ${reason}`, source, {}, cause);
  }
}

function place(source: ByteSource, name: string, shape: readonly number[], id: number, begin: number): GgufTensorInfo {
  const dtype = ggufDtype(id);
  if (!dtype) return { name, dtype, typeName: unreadDtype(id), shape, begin, byteLength: 0 };
  const { blockSize, blockBytes } = GGUF_TYPES[dtype];
  const columns = shape.at(-1) ?? 1;
  if (columns % blockSize !== 0) {
    const message = `${source.name}: ${name} [${shape.join(', ')}] is ${dtype}, whose blocks have ${blockSize} values`;
    throw damaged('invalid-shape', message, source, { tensor: name, shape, dtype });
  }
  const byteLength = (elementCount(shape) / blockSize) * blockBytes;
  if (!(begin + byteLength <= source.size)) {
    const message = `${source.name}: ${name} ends at byte ${begin + byteLength} but the file has ${source.size} bytes`;
    throw damaged('truncated', message, source, { tensor: name });
  }
  return { name, dtype, typeName: dtype, shape, begin, byteLength };
}

/** 64-bit integers as numbers: counts and sizes of models fit, hashes need not be exact. */
function plain(value: unknown): GgufValue {
  if (Array.isArray(value)) return typeof value[0] === 'bigint' || Array.isArray(value[0]) ? value.map(plain) : value;
  return typeof value === 'bigint' ? Number(value) : (value as GgufValue);
}

function damaged(
  damage: GgufDamage,
  message: string,
  source: ByteSource,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): CheckpointError {
  return new CheckpointError('invalid-gguf', message, { damage, name: source.name, ...details }, { cause });
}
