// A model as files to be: the graph in one, weights streamed into it or into .onnx_data files beside it.
import { clone, create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { OnnxError, throwIfAborted } from '../errors.ts';
import { EXTERNAL } from './external.ts';
import { EntrySchema, ModelSchema, GraphSchema, TensorSchema } from './schema.ts';
import type { GraphProto, ModelProto, TensorProto } from './types.ts';
import { tensorsOf } from './walk.ts';
import { bytesWeight, type OnnxWeight } from './weight.ts';

// Field numbers of onnx-ml.proto.
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_RAW_DATA = 9;
/** A protobuf message cannot be larger. */
const MAX_MESSAGE_BYTES = 2 ** 31 - 1;
/** Offsets of external data are multiples, as kernels that map files like them. */
const ALIGNMENT = 64;
/** Weights are read and written in pieces of this size. */
const CHUNK_BYTES = 1 << 24;

/** A model to write: `OnnxModel` is one. */
export interface OnnxModelToWrite {
  readonly proto: ModelProto;
  /** Elements of an initializer of `proto.graph`; those whose tensor holds them itself are not asked for. */
  weight(tensor: TensorProto): OnnxWeight;
}

/** Options of {@link renderOnnxModel}. */
export interface RenderOnnxOptions {
  /** Name of the model's file; its external data is named `<file>_data`, `<file>_data_1`, … @defaultValue 'model.onnx' */
  readonly file?: string | undefined;
  /** Weights beside the model: `auto` where the model would pass protobuf's 2 GiB. @defaultValue 'auto' */
  readonly externalData?: boolean | 'auto' | undefined;
  /** Weights below this stay in the model file. @defaultValue 1024 */
  readonly minExternalBytes?: number | undefined;
  /** Size that no data file passes, in bytes (a weight is in one file). @defaultValue 2^31 − 1 */
  readonly maxFileBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A file to be written; its chunks are read as they are taken. */
export interface RenderedOnnxFile {
  readonly name: string;
  readonly byteLength: number;
  chunks(): AsyncIterable<Uint8Array>;
}

/** A stretch of a file: bytes, or a weight that is read when its turn comes. */
type Part = Uint8Array | OnnxWeight;

/**
 * The files of a model, the data files first. Weights are read one piece at a time, so nothing but the graph is in memory.
 *
 * @throws OnnxError `too-large` above 2 GiB with `externalData: false`, `invalid-option`; from reading weights as that throws, `aborted`
 */
export async function renderOnnxModel(
  model: OnnxModelToWrite,
  options: RenderOnnxOptions = {},
): Promise<readonly RenderedOnnxFile[]> {
  const { file = 'model.onnx', externalData = 'auto', minExternalBytes = 1024 } = options;
  const { maxFileBytes = MAX_MESSAGE_BYTES, signal } = options;
  const graph = model.proto.graph;
  if (!graph) throw new OnnxError('invalid-option', 'the model to write has no graph: give proto.graph', {});
  const weights = graph.initializer.map((tensor) => ({ tensor, weight: weightToWrite(model, tensor) }));
  const inside = await withoutInitializers(model, graph);
  const embedded = messageParts(inside, weights);
  const isExternal = externalData === 'auto' ? sizeOf(embedded) > MAX_MESSAGE_BYTES : externalData;
  if (!isExternal) {
    if (sizeOf(embedded) <= MAX_MESSAGE_BYTES) return [rendered(file, embedded, signal)];
    const message = `the model takes ${sizeOf(embedded)} bytes, one file holds ${MAX_MESSAGE_BYTES}: leave out externalData: false`;
    throw new OnnxError('too-large', message, { bytes: sizeOf(embedded) });
  }
  const files: { name: string; parts: Part[]; size: number }[] = [];
  const entries = weights.map((entry) => {
    const { tensor, weight } = entry;
    if (!weight || weight.byteLength < minExternalBytes) return entry;
    let last = files.at(-1);
    const start = last ? Math.ceil(last.size / ALIGNMENT) * ALIGNMENT : 0;
    if (!last || start + weight.byteLength > maxFileBytes) {
      if (weight.byteLength > maxFileBytes) {
        const message = `weight ${tensor.name} takes ${weight.byteLength} bytes, maxFileBytes = ${maxFileBytes}: raise it`;
        throw new OnnxError('too-large', message, { tensor: tensor.name, bytes: weight.byteLength });
      }
      last = { name: `${file}_data${files.length === 0 ? '' : `_${files.length}`}`, parts: [], size: 0 };
      files.push(last);
    } else if (start > last.size) last.parts.push(new Uint8Array(start - last.size));
    const offset = last.parts.length === 0 ? 0 : start;
    last.parts.push(weight);
    last.size = offset + weight.byteLength;
    return { tensor: outside(tensor, last.name.replace(/^.*\//, ''), offset, weight.byteLength), weight: undefined };
  });
  const parts = messageParts(inside, entries);
  return [...files.map((data) => rendered(data.name, data.parts, signal)), rendered(file, parts, signal)];
}

/** Bytes that a model takes as one file, its weights in it; nothing of them is read. */
export function onnxByteLength(model: OnnxModelToWrite): number {
  const { graph } = model.proto;
  if (!graph) throw new OnnxError('invalid-option', 'the model has no graph: give proto.graph', {});
  const weights = graph.initializer.map((tensor) => ({ tensor, weight: weightToWrite(model, tensor) }));
  return sizeOf(messageParts({ ...model.proto, graph: { ...graph, initializer: [] } }, weights));
}

/** The whole model as the bytes of one message. @throws OnnxError `too-large` above 2 GiB, and as {@link renderOnnxModel} */
export async function onnxModelBytes(model: OnnxModelToWrite, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const [file] = await renderOnnxModel(model, { externalData: false, signal });
  return renderedBytes(file as RenderedOnnxFile);
}

/** A file's bytes, whole. */
export async function renderedBytes(file: RenderedOnnxFile): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(file.byteLength);
  let at = 0;
  for await (const chunk of file.chunks()) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Elements that are not in the tensor itself. */
function weightToWrite(model: OnnxModelToWrite, tensor: TensorProto): OnnxWeight | undefined {
  const { rawData, floatData, int32Data, int64Data, doubleData, uint64Data, stringData } = tensor;
  const inside = [rawData, floatData, int32Data, int64Data, doubleData, uint64Data, stringData];
  if (tensor.dataLocation !== EXTERNAL && inside.some(({ length }) => length > 0)) {
    return rawData.byteLength > 0 ? bytesWeight(rawData) : undefined;
  }
  return tensor.dims.includes(0n) ? undefined : model.weight(tensor);
}

/** The model without the initializers of its graph; constants elsewhere that lie in other files are read into it. */
async function withoutInitializers(model: OnnxModelToWrite, graph: GraphProto): Promise<ModelProto> {
  const bare: ModelProto = { ...model.proto, graph: { ...graph, initializer: [] } };
  if ([...tensorsOf(bare)].every(({ dataLocation }) => dataLocation !== EXTERNAL)) return bare;
  const copy = clone(ModelSchema, bare);
  const originals = tensorsOf(bare);
  for (const tensor of tensorsOf(copy)) {
    const original = originals.next().value as TensorProto;
    if (original.dataLocation !== EXTERNAL) continue;
    Object.assign(tensor, { dataLocation: 0, externalData: [], rawData: await model.weight(original).read() });
  }
  return copy;
}

/** The message's bytes, weights in their places. */
function messageParts(
  bare: ModelProto,
  initializers: readonly { tensor: TensorProto; weight: OnnxWeight | undefined }[],
): Part[] {
  const graph: Part[] = [toBinary(GraphSchema, bare.graph as GraphProto)];
  for (const { tensor, weight } of initializers) {
    const rest = weight ? { ...tensor, rawData: new Uint8Array(), dataLocation: 0, externalData: [] } : tensor;
    const head = toBinary(TensorSchema, rest);
    if (!weight) graph.push(prefix(GRAPH_INITIALIZER, head.byteLength), head);
    else {
      const raw = prefix(TENSOR_RAW_DATA, weight.byteLength);
      const size = head.byteLength + raw.byteLength + weight.byteLength;
      graph.push(prefix(GRAPH_INITIALIZER, size), head, raw, weight);
    }
  }
  const { graph: _graph, ...outer } = bare;
  return [toBinary(ModelSchema, outer), prefix(MODEL_GRAPH, sizeOf(graph)), ...graph];
}

/** Tag and length of a length-delimited field. */
function prefix(field: number, length: number): Uint8Array {
  // Above 2^32 nothing is written, but how large it would be is told.
  const writer = new BinaryWriter().tag(field, WireType.LengthDelimited);
  return writer.uint32(Math.min(length, 2 ** 32 - 1)).finish();
}

function outside(tensor: TensorProto, location: string, offset: number, length: number): TensorProto {
  const entry = (key: string, value: string | number) => create(EntrySchema, { key, value: String(value) });
  return {
    ...tensor,
    rawData: new Uint8Array(),
    dataLocation: EXTERNAL,
    externalData: [entry('location', location), entry('offset', offset), entry('length', length)],
  };
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function rendered(name: string, parts: readonly Part[], signal: AbortSignal | undefined): RenderedOnnxFile {
  return {
    name,
    byteLength: sizeOf(parts),
    async *chunks() {
      for (const part of parts) {
        throwIfAborted(signal, `writing ${name}`);
        if (part instanceof Uint8Array) {
          yield part;
          continue;
        }
        for (let at = 0; at < part.byteLength; at += CHUNK_BYTES) {
          throwIfAborted(signal, `writing ${name}`);
          yield await part.read(at, Math.min(CHUNK_BYTES, part.byteLength - at));
        }
      }
    },
  };
}
