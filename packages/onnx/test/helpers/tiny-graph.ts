// Small decoders of two layers, built node by node: forms of attention that exporters write and the golden graphs do not have.
import {
  onnxGraph,
  onnxModel,
  onnxModelBytes,
  onnxNode,
  onnxTensor,
  onnxValue,
  bytesWeight,
  type AttributeValue,
  type GraphProto,
  type NodeProto,
  type TensorProto,
} from '../../src/model.ts';

export const VOCABULARY = 40;
export const HEADS = 4;
export const KV_HEADS = 2;
export const CHANNELS = 32;
const WIDTH = 48;

/** Heads of queries, of keys, and channels of each. */
export interface Sizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly channels: number;
}

/** Of models that say no others. */
export const SIZES: Sizes = { heads: HEADS, kvHeads: KV_HEADS, channels: CHANNELS };

/** Parts of a graph that is being built. */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly weights: TensorProto[] = [];
  readonly sizes: Sizes;
  #seed = 1;

  constructor(sizes: Sizes = SIZES) {
    this.sizes = sizes;
  }

  /** Numbers in (−scale, scale). */
  random(count: number, scale: number): Float32Array {
    return Float32Array.from({ length: count }, () => {
      this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
      return scale * ((2 * this.#seed) / 2 ** 32 - 1);
    });
  }

  weight(name: string, dims: readonly number[], scale = 0.35): string {
    const count = dims.reduce((a, b) => a * b, 1);
    this.weights.push(onnxTensor(name, 'float', dims, this.random(count, scale)));
    return name;
  }

  floats(name: string, dims: readonly number[], values: readonly number[]): string {
    this.weights.push(onnxTensor(name, 'float', dims, Float32Array.from(values)));
    return name;
  }

  ints(name: string, values: readonly number[], dims: readonly number[] = [values.length]): string {
    this.weights.push(onnxTensor(name, 'int64', dims, BigInt64Array.from(values, BigInt)));
    return name;
  }

  /** Adds a node; returns its first output. */
  add(
    opType: string,
    inputs: readonly string[],
    output: string,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
    more: readonly string[] = [],
  ): string {
    this.nodes.push(
      onnxNode(opType, inputs, [output, ...more], { name: `node ${this.nodes.length}`, domain, attributes }),
    );
    return output;
  }
}

/** What a layer's attention is: nodes from q, k, v [B, S, heads · channels] to the output of the same shape. */
export type AttentionOf = (graph: GraphBuilder, layer: number, q: string, k: string, v: string) => string;

export interface TinyOptions {
  readonly opset?: number;
  /** Nodes that all layers share. */
  readonly before?: (graph: GraphBuilder) => void;
  readonly attention: AttentionOf;
  /** The hidden states of the ids, and the logits of hidden states. @defaultValue a table and a product */
  readonly embed?: (graph: GraphBuilder) => string;
  readonly head?: (graph: GraphBuilder, hidden: string) => void;
  readonly hasPositions?: boolean;
  /** @defaultValue true */
  readonly hasCache?: boolean;
  /** Texts: a number, or the name of one. @defaultValue 'batch' */
  readonly batch?: number | string;
  readonly sizes?: Sizes;
  /** Axes of the cache. @defaultValue [batch, kv heads, past, channels] */
  readonly cacheDims?: readonly (number | string)[];
}

/** A decoder with inputs input_ids, attention_mask, (position_ids,) past_key_values.N.key/value. */
export async function tinyModel(options: TinyOptions): Promise<Uint8Array> {
  const { opset = 21, attention, hasPositions, hasCache = true, batch = 'batch', sizes = SIZES } = options;
  const { heads, kvHeads, channels } = sizes;
  const { cacheDims = [batch, kvHeads, 'past', channels] } = options;
  const graph = new GraphBuilder(sizes);
  options.before?.(graph);
  let hidden =
    options.embed?.(graph) ??
    graph.add('Gather', [graph.weight('table', [VOCABULARY, WIDTH], 1), 'input_ids'], 'embedded');
  for (let layer = 0; layer < 2; layer++) {
    const project = (what: string, size: number) =>
      graph.add('MatMul', [hidden, graph.weight(`${what}${layer}.weight`, [WIDTH, size])], `${what}${layer}`);
    const [q, k, v] = [
      project('q', heads * channels),
      project('k', kvHeads * channels),
      project('v', kvHeads * channels),
    ];
    const attended = attention(graph, layer, q, k, v);
    const out = graph.add(
      'MatMul',
      [attended, graph.weight(`o${layer}.weight`, [heads * channels, WIDTH])],
      `o${layer}`,
    );
    hidden = graph.add('Add', [hidden, out], `hidden${layer}`);
  }
  if (options.head) options.head(graph, hidden);
  else graph.add('MatMul', [hidden, graph.weight('head', [WIDTH, VOCABULARY])], 'logits');
  const caches = hasCache ? [0, 1].flatMap((layer) => ['key', 'value'].map((part) => `${layer}.${part}`)) : [];
  const total = cacheDims.map((dim) => (dim === 'past' ? 'total' : dim));
  const proto = onnxModel(
    onnxGraph('tiny', {
      node: graph.nodes,
      initializer: graph.weights,
      input: [
        onnxValue('input_ids', 'int64', [batch, 'sequence']),
        onnxValue('attention_mask', 'int64', [batch, 'columns']),
        ...(hasPositions ? [onnxValue('position_ids', 'int64', [batch, 'sequence'])] : []),
        ...caches.map((name) => onnxValue(`past_key_values.${name}`, 'float', cacheDims)),
      ],
      output: [
        onnxValue('logits', 'float', [batch, 'sequence', VOCABULARY]),
        ...caches.map((name) => onnxValue(`present.${name}`, 'float', total)),
      ],
    }),
    { '': opset, 'com.microsoft': 1 },
    { irVersion: 10 },
  );
  return onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
}

/** seqlens_k and total_sequence_length from the mask of padding. @param isCaptured - as graphs for capture do: the most tokens of a text */
export function lengths(graph: GraphBuilder, isCaptured = false): void {
  graph.ints('one', [1]);
  graph.add('ReduceSum', ['attention_mask', 'one'], 'sums', { keepdims: 0n });
  graph.ints('one.scalar', [1], []);
  graph.add('Sub', ['sums', 'one.scalar'], 'last');
  graph.add('Cast', ['last'], 'seqlens', { to: 6n });
  if (isCaptured) graph.add('ReduceMax', ['sums'], 'most', { keepdims: 0n });
  else {
    graph.add('Shape', ['attention_mask'], 'mask.shape');
    graph.add('Gather', ['mask.shape', 'one.scalar'], 'most');
  }
  graph.add('Cast', ['most'], 'total', { to: 6n });
}

/** cos and sin tables [rows, channels / 2]. */
export function rotaryTables(graph: GraphBuilder, prefix: string, rows: number, half: number, base: number): void {
  const angles = Array.from({ length: rows * half }, (_, i) => Math.floor(i / half) / base ** ((i % half) / half));
  graph.floats(`${prefix}cos`, [rows, half], angles.map(Math.cos));
  graph.floats(`${prefix}sin`, [rows, half], angles.map(Math.sin));
}

/** A branch that hands on two tables of the graph around it. */
export function branch(name: string, prefix: string): GraphProto {
  return onnxGraph(name, {
    node: ['cos', 'sin'].map((each) => onnxNode('Identity', [`${prefix}${each}`], [`${name}.${each}`])),
    output: ['cos', 'sin'].map((each) => onnxValue(`${name}.${each}`, 'float')),
  });
}

/** GroupQueryAttention. @param more - its inputs from 7 on */
export function groupQuery(
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: readonly string[] = [],
): AttentionOf {
  return (graph, layer, q, k, v) => {
    const past = ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`);
    const present = ['key', 'value'].map((part) => `present.${layer}.${part}`);
    return graph.add(
      'GroupQueryAttention',
      [q, k, v, ...past, 'seqlens', 'total', ...more],
      `attended${layer}`,
      { num_heads: BigInt(graph.sizes.heads), kv_num_heads: BigInt(graph.sizes.kvHeads), ...attributes },
      'com.microsoft',
      present,
    );
  };
}
