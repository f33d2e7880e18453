// The header of a GGUF file (versions 2 and 3) from any byte source; every tensor's place checked against the file.
import { CheckpointError } from '../errors.ts';
import { brief, quoted } from '../quote.ts';
import type { ByteSource } from '../files/byte-source.ts';
import { elementCount } from '../shape.ts';
import { BeyondFile, HeaderReader, NeedsMoreBytes } from './reader.ts';
import type { GgufValue } from './reader.ts';
import { GGUF_TYPES, ggufDtype, unreadDtype } from './types.ts';
import type { GgufDtype } from './types.ts';

/** Key → value, e.g. `general.architecture` → `llama`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** How a GGUF file can be damaged; `details.damage` of the `invalid-gguf` error. */
export type GgufDamage =
  | 'not-gguf'
  | 'header'
  | 'header-too-large'
  | 'truncated'
  | 'duplicate-name'
  | 'invalid-shape'
  | 'overlap';

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

/** Bytes read first, and how many times as many when they do not suffice. */
const FIRST_READ = 2 ** 20;
const GROWTH = 3;
const DEFAULT_ALIGNMENT = 32;
/** Bytes of a header at most: vocabularies of a million tokens with their merges take a tenth of it. */
const MAX_HEADER_BYTES = 2 ** 29;
/** Bytes that a key with its value takes at least, and a tensor's entry. */
const LEAST_VALUE_BYTES = 8 + 4 + 1;
const LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8;

/** Reads and checks the header. @throws CheckpointError `invalid-gguf` with `details.damage`, and what reading throws */
export async function readHeader(source: ByteSource): Promise<GgufHeader> {
  let bytes = await source.read(0, Math.min(FIRST_READ, source.size));
  const { version, tensorCount, valueCount } = begin(bytes, source);
  const state: Parsed = { metadata: new Map(), tensors: [], position: 24 };
  for (;;) {
    try {
      parse(state, bytes, source.size, tensorCount, valueCount);
      break;
    } catch (cause) {
      if (cause instanceof BeyondFile) {
        const message = `${source.name} ends inside its header, which tells of ${cause.message}`;
        throw damaged('truncated', message, source, {}, cause);
      }
      if (!(cause instanceof NeedsMoreBytes)) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw damaged('header', `the header of ${source.name} (version ${version}) holds ${reason}`, source, {}, cause);
      }
      bytes = await more(source, bytes);
    }
  }
  const alignment = state.metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 1) {
    throw damaged('header', `${source.name}: general.alignment is ${quoted(alignment)}`, source, { alignment });
  }
  const data = Math.ceil(state.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensorInfo>();
  for (const { name, shape, type, offset } of state.tensors) {
    if (tensors.has(name)) {
      throw damaged('duplicate-name', `${source.name} has two tensors ${brief(name)}`, source, { tensor: name });
    }
    tensors.set(name, place(source, name, shape, type, data + offset));
  }
  requireApart([...tensors.values()], source);
  return { metadata: state.metadata, tensors };
}

/** @throws CheckpointError `invalid-gguf` for two tensors in one place */
function requireApart(tensors: readonly GgufTensorInfo[], source: ByteSource): void {
  let [end, before] = [0, ''];
  for (const { name, begin, byteLength } of tensors.toSorted(
    (a, b) => a.begin - b.begin || a.byteLength - b.byteLength,
  )) {
    if (begin < end) {
      const message = `${source.name}: ${brief(name)} begins at byte ${begin}, inside ${brief(before)}, which ends at ${end}`;
      throw damaged('overlap', message, source, { tensor: name });
    }
    [end, before] = [Math.max(end, begin + byteLength), name];
  }
}

interface Parsed {
  readonly metadata: Map<string, GgufValue>;
  readonly tensors: {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type: number;
    readonly offset: number;
  }[];
  /** Byte after the last complete entry. */
  position: number;
}

