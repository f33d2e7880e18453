// Reads a ModelProto without its weights: walks the fields of model, graph and initializers, and notes where long raw_data lies.
import { fromBinary } from '@bufbuild/protobuf';
import { OnnxError, throwIfAborted } from '../errors.ts';
import type { OnnxFile } from './files.ts';
import { GraphSchema, ModelSchema, TensorSchema } from './schema.ts';
import type { ModelProto, TensorProto } from './types.ts';

// Field numbers of onnx-ml.proto.
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_RAW_DATA = 9;
/** raw_data up to here is read with the graph: shapes, axes and scalars that a reader of the graph looks at. */
const SMALL_BYTES = 1024;
/** How much of a file is read at once. */
const BLOCK_BYTES = 1 << 20;
// Wire types.
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/** Where in the file an initializer's elements lie. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

interface Field {
  readonly number: number;
  readonly wire: number;
  /** First byte of the tag. */
  readonly start: number;
  /** First byte of what the field holds. */
  readonly content: number;
  /** First byte after it. */
  readonly end: number;
}

/** A file read block by block. */
class Reader {
  readonly file: OnnxFile;
  #block: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: OnnxFile) {
    this.file = file;
  }

  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (end - start > BLOCK_BYTES) return this.file.read(start, end - start);
    if (start < this.#start || end > this.#start + this.#block.byteLength) {
      this.#block = await this.file.read(start, Math.min(BLOCK_BYTES, this.file.size - start));
      this.#start = start;
    }
    return this.#block.subarray(start - this.#start, end - this.#start);
  }

  /** The field at `start` of a message that ends at `limit`. */
  async field(start: number, limit: number): Promise<Field> {
    const damaged = (what: string): never => {
      throw new OnnxError('invalid-model', `${this.file.name} is no ONNX model: ${what} at byte ${start}`, {
        file: this.file.name,
        offset: start,
        size: this.file.size,
      });
    };
    // A tag takes up to 5 bytes, a varint up to 10.
    const head = await this.bytes(start, Math.min(start + 15, limit));
    let position = 0;
    const varint = (): number => {
      for (let value = 0, scale = 1; ; scale *= 128) {
        const byte = head[position++];
        if (byte === undefined) return damaged('a field that is cut short');
        value += (byte & 0x7f) * scale;
        if (byte < 0x80) return value;
        if (position - 1 >= 10) return damaged('a number of more than 64 bits');
      }
    };
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (number === 0) damaged('a field of number 0');
    let content = start + position;
    let end = content;
    if (wire === VARINT) {
      varint();
      end = start + position;
    } else if (wire === FIXED64 || wire === FIXED32) {
      end += wire === FIXED64 ? 8 : 4;
    } else if (wire === DELIMITED) {
      const length = varint();
      content = start + position;
      end = content + length;
    } else {
      damaged(`a field of wire type ${wire}`);
    }
    if (end > limit) {
      damaged(`a field of ${end - content} bytes where ${limit - content} are left (is the file cut short?)`);
    }
    return { number, wire, start, content, end };
  }
}

/** What {@link skimModel} found. */
export interface Skimmed {
  /** The model; initializers of the graph without their long raw_data. */
  readonly proto: ModelProto;
  /** Where that lies. */
  readonly ranges: ReadonlyMap<TensorProto, FileRange>;
}

/**
 * Reads a ModelProto without the weights inside.
 *
 * @throws OnnxError `invalid-model` for what is none, `aborted`
 */
export async function skimModel(file: OnnxFile, signal?: AbortSignal): Promise<Skimmed> {
  const reader = new Reader(file);
  const model: Uint8Array[] = [];
  const graph: Uint8Array[] = [];
  const initializers: TensorProto[] = [];
  const ranges = new Map<TensorProto, FileRange>();
  let hasGraph = false;
  for await (const field of fieldsOf(reader, 0, file.size)) {
    if (field.number !== MODEL_GRAPH || field.wire !== DELIMITED) {
      model.push(await copied(reader, field));
      continue;
    }
    hasGraph = true;
    for await (const inner of fieldsOf(reader, field.content, field.end)) {
      throwIfAborted(signal, `reading ${file.name}`);
      if (inner.number !== GRAPH_INITIALIZER || inner.wire !== DELIMITED) {
        graph.push(await copied(reader, inner));
        continue;
      }
      const { tensor, range } = await skimTensor(reader, inner);
      initializers.push(tensor);
      if (range) ranges.set(tensor, range);
    }
  }
  if (!hasGraph) {
    const message = `${file.name} is no ONNX model: it has no graph (a page or a Git LFS pointer in its place?)`;
    throw new OnnxError('invalid-model', message, { file: file.name, size: file.size });
  }
  const proto = decoded(file, () => fromBinary(ModelSchema, joined(model)));
  proto.graph = decoded(file, () => fromBinary(GraphSchema, joined(graph)));
  proto.graph.initializer = initializers;
  return { proto, ranges };
}

async function* fieldsOf(reader: Reader, start: number, end: number): AsyncGenerator<Field> {
  for (let at = start; at < end;) {
    const field = await reader.field(at, end);
    yield field;
    at = field.end;
  }
}

async function skimTensor(
  reader: Reader,
  { content, end }: Field,
): Promise<{ tensor: TensorProto; range?: FileRange }> {
  const kept: Uint8Array[] = [];
  let range: FileRange | undefined;
  for await (const field of fieldsOf(reader, content, end)) {
    if (field.number === TENSOR_RAW_DATA && field.wire === DELIMITED && field.end - field.content > SMALL_BYTES) {
      range = { offset: field.content, length: field.end - field.content };
    } else kept.push(await copied(reader, field));
  }
  const tensor = decoded(reader.file, () => fromBinary(TensorSchema, joined(kept)));
  return range ? { tensor, range } : { tensor };
}

async function copied(reader: Reader, { start, end }: Field): Promise<Uint8Array> {
  return (await reader.bytes(start, end)).slice();
}

function decoded<T>(file: OnnxFile, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError('invalid-model', `${file.name} is no ONNX model: ${reason}`, { file: file.name }, { cause });
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}
