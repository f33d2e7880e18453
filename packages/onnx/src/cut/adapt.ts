// The nodes around a cut: what the attention node did to queries and keys before it attended, and its output as the graph wants it.
import { onnxNode, onnxTensor } from '../model/build.ts';
import type { NodeProto } from '../model/types.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { constant, OWN } from '../graph/defaults.ts';
import { BSHD, refuse, type AttentionSite, type Axis, type Operand } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { RotaryRows } from './rotary.ts';

/** Channels that are added to each head for a sink: the kernels want a multiple of 8. */
export const SINK_CHANNELS = 8;

/** Domain and name of the node that stands for a cut attention while pieces are made; no piece holds it. */
export const CUT_DOMAIN = 'hip.cut';

/** Names of a cut's tensors, [B, S, heads, channels] each. */
export interface CutNames {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly out: string;
}

/**
 * Heads of the operands that a piece gives as [B, S, heads · channels]: splitting the last axis is left to whoever reads them, since a
 * runtime makes a reshaped output by a copy, which a captured run would leave out.
 */
export type FlatHeads = Readonly<Record<'q' | 'k' | 'v', number | undefined>>;

export function cutNames(index: number): CutNames {
  const name = (what: string) => `${OWN}.${what}.${index}`;
  return { q: name('query'), k: name('key'), v: name('value'), out: name('attention') };
}

/** How tensors between graph and kernels are stored. */
export type IoType = 'float' | 'float16';

/** What is left to the kernel of a site's scale. */
export interface Adapted {
  readonly nodes: readonly NodeProto[];
  /** Multiplies scores; undefined: 1/√channels. */
  readonly scale: number | undefined;
  readonly flat: FlatHeads;
}

/** The nodes that take a site's place. @param sinkLogits - [heads] */
export function adaptSite(
  view: GraphView,
  site: AttentionSite,
  options: {
    readonly index: number;
    readonly io: IoType;
    readonly rows: RotaryRows;
    readonly sinkLogits: readonly number[] | undefined;
  },
): Adapted {
  const { index, io, rows, sinkLogits } = options;
  const names = cutNames(index);
  const nodes: NodeProto[] = [...site.prepare];
  const { scale, dynamic } = splitFactors(view, site);
  const chain = (start: string, tag: string) => new Chain(nodes, start, `${OWN}.${index}.${tag}`);
  const type = DATA_TYPES[io];
  const queries = chain(site.q.value, 'q');
  const keys = chain(site.k.value, 'k');
  const values = chain(site.v.value, 'v');
  toTokens(queries, site.q);
  toTokens(keys, site.k);
  toTokens(values, site.v);
  if (site.norms) {
    const { q, k, epsilon } = site.norms;
    const attributes = { axis: -1n, epsilon, stash_type: 1n };
    queries.split();
    keys.split();
    queries.add('SimplifiedLayerNormalization', [q], { attributes });
    keys.add('SimplifiedLayerNormalization', [k], { attributes });
  }
  if (site.rotation) {
    const { cos, sin, interleaved } = site.rotation;
    const table = rows.of(cos, sin, site.rotation.positions);
    for (const [each, operand] of [
      [queries, site.q],
      [keys, site.k],
    ] as const) {
      const heads = headsOf(site, operand, each === queries);
      each.join(heads);
      const attributes = {
        interleaved: interleaved ? 1n : 0n,
        ...(table.channels > 0 && { num_heads: BigInt(heads), rotary_embedding_dim: BigInt(table.channels) }),
      };
      each.add('RotaryEmbedding', [table.positions, table.cos, table.sin], { domain: 'com.microsoft', attributes });
    }
  }
  const inType = (operand: Operand): number | undefined => view.types.get(operand.value);
  for (const [each, operand] of [
    [queries, site.q],
    [keys, site.k],
    [values, site.v],
  ] as const) {
    if (inType(operand) !== type) each.add('Cast', [], { attributes: { to: BigInt(type) } });
  }
  for (const { value, divides } of dynamic) {
    nodes.push(onnxNode('Cast', [value], [`${value}.${names.q}`], { attributes: { to: BigInt(type) } }));
    queries.add(divides ? 'Div' : 'Mul', [`${value}.${names.q}`]);
  }
  if (sinkLogits) addSinkChannels(queries, keys, values, { io, logits: sinkLogits, scale });
  const flat: FlatHeads = {
    q: queries.finish(names.q),
    k: keys.finish(names.k),
    v: values.finish(names.v),
  };
  nodes.push(
    onnxNode('Attention', [names.q, names.k, names.v], [names.out], { domain: CUT_DOMAIN, name: String(index) }),
  );
  const out = chain(names.out, 'out');
  if (sinkLogits) out.slice(-SINK_CHANNELS);
  // The graph's own type again.
  const outType = view.types.get(site.out.value) ?? view.types.get(site.q.value) ?? view.types.get(site.v.value);
  if (outType !== undefined && outType !== type) out.add('Cast', [], { attributes: { to: BigInt(outType) } });
  if (!Array.isArray(site.out.axes)) out.reshape([0n, 0n, -1n]);
  else out.transpose(BSHD, site.out.axes);
  out.finish(site.out.value);
  return { nodes, scale, flat };
}

