// Nodes that are put one after another on one value: casts, transposes, channels more or fewer.
import { onnxNode, onnxTensor } from '../model/build.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import type { NodeProto } from '../model/types.ts';
import { constant } from '../graph/defaults.ts';
import type { Axis } from '../graph/site.ts';

/** How tensors between graph and kernels are stored. */
export type IoType = 'float' | 'float16';

/** Nodes one after another on one value. */
export class Chain {
  readonly #nodes: NodeProto[];
  readonly #prefix: string;
  #value: string;
  #count = 0;
  /** A node of this chain makes the value. */
  #isMade = false;
  /** Heads whose channels lie in one axis; undefined: they have an axis of their own. */
  #joined: number | undefined;

  constructor(nodes: NodeProto[], value: string, prefix: string) {
    this.#nodes = nodes;
    this.#value = value;
    this.#prefix = prefix;
  }

  #next(): string {
    return `${this.#prefix}.${this.#count++}`;
  }

  add(opType: string, more: readonly string[], options: Parameters<typeof onnxNode>[3] = {}): void {
    const output = this.#next();
    this.#nodes.push(onnxNode(opType, [this.#value, ...more], [output], options));
    this.#value = output;
    this.#isMade = true;
  }

  #constant(values: readonly bigint[]): string {
    const name = this.#next();
    this.#nodes.push(constant(name, values));
    return name;
  }

  reshape(shape: readonly bigint[]): void {
    this.add('Reshape', [this.#constant(shape)]);
  }

  /** Notes that the value is [B, S, heads · channels]. */
  isJoined(heads: number): void {
    this.#joined = heads;
  }

  /** To [B, S, heads · channels]. */
  join(heads: number): void {
    if (this.#joined === undefined) this.reshape([0n, 0n, -1n]);
    this.#joined = heads;
  }

  /** To [B, S, heads, channels]. */
  split(): void {
    if (this.#joined !== undefined) this.reshape([0n, 0n, BigInt(this.#joined), -1n]);
    this.#joined = undefined;
  }

  transpose(from: readonly Axis[], to: readonly Axis[]): void {
    const perm = to.map((axis) => BigInt(from.indexOf(axis)));
    if (perm.every((axis, i) => axis === BigInt(i))) return;
    this.add('Transpose', [], { attributes: { perm } });
  }

  /** Keeps the last axis up to `end`, which counts from its end. */
  slice(end: number): void {
    this.add('Slice', [this.#constant([0n]), this.#constant([BigInt(end)]), this.#constant([3n])]);
  }

  /** Adds channels behind those that are there: [heads or 1, channels], the same for every token. @param isRooted - times √channels */
  widen(io: IoType, dims: readonly [number, number], numbers: readonly number[], isRooted = false): void {
    const added = this.#next();
    const value = onnxTensor('', 'float', [1, 1, ...dims], Float32Array.from(numbers));
    this.#nodes.push(onnxNode('Constant', [], [added], { attributes: { value } }));
    const [shape, leading, sizes, target, typed, wide] = [
      this.#next(),
      this.#next(),
      this.#next(),
      this.#next(),
      this.#next(),
      this.#next(),
    ];
    this.#nodes.push(onnxNode('Shape', [this.#value], [shape]));
    const [start, end, axis] = [this.#constant([0n]), this.#constant([3n]), this.#constant([0n])];
    this.#nodes.push(onnxNode('Slice', [shape, start, end, axis], [leading]));
    this.#nodes.push(constant(sizes, [BigInt(dims[1])]));
    this.#nodes.push(onnxNode('Concat', [leading, sizes], [target], { attributes: { axis: 0n } }));
    const scaled = isRooted ? this.#timesRoot(shape, added) : added;
    this.#nodes.push(onnxNode('Cast', [scaled], [typed], { attributes: { to: BigInt(DATA_TYPES[io]) } }));
    this.#nodes.push(onnxNode('Expand', [typed, target], [wide]));
    this.add('Concat', [wide], { attributes: { axis: 3n } });
  }

  /** A float times the root of the last size of a shape. */
  #timesRoot(shape: string, value: string): string {
    const [size, float, root, product] = [this.#next(), this.#next(), this.#next(), this.#next()];
    this.#nodes.push(onnxNode('Gather', [shape, this.#constant([3n])], [size]));
    this.#nodes.push(onnxNode('Cast', [size], [float], { attributes: { to: BigInt(DATA_TYPES.float) } }));
    this.#nodes.push(onnxNode('Sqrt', [float], [root]));
    this.#nodes.push(onnxNode('Mul', [value, root], [product]));
    return product;
  }

  /** Gives the value its name. @returns heads whose channels lie in one axis */
  finish(name: string): number | undefined {
    const last = this.#nodes.findLastIndex(({ output }) => output[0] === this.#value);
    // A node of its own: no runtime copies a value because it has two names.
    if (this.#isMade && last >= 0) this.#nodes[last] = { ...this.#nodes[last]!, output: [name] };
    else this.#nodes.push(onnxNode('Identity', [this.#value], [name]));
    this.#value = name;
    return this.#joined;
  }
}
