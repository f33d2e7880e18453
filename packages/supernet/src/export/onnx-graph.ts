// An ONNX graph under construction: nodes, constants, inputs and outputs, encoded as a ModelProto.
import { SupernetError } from '../errors.ts';
import { Message } from './protobuf.ts';

/** Operator set of the exported graphs. */
export const OPSET = 17;
/** IR version that goes with opset 17. */
const IR_VERSION = 8;
const FLOAT = 1;
const INT64 = 7;
/** A protobuf message cannot be larger. */
const MAX_BYTES = 2 ** 31 - 1;

/** Attribute values: integers as bigint or integer lists, floats as number, names as string. */
export type Attribute = bigint | number | string | readonly bigint[];

/** Extents of an input or output: fixed numbers or named dynamic axes. */
export type Extents = readonly (number | string)[];

/** Builds a graph; every operation returns the name of its output. */
export class OnnxGraph {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #constants = new Map<string, string>();
  #counter = 0;

  /** A graph input. */
  input(name: string, type: 'float' | 'int64', extents: Extents): string {
    this.#inputs.push(valueInfo(name, type, extents));
    return name;
  }

  /** Gives a value its public name. */
  output(value: string, name: string, extents: Extents): void {
    this.#nodes.push(node('Identity', [value], name, this.#name('Identity'), {}));
    this.#outputs.push(valueInfo(name, 'float', extents));
  }

  /** A weight. */
  weight(name: string, data: Float32Array, shape: readonly number[]): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.push(tensor(name, FLOAT, shape, bytes));
    return name;
  }

  /** A float scalar or vector constant. */
  float(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const bytes = new Uint8Array(new Float32Array(list).buffer);
    return this.#constant(
      `f:${typeof values}:${list.join()}`,
      FLOAT,
      typeof values === 'number' ? [] : [list.length],
      bytes,
    );
  }

  /** An int64 scalar or vector constant. */
  int(values: number | readonly number[]): string {
    const list = typeof values === 'number' ? [values] : values;
    const bytes = new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
    return this.#constant(
      `i:${typeof values}:${list.join()}`,
      INT64,
      typeof values === 'number' ? [] : [list.length],
      bytes,
    );
  }

  /** Adds a node with one output. */
  op(type: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const name = this.#name(type);
    this.#nodes.push(node(type, inputs, name, name, attributes));
    return name;
  }

  /** The encoded model. @throws SupernetError `unsupported` above protobuf's 2 GiB. */
  encode(name: string): Uint8Array {
    const graph = new Message();
    for (const entry of this.#nodes) graph.message(1, entry);
    graph.string(2, name);
    for (const entry of this.#initializers) graph.message(5, entry);
    for (const entry of this.#inputs) graph.message(11, entry);
    for (const entry of this.#outputs) graph.message(12, entry);
    if (graph.size > MAX_BYTES) {
      throw new SupernetError(
        'unsupported',
        `the ONNX model would have ${graph.size} bytes, protobuf allows ${MAX_BYTES}`,
        {
          bytes: graph.size,
        },
      );
    }
    return new Message()
      .integer(1, IR_VERSION)
      .string(2, '@instatune/supernet')
      .message(7, graph)
      .message(8, new Message().string(1, '').integer(2, OPSET))
      .finish();
  }

  #constant(key: string, type: number, shape: readonly number[], bytes: Uint8Array): string {
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = this.#name('constant');
      this.#constants.set(key, name);
      this.#initializers.push(tensor(name, type, shape, bytes));
    }
    return name;
  }

  #name(type: string): string {
    return `${type}_${this.#counter++}`;
  }
}

function node(
  type: string,
  inputs: readonly string[],
  output: string,
  name: string,
  attributes: Readonly<Record<string, Attribute>>,
): Message {
  const message = new Message();
  for (const input of inputs) message.string(1, input);
  message.string(2, output).string(3, name).string(4, type);
  for (const [key, value] of Object.entries(attributes)) message.message(5, attribute(key, value));
  return message;
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().string(1, name);
  if (typeof value === 'bigint') return message.integer(3, value).integer(20, 2);
  if (typeof value === 'number') return message.float(2, value).integer(20, 1);
  if (typeof value === 'string') return message.string(4, value).integer(20, 3);
  for (const entry of value) message.integer(8, entry);
  return message.integer(20, 7);
}

function tensor(name: string, type: number, shape: readonly number[], bytes: Uint8Array): Message {
  const message = new Message();
  for (const extent of shape) message.integer(1, extent);
  return message.integer(2, type).string(8, name).bytes(9, bytes);
}

function valueInfo(name: string, type: 'float' | 'int64', extents: Extents): Message {
  const shape = new Message();
  for (const extent of extents) {
    const dimension = new Message();
    shape.message(1, typeof extent === 'number' ? dimension.integer(1, extent) : dimension.string(2, extent));
  }
  const tensorType = new Message().integer(1, type === 'float' ? FLOAT : INT64).message(2, shape);
  return new Message().string(1, name).message(2, new Message().message(1, tensorType));
}
