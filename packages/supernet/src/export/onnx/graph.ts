// An ONNX graph under construction: nodes, constants, weights, inputs and outputs.
import { floatsToHalves } from '@hip/checkpoints/platform';
import {
  bytesWeight,
  onnxGraph,
  onnxModel,
  onnxNode,
  onnxTensor,
  onnxValue,
  type AttributeValue,
  type DataTypeName,
  type GraphProto,
  type NodeProto,
  type OnnxModelToWrite,
  type OnnxWeight,
  type TensorProto,
  type ValueInfoProto,
} from '@hip/onnx/model';

/** Operators beyond the standard's that onnxruntime has. */
export const CONTRIB = 'com.microsoft';
/** IR version of an operator set, the oldest that has it. */
const IR_VERSIONS: Readonly<Record<number, number>> = { 17: 8, 23: 11 };

/** Element type that a graph computes in. */
export type FloatName = 'float' | 'float16';

/** Extents of an input or output: fixed numbers or named dynamic axes. */
export type Extents = readonly (number | string)[];

/** TensorProto.DataType, for Cast. */
export const TO = { float: 1n, int32: 6n, int64: 7n, float16: 10n } as const;

/** Builds a graph; every operation returns the name of its output. */
export class OnnxGraph {
  /** Element type of the graph's arithmetic. */
  readonly type: FloatName;
  readonly opset: 17 | 23;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #weights = new Map<TensorProto, OnnxWeight>();
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  readonly #constants = new Map<string, string>();
  readonly #names = new Set<string>();
  #counter = 0;

  constructor(type: FloatName, opset: 17 | 23) {
    this.type = type;
    this.opset = opset;
  }

  /** A graph input. */
  input(name: string, type: DataTypeName, extents: Extents): string {
    this.#inputs.push(onnxValue(name, type, extents));
    return name;
  }

  /** Declares a value that a node makes as an output. */
  declareOutput(name: string, type: DataTypeName, extents: Extents): void {
    this.#outputs.push(onnxValue(name, type, extents));
  }

  /** Gives a value its public name. */
  output(value: string, name: string, extents: Extents, type: DataTypeName = this.type): void {
    this.#nodes.push(onnxNode('Identity', [value], [name], { name: this.#name('Identity') }));
    this.declareOutput(name, type, extents);
  }

  /** A weight, whose elements are read when the model is written. */
  weight(name: string, type: DataTypeName, shape: readonly number[], elements: OnnxWeight): string {
    if (this.#names.has(name)) return name;
    this.#names.add(name);
    const tensor = onnxTensor(name, type, shape);
    this.#initializers.push(tensor);
    this.#weights.set(tensor, elements);
    return name;
  }

  /** A scalar or vector constant of the graph's float type. */
  float(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    return this.#constant('f', values, this.type, floatBytes(list, this.type));
  }

  /** The same in float32, whatever the graph's type. */
  float32(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    return this.#constant('s', values, 'float', floatBytes(list, 'float'));
  }

  /** An int64 scalar or vector constant. */
  int(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    return this.#constant('i', values, 'int64', new Uint8Array(BigInt64Array.from(list, BigInt).buffer));
  }

  /** A constant uint8 scalar. */
  byte(value: number): string {
    return this.#constant('u', value, 'uint8', Uint8Array.of(value));
  }

  /** Adds a node with one output. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): string {
    const name = this.#name(type);
    this.#nodes.push(onnxNode(type, inputs, [name], { name, attributes, domain }));
    return name;
  }

  /** Adds a node whose outputs have names. */
  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
    domain = '',
    name = this.#name(type),
  ): void {
    this.#nodes.push(onnxNode(type, inputs, outputs, { name, attributes, domain }));
  }

  /** A name for an output of {@link node}. */
  fresh(type: string): string {
    return this.#name(type);
  }

  /** The model; its weights are read as they are written. */
  model(name: string): OnnxModelToWrite {
    const graph = onnxGraph(name, {
      node: this.#nodes,
      initializer: this.#initializers,
      input: this.#inputs,
      output: this.#outputs,
    });
    const isContrib = this.#nodes.some(({ domain }) => domain === CONTRIB);
    return {
      proto: onnxModel(
        graph,
        { '': this.opset, ...(isContrib && { [CONTRIB]: 1 }) },
        { irVersion: IR_VERSIONS[this.opset] as number, producerName: '@instatune/supernet' },
      ),
      weight: (tensor) => this.#weights.get(tensor) ?? bytesWeight(tensor.rawData),
    };
  }

  #constant(key: string, values: number | readonly number[], type: DataTypeName, bytes: Uint8Array): string {
    const isScalar = typeof values === 'number';
    const id = `${key}:${String(isScalar)}:${isScalar ? values : values.join()}`;
    let name = this.#constants.get(id);
    if (name === undefined) {
      name = this.#name('constant');
      this.#constants.set(id, name);
      this.#initializers.push(onnxTensor(name, type, isScalar ? [] : [values.length], bytes));
    }
    return name;
  }

  #name(type: string): string {
    return `${type}_${this.#counter++}`;
  }
}

/** A branch that gives a value of the graph around it. */
export function onnxGraphOf(value: string, type: DataTypeName, extents: Extents): GraphProto {
  const output = `${value}_branch`;
  return onnxGraph(output, {
    node: [onnxNode('Identity', [value], [output])],
    output: [onnxValue(output, type, extents)],
  });
}

/** Numbers as little-endian floats. */
export function floatBytes(values: ArrayLike<number>, type: FloatName): Uint8Array<ArrayBuffer> {
  return type === 'float' ? new Uint8Array(Float32Array.from(values).buffer) : floatsToHalves(values);
}