function begin(bytes: Uint8Array<ArrayBuffer>, source: ByteSource) {
  if (new TextDecoder().decode(bytes.subarray(0, 4)) !== 'GGUF') {
    throw damaged('not-gguf', `${source.name} is no GGUF file: it does not begin with GGUF`, source);
  }
  if (bytes.byteLength < 24) throw damaged('truncated', `${source.name} ends inside its header`, source);
  const reader = new HeaderReader(bytes, 4, source.size);
  const version = reader.u32();
  if (version !== 2 && version !== 3) {
    const big = (version & 0xffff) === 0;
    const what = big ? 'is big endian' : `has version ${version}`;
    throw damaged('header', `${source.name} ${what}: expected little endian, version 2 or 3`, source, { version });
  }
  const [tensorCount, valueCount] = [reader.u64(), reader.u64()];
  if (!(24 + tensorCount * LEAST_TENSOR_BYTES + valueCount * LEAST_VALUE_BYTES <= source.size)) {
    const message = `${source.name} has ${source.size} bytes: too few for ${tensorCount} tensors and ${valueCount} values`;
    throw damaged('truncated', message, source, { tensorCount, valueCount });
  }
  return { version, tensorCount, valueCount };
}

/** Goes on where the state stands; what is complete stays when the bytes end. */
function parse(state: Parsed, bytes: Uint8Array, fileSize: number, tensorCount: number, valueCount: number): void {
  const reader = new HeaderReader(bytes, state.position, fileSize);
  while (state.metadata.size < valueCount) {
    const key = reader.string();
    if (state.metadata.has(key)) throw new Error(`the key ${brief(key)} twice`);
    state.metadata.set(key, reader.value());
    state.position = reader.position;
  }
  while (state.tensors.length < tensorCount) {
    const name = reader.string();
    const rank = reader.u32();
    if (rank > 8) throw new Error(`a tensor ${brief(name)} of ${rank} axes`);
    const shape = Array.from({ length: rank }, () => reader.u64()).reverse();
    state.tensors.push({ name, shape, type: reader.u32(), offset: reader.u64() });
    state.position = reader.position;
  }
}

async function more(source: ByteSource, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes.byteLength >= source.size) throw damaged('truncated', `${source.name} ends inside its header`, source);
  if (bytes.byteLength >= MAX_HEADER_BYTES) {
    const message = `${source.name}: the header does not end within ${MAX_HEADER_BYTES} bytes, the most that is read of one`;
    throw damaged('header-too-large', message, source);
  }
  const grown = new Uint8Array(Math.min(source.size, bytes.byteLength * GROWTH));
  grown.set(bytes);
  grown.set(await source.read(bytes.byteLength, grown.byteLength - bytes.byteLength), bytes.byteLength);
  return grown;
}

function place(source: ByteSource, name: string, shape: readonly number[], id: number, begin: number): GgufTensorInfo {
  const dtype = ggufDtype(id);
  if (!(begin <= source.size)) {
    const message = `${source.name}: ${brief(name)} begins at byte ${begin} but the file has ${source.size} bytes`;
    throw damaged('truncated', message, source, { tensor: name });
  }
  if (!dtype) return { name, dtype, typeName: unreadDtype(id), shape, begin, byteLength: 0 };
  const { blockSize, blockBytes } = GGUF_TYPES[dtype];
  const columns = shape.at(-1) ?? 1;
  if (columns % blockSize !== 0) {
    const message = `${source.name}: ${brief(name)} ${quoted(shape)} is ${dtype}, whose blocks have ${blockSize} values`;
    throw damaged('invalid-shape', message, source, { tensor: name, shape, dtype });
  }
  const byteLength = (elementCount(shape) / blockSize) * blockBytes;
  if (!(begin + byteLength <= source.size)) {
    const message = `${source.name}: ${brief(name)} ends at byte ${begin + byteLength} but the file has ${source.size} bytes`;
    throw damaged('truncated', message, source, { tensor: name });
  }
  return { name, dtype, typeName: dtype, shape, begin, byteLength };
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
