// Building messages: nodes, attributes, tensors, values and models from plain values, and reading attributes back.
import { create } from '@bufbuild/protobuf';
import { OnnxError } from '../errors.ts';
import { bytesOf, DATA_TYPES, type DataTypeName } from './data-types.ts';
import {
  AttributeSchema,
  GraphSchema,
  ModelSchema,
  NodeSchema,
  OperatorSetSchema,
  TensorSchema,
  ValueInfoSchema,
} from './schema.ts';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './types.ts';

/** AttributeProto.AttributeType by name. */
export const ATTRIBUTE_TYPES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

/** What an attribute holds: integers are bigint, floats number; lists of them; texts; a tensor or a graph. */
export type AttributeValue =
  | bigint
  | number
  | string
  | readonly bigint[]
  | readonly number[]
  | readonly string[]
  | TensorProto
  | GraphProto;

const encoder = /* @__PURE__ */ new TextEncoder();
const decoder = /* @__PURE__ */ new TextDecoder();

/** An attribute; an empty list is one of integers. */
export function onnxAttribute(name: string, value: AttributeValue): AttributeProto {
  const of = (init: Partial<Omit<AttributeProto, '$typeName' | '$unknown'>>) =>
    create(AttributeSchema, { name, ...init });
  if (typeof value === 'bigint') return of({ type: ATTRIBUTE_TYPES.int, i: value });
  if (typeof value === 'number') return of({ type: ATTRIBUTE_TYPES.float, f: value });
  if (typeof value === 'string') return of({ type: ATTRIBUTE_TYPES.string, s: encoder.encode(value) });
  if (isList(value)) {
    if (isOf(value, 'number')) return of({ type: ATTRIBUTE_TYPES.floats, floats: [...value] });
    if (isOf(value, 'string')) {
      return of({ type: ATTRIBUTE_TYPES.strings, strings: value.map((text) => encoder.encode(text)) });
    }
    return of({ type: ATTRIBUTE_TYPES.ints, ints: [...value] as bigint[] });
  }
  return value.$typeName === 'onnx.TensorProto'
    ? of({ type: ATTRIBUTE_TYPES.tensor, t: value })
    : of({ type: ATTRIBUTE_TYPES.graph, g: value });
}

function isList(value: AttributeValue): value is readonly bigint[] | readonly number[] | readonly string[] {
  return Array.isArray(value);
}

function isOf<T extends 'number' | 'string'>(
  list: readonly unknown[],
  type: T,
): list is readonly (T extends 'number' ? number : string)[] {
  return list.length > 0 && typeof list[0] === type;
}

/** The value of a node's attribute; undefined where the node has none of that name, or one of sparse tensors or types. */
export function attributeOf(node: NodeProto, name: string): AttributeValue | undefined {
  const found = node.attribute.find((attribute) => attribute.name === name);
  switch (found?.type) {
    case ATTRIBUTE_TYPES.float:
      return found.f;
    case ATTRIBUTE_TYPES.int:
      return found.i;
    case ATTRIBUTE_TYPES.string:
      return decoder.decode(found.s);
    case ATTRIBUTE_TYPES.tensor:
      return found.t;
    case ATTRIBUTE_TYPES.graph:
      return found.g;
    case ATTRIBUTE_TYPES.floats:
      return found.floats;
    case ATTRIBUTE_TYPES.ints:
      return found.ints;
    case ATTRIBUTE_TYPES.strings:
      return found.strings.map((text) => decoder.decode(text));
    default:
      return undefined;
  }
}

/** A node. @param inputs - an empty name leaves an optional input out */
export function onnxNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  options: {
    readonly name?: string;
    /** @defaultValue '' (ai.onnx) */
    readonly domain?: string;
    readonly attributes?: Readonly<Record<string, AttributeValue>>;
  } = {},
): NodeProto {
  return create(NodeSchema, {
    opType,
    input: [...inputs],
    output: [...outputs],
    name: options.name ?? '',
    domain: options.domain ?? '',
    attribute: Object.entries(options.attributes ?? {}).map(([name, value]) => onnxAttribute(name, value)),
  });
}

/**
 * A tensor. Without bytes it is an initializer whose elements `weight` of the model to write gives.
 *
 * @param bytes - of all elements, little-endian; not copied
 * @throws OnnxError `invalid-option` where they are not as many as the shape says
 */
export function onnxTensor(
  name: string,
  type: DataTypeName,
  dims: readonly number[],
  bytes?: ArrayBufferView,
): TensorProto {
  const dataType = DATA_TYPES[type];
  const expected = bytes && bytesOf(dataType, dims, name);
  if (bytes && bytes.byteLength !== expected) {
    const message = `tensor ${name}: ${type} [${dims.join(', ')}] takes ${expected} bytes, got ${bytes.byteLength}`;
    throw new OnnxError('invalid-option', message, { name, type, dims });
  }
  const rawData = bytes ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array();
  return create(TensorSchema, { name, dataType, dims: dims.map(BigInt), rawData });
}

/** An input or output of a graph. @param dims - numbers, names of sizes that vary; absent where not even the rank is known */
export function onnxValue(name: string, type: DataTypeName, dims?: readonly (number | string)[]): ValueInfoProto {
  const dim = (size: number | string) =>
    typeof size === 'number'
      ? { value: { case: 'dimValue' as const, value: BigInt(size) } }
      : { value: { case: 'dimParam' as const, value: size } };
  const tensorType = { elemType: DATA_TYPES[type], ...(dims && { shape: { dim: dims.map(dim) } }) };
  return create(ValueInfoSchema, { name, type: { value: { case: 'tensorType', value: tensorType } } });
}

/** Type and dimensions of a value that is a tensor; a dimension without name or number is ''. */
export function tensorTypeOf(
  value: ValueInfoProto,
): { readonly elemType: number; readonly dims: readonly (number | string)[] | undefined } | undefined {
  const type = value.type?.value;
  if (type?.case !== 'tensorType') return undefined;
  const dims = type.value.shape?.dim.map(({ value: size }) =>
    size.case === 'dimValue' ? Number(size.value) : (size.value ?? ''),
  );
  return { elemType: type.value.elemType, dims };
}

/** A graph of these parts. */
export function onnxGraph(
  name: string,
  parts: Partial<Pick<GraphProto, 'node' | 'initializer' | 'input' | 'output' | 'valueInfo'>>,
): GraphProto {
  return create(GraphSchema, { name, ...parts });
}

/** A model around a graph. @param opsets - version by domain, '' for ai.onnx */
export function onnxModel(
  graph: GraphProto,
  opsets: Readonly<Record<string, number>>,
  options: { readonly irVersion: number; readonly producerName?: string; readonly producerVersion?: string },
): ModelProto {
  return create(ModelSchema, {
    graph,
    irVersion: BigInt(options.irVersion),
    producerName: options.producerName ?? '',
    producerVersion: options.producerVersion ?? '',
    opsetImport: Object.entries(opsets).map(([domain, version]) =>
      create(OperatorSetSchema, { domain, version: BigInt(version) }),
    ),
  });
}
