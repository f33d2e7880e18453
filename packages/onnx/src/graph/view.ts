// A graph with what the analysis asks of it: who makes and who reads a value, small constants, element types.
import { getFloat16 } from '@petamoriken/float16';
import { attributeOf, tensorTypeOf } from '../model/build.ts';
import { DATA_TYPES, bytesOf } from '../model/data-types.ts';
import { readsOf } from '../model/graph.ts';
import type { OnnxModel } from '../model/open.ts';
import type { NodeProto, TensorProto, ValueInfoProto } from '../model/types.ts';
import { bypassCopies } from './copies.ts';
import { inferTypes } from './types.ts';

/** Constants of up to this many elements are read: axes, shapes, scales, limits. */
const SMALL_ELEMENTS = 64;

/** A small constant's elements as numbers. */
export interface Constant {
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

declare const known: unique symbol;
/** A node whose operator was asked for; the mark keeps TypeScript from taking others for none. */
export type KnownNode = NodeProto & { readonly [known]: true };

/** An operator of ai.onnx, whose domain may be written either way. */
export function isOnnx(node: NodeProto | undefined, ...opTypes: readonly string[]): node is KnownNode {
  return node !== undefined && (node.domain === '' || node.domain === 'ai.onnx') && opTypes.includes(node.opType);
}

/** A contrib operator of onnxruntime. */
export function isContrib(node: NodeProto | undefined, ...opTypes: readonly string[]): node is KnownNode {
  return node?.domain === 'com.microsoft' && opTypes.includes(node.opType);
}

/** An integer attribute. */
export function intOf(node: NodeProto, name: string, fallback: number): number {
  const value = attributeOf(node, name);
  return typeof value === 'bigint' ? Number(value) : fallback;
}

/** A float attribute. */
export function floatOf(node: NodeProto, name: string): number | undefined {
  const value = attributeOf(node, name);
  return typeof value === 'number' ? value : undefined;
}

/** A list of integers. */
export function intsOf(node: NodeProto, name: string): readonly number[] | undefined {
  const value = attributeOf(node, name);
  return Array.isArray(value) ? value.map(Number) : undefined;
}

export class GraphView {
  readonly model: OnnxModel;
  /** Opset of ai.onnx. */
  readonly opset: number;
  readonly nodes: readonly NodeProto[];
  readonly makers = new Map<string, NodeProto>();
  readonly readers = new Map<string, NodeProto[]>();
  readonly initializers = new Map<string, TensorProto>();
  /** Without initializers that are listed as inputs too, as IR versions before 4 do. */
  readonly inputs = new Map<string, ValueInfoProto>();
  readonly outputs = new Map<string, ValueInfoProto>();
  /** What the graph says of values inside. */
  readonly valueInfo: ReadonlyMap<string, ValueInfoProto>;
  /** Element types ({@link DATA_TYPES}) of values, where they are known. */
  readonly types: ReadonlyMap<string, number>;
  readonly #constants: ReadonlyMap<string, Constant>;

  private constructor(model: OnnxModel, constants: ReadonlyMap<string, Constant>, types: ReadonlyMap<string, number>) {
    const { graph, proto } = model;
    this.model = model;
    this.nodes = graph.node;
    this.valueInfo = new Map(graph.valueInfo.map((value) => [value.name, value]));
    this.opset = Number(proto.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0);
    for (const tensor of graph.initializer) this.initializers.set(tensor.name, tensor);
    for (const value of graph.input) if (!this.initializers.has(value.name)) this.inputs.set(value.name, value);
    for (const value of graph.output) this.outputs.set(value.name, value);
    for (const node of graph.node) {
      for (const name of node.output) if (name !== '') this.makers.set(name, node);
      for (const name of new Set(readsOf(node))) {
        const readers = this.readers.get(name);
        if (readers) readers.push(node);
        else this.readers.set(name, [node]);
      }
    }
    this.#constants = constants;
    this.types = types;
  }

