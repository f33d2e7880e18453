// The nodes around a cut: what the attention node did to queries and keys before it attended, and its output as the graph wants it.
import { onnxNode } from '../model/build.ts';
import type { NodeProto } from '../model/types.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { OWN } from '../graph/defaults.ts';
import { BSHD, refuse, type AttentionSite, type Axis, type Operand } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import { Chain, type IoType } from './chain.ts';
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