/** Heads of an operand, which a rotation must know. */
function headsOf(site: AttentionSite, operand: Operand, isQuery: boolean): number {
  if (!Array.isArray(operand.axes)) return (operand.axes as { heads: number }).heads;
  const count = site.node.attribute.find(({ name }) => name === (isQuery ? 'num_heads' : 'kv_num_heads'))?.i;
  if (count === undefined) throw refuse(site.node, 'it rotates heads whose number is not known');
  return Number(count);
}

/** Constants go into the kernel's scale, sizes that only a run knows onto the queries. */
function splitFactors(
  view: GraphView,
  site: AttentionSite,
): { scale: number | undefined; dynamic: readonly AttentionSite['factors'][number][] } {
  const dynamic = site.factors.filter(({ value }) => view.scalar(value) === undefined);
  const constants = site.factors.filter(({ value }) => view.scalar(value) !== undefined);
  if (constants.length === 0) return { scale: site.scale, dynamic };
  const product = constants.reduce((all, { value, divides }) => {
    const number = view.scalar(value)!;
    return divides ? all / number : all * number;
  }, site.scale ?? 1);
  if (site.scale === undefined || !(product > 0)) throw refuse(site.node, `its scores are scaled by ${product}`);
  return { scale: product, dynamic };
}

/** To [B, S, heads, channels], or [B, S, heads · channels] where they come so. */
function toTokens(chain: Chain, { axes }: Operand): void {
  if (Array.isArray(axes)) chain.transpose(axes as readonly Axis[], BSHD);
  else chain.isJoined((axes as { heads: number }).heads);
}

/**
 * A sink is a key [0 … 0, 1, 0 …] in channels of its own, against which every query of head h has the product logit[h] / scale; its
 * value is 0. The session puts that key before the first token.
 */
function addSinkChannels(
  queries: Chain,
  keys: Chain,
  values: Chain,
  { io, logits, scale }: { io: IoType; logits: readonly number[]; scale: number | undefined },
): void {
  const zeros = Array.from({ length: SINK_CHANNELS }, () => 0);
  for (const each of [queries, keys, values]) each.split();
  const column = logits.flatMap((logit) => [logit / (scale ?? 1), ...zeros.slice(1)]);
  queries.widen(io, [logits.length, SINK_CHANNELS], column, scale === undefined);
  keys.widen(io, [1, SINK_CHANNELS], zeros);
  values.widen(io, [1, SINK_CHANNELS], zeros);
}

/** Nodes one after another on one value. */
class Chain {
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