  /**
   * Reads the small constants, which may lie in another file, and takes copies of values out of the model's graph.
   *
   * @throws OnnxError as reading weights throws
   */
  static async read(model: OnnxModel): Promise<GraphView> {
    const constants = new Map<string, Constant>();
    for (const tensor of model.graph.initializer) {
      const values = await smallValues(model, tensor);
      if (values) constants.set(tensor.name, values);
    }
    for (const node of model.graph.node) {
      if (!isOnnx(node, 'Constant')) continue;
      const values = await constantOf(model, node);
      if (values) constants.set(node.output[0] ?? '', values);
    }
    const types = inferTypes(model.graph);
    bypassCopies(model.graph, constants, types);
    return new GraphView(model, constants, types);
  }

  constant(name: string | undefined): Constant | undefined {
    return name === undefined ? undefined : this.#constants.get(name);
  }

  /** The number of a constant of one element. */
  scalar(name: string | undefined): number | undefined {
    const constant = this.constant(name);
    return constant?.values.length === 1 ? constant.values[0] : undefined;
  }

  /** The node that makes a value. */
  maker(name: string | undefined): NodeProto | undefined {
    return name === undefined ? undefined : this.makers.get(name);
  }

  /** Declared dimensions of an input, output or value; undefined where the graph does not say. */
  dims(name: string): readonly (number | string)[] | undefined {
    const tensor = this.initializers.get(name);
    if (tensor) return tensor.dims.map(Number);
    const known = this.inputs.get(name) ?? this.outputs.get(name) ?? this.valueInfo.get(name);
    return known && tensorTypeOf(known)?.dims;
  }

  /** Nodes and graph inputs that a value is made from, itself included. @param stop - nodes whose inputs do not count */
  cone(
    names: readonly string[],
    stop: (node: NodeProto) => boolean = () => false,
  ): { readonly nodes: ReadonlySet<NodeProto>; readonly inputs: ReadonlySet<string> } {
    const nodes = new Set<NodeProto>();
    const inputs = new Set<string>();
    const open = [...names];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const node = this.makers.get(name);
      if (!node) {
        if (this.inputs.has(name)) inputs.add(name);
        continue;
      }
      if (nodes.has(node)) continue;
      nodes.add(node);
      if (!stop(node)) open.push(...readsOf(node));
    }
    return { nodes, inputs };
  }
}

async function constantOf(model: OnnxModel, node: NodeProto): Promise<Constant | undefined> {
  const [attribute] = node.attribute;
  if (!attribute) return undefined;
  const value = attributeOf(node, attribute.name);
  if (typeof value === 'bigint' || typeof value === 'number') return { dims: [], values: [Number(value)] };
  if (Array.isArray(value)) {
    const values = value.map(Number);
    return { dims: [values.length], values };
  }
  return attribute.t && smallValues(model, attribute.t);
}

async function smallValues(model: OnnxModel, tensor: TensorProto): Promise<Constant | undefined> {
  const dims = tensor.dims.map(Number);
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (count > SMALL_ELEMENTS || !READERS.has(tensor.dataType)) return undefined;
  if (count === 0) return { dims, values: [] };
  const bytes = await model.weight(tensor).read();
  if (bytes.byteLength !== bytesOf(tensor.dataType, dims, tensor.name)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.byteLength / count;
  const read = READERS.get(tensor.dataType)!;
  return { dims, values: Array.from({ length: count }, (_, i) => read(view, i * size)) };
}

const READERS = new Map<number, (view: DataView, at: number) => number>([
  [DATA_TYPES.float, (view, at) => view.getFloat32(at, true)],
  [DATA_TYPES.double, (view, at) => view.getFloat64(at, true)],
  [DATA_TYPES.float16, (view, at) => getFloat16(view, at, true)],
  [DATA_TYPES.int64, (view, at) => Number(view.getBigInt64(at, true))],
  [DATA_TYPES.int32, (view, at) => view.getInt32(at, true)],
  [DATA_TYPES.bool, (view, at) => view.getUint8(at)],
  [DATA_TYPES.uint8, (view, at) => view.getUint8(at)],
  [DATA_TYPES.int8, (view, at) => view.getInt8(at)],
]);
