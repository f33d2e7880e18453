// What most attentions have in common, and the parts that several finders share.
import type { NodeProto } from '../model/types.ts';
import { onnxNode, onnxTensor } from '../model/build.ts';
import { nodeLabel } from '../model/graph.ts';
import { BHSD, refuse, type AttentionSite, type CacheNames, type Operand } from './site.ts';
import { traceTokens, type Traced } from './trace.ts';
import { floatOf, isOnnx, type GraphView } from './view.ts';

/** Names of values that the cutter makes begin with this. */
export const OWN = 'hip';

/** What a finder need not say. */
export const PLAIN = {
  prepare: [],
  past: undefined,
  present: undefined,
  cacheAxes: BHSD,
  whole: [],
  shapes: [],
  factors: [],
  softcap: 0,
  window: 0,
  causal: false,
  padding: false,
  masks: [],
  sink: undefined,
  rotation: undefined,
  norms: undefined,
  slidingCache: false,
} as const satisfies Partial<AttentionSite>;

/** `scale` of a node; 0 and absent say 1/√channels. */
export function scaleOf(node: NodeProto): number | undefined {
  return floatOf(node, 'scale') || undefined;
}

/** What is seen of keys or of values, and not of the others: something unknown is between. */
function alone(
  node: NodeProto,
  what: string,
  isOfKeys: boolean,
  { keys, values }: { readonly keys: Traced; readonly values: Traced },
): Error {
  const [own, other] = isOfKeys ? ['keys', 'values'] : ['values', 'keys'];
  const { maker } = isOfKeys ? values : keys;
  const origin = maker ? nodeLabel(maker) : 'an input';
  return refuse(node, `its ${own} are seen to be ${what}, its ${other} are not: they come from ${origin}`);
}

/** Keys and values, with the cache that plain nodes join before the attention. @throws OnnxError `unsupported` */
export function tracedKeysAndValues(
  view: GraphView,
  node: NodeProto,
  k: Operand,
  v: Operand,
): Pick<AttentionSite, 'k' | 'v' | 'past' | 'present' | 'cacheAxes' | 'whole' | 'shapes' | 'factors'> {
  const keys = traceTokens(view, node, k);
  const values = traceTokens(view, node, v);
  if (values.factors.length > 0) throw refuse(node, 'its values are scaled between cache and attention');
  if (!keys.cache !== !values.cache) throw alone(node, 'joined to a cache', keys.cache !== undefined, { keys, values });
  if (keys.isRepeated !== values.isRepeated) throw alone(node, 'repeated', keys.isRepeated, { keys, values });
  const common = {
    k: keys.operand,
    v: values.operand,
    factors: keys.factors,
    shapes: [...keys.shapes, ...values.shapes],
  };
  if (!keys.cache || !values.cache)
    return { ...common, past: undefined, present: undefined, cacheAxes: BHSD, whole: [] };
  if (keys.cache.axes.join() !== values.cache.axes.join()) {
    throw refuse(node, `its cache has keys as [${keys.cache.axes.join()}] and values as [${values.cache.axes.join()}]`);
  }
  return {
    ...common,
    past: { key: keys.cache.past, value: values.cache.past, joined: false },
    present: presentOf(view, keys.cache.whole, values.cache.whole),
    cacheAxes: keys.cache.axes,
    whole: [keys.cache.whole, values.cache.whole],
  };
}

/** The outputs of the graph that hold the whole cache, if it has any: as it is, or in another type. */
function presentOf(view: GraphView, key: string, value: string): CacheNames | undefined {
  const uncast = (name: string): string => {
    const node = view.makers.get(name);
    return isOnnx(node, 'Cast', 'Identity') ? uncast(node.input[0]!) : name;
  };
  const find = (name: string) => [...view.outputs.keys()].find((output) => uncast(output) === name);
  const [keys, values] = [find(key), find(value)];
  return keys !== undefined && values !== undefined ? { key: keys, value: values, joined: false } : undefined;
}

/** Cache inputs and outputs of a node that joins them itself. */
export function nodeCache(
  node: NodeProto,
  inputs: readonly [number, number],
  outputs: readonly [number, number],
): Pick<AttentionSite, 'past' | 'present' | 'whole'> {
  const names = (list: readonly string[], [key, value]: readonly [number, number]): CacheNames | undefined =>
    list[key] && list[value] ? { key: list[key], value: list[value], joined: false } : undefined;
  const present = names(node.output, outputs);
  return { past: names(node.input, inputs), present, whole: present ? [present.key, present.value] : [] };
}

/** Nodes that split [B, S, (a + b + c) heads · channels] into three tensors [B, S, heads, channels]. */
export function splitPacked(
  packed: string,
  heads: readonly [number, number, number],
  prefix: string,
  opset: number,
): { readonly nodes: readonly NodeProto[]; readonly values: readonly [string, string, string] } {
  const values = [`${prefix}.q`, `${prefix}.k`, `${prefix}.v`] as const;
  const total = heads[0] + heads[1] + heads[2];
  return {
    nodes: [
      constant(`${prefix}.heads`, [0n, 0n, BigInt(total), -1n]),
      onnxNode('Reshape', [packed, `${prefix}.heads`], [`${prefix}.packed`]),
      ...splitNodes(`${prefix}.packed`, heads.map(BigInt), values, opset),
    ],
    values,
  };
}

/** Sizes are an input since opset 13, an attribute before. */
function splitNodes(value: string, sizes: readonly bigint[], outputs: readonly string[], opset: number): NodeProto[] {
  if (opset < 13) return [onnxNode('Split', [value], outputs, { attributes: { axis: 2n, split: sizes } })];
  const name = `${value}.sizes`;
  return [constant(name, sizes), onnxNode('Split', [value, name], outputs, { attributes: { axis: 2n } })];
}

/** A Constant node of int64 [n]. */
export function constant(name: string, values: readonly bigint[]): NodeProto {
  const value = onnxTensor('', 'int64', [values.length], BigInt64Array.from(values));
  return onnxNode('Constant', [], [name], { attributes: { value } });
}
