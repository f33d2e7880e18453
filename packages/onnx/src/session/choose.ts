// The attentions of a graph that are cut: chosen, checked to attend to the tokens' own text, with the logits of their sinks.
import { OnnxError } from '../errors.ts';
import { nodeLabel } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';
import { findAttention } from '../graph/find.ts';
import { refuse, type AttentionSite } from '../graph/site.ts';
import { isFloat } from '../graph/types.ts';
import { isOnnx, type GraphView } from '../graph/view.ts';
import { floatsOf } from './tensors.ts';

/** The attentions that are cut, in the order in which they run, and those that stay. */
export function attentionSites(
  view: GraphView,
  layers: readonly number[] | undefined,
): { readonly chosen: readonly AttentionSite[]; readonly others: readonly AttentionSite[] } {
  const found = findAttention(view);
  if (found.length === 0) {
    const message = `the graph has no attention that this package knows: ${view.nodes.length} nodes, none of GroupQueryAttention, MultiHeadAttention, Attention or a softmax between two products`;
    throw new OnnxError('unsupported', message, { nodes: view.nodes.length });
  }
  for (const layer of layers ?? []) {
    if (Number.isInteger(layer) && layer >= 0 && layer < found.length) continue;
    throw new OnnxError('invalid-option', `layers holds ${layer}: the graph has attentions 0 to ${found.length - 1}`, {
      layer,
    });
  }
  const chosen = layers ? found.filter((_, i) => layers.includes(i)) : found;
  if (chosen.length === 0)
    throw new OnnxError('invalid-option', 'layers is empty: name at least one attention, or leave it out', {});
  const isSite = (site: AttentionSite | Error): site is AttentionSite => !(site instanceof Error);
  return {
    chosen: chosen.map(({ site }) => {
      if (!isSite(site)) throw site;
      return site;
    }),
    others: found.filter((each) => !chosen.includes(each)).flatMap(({ site }) => (isSite(site) ? [site] : [])),
  };
}

/** Sizes say nothing of where numbers come from. */
function isShape(node: NodeProto): boolean {
  return isOnnx(node, 'Shape', 'Size');
}

/** Keys come from the tokens' own states, not from an encoder's. */
export function checkTexts(view: GraphView, sites: readonly AttentionSite[], tokens: string): void {
  const seen = new Map<string, string>();
  for (const { node, q, k, prepare, past } of sites) {
    const before = (value: string) => [value, ...prepare.flatMap(({ input }) => [...input])];
    const queries = view.cone(before(q.value), isShape).inputs;
    const keys = view.cone(before(k.value), isShape).inputs;
    if (!keys.has(tokens) || !queries.has(tokens)) {
      throw refuse(
        node,
        `its keys are not made from ${tokens} but from ${[...keys].join(', ') || 'weights'}: it is a cross-attention`,
        { tokens },
      );
    }
    if (!past) {
      checkNoCache(view, sites, { node, k });
      continue;
    }
    const owner = seen.get(past.key);
    if (owner !== undefined) throw refuse(node, `it shares the cache ${past.key} with ${owner}`, { cache: past.key });
    seen.set(past.key, nodeLabel(node));
  }
}

/** Without a cache of its own keys come from nothing that is one: then something unknown is between it and them. */
function checkNoCache(
  view: GraphView,
  sites: readonly AttentionSite[],
  { node, k }: Pick<AttentionSite, 'node' | 'k'>,
): void {
  const ends = new Set(sites.map(({ out }) => view.maker(out.value)));
  const { inputs } = view.cone([k.value], (each) => ends.has(each) || isShape(each));
  const cache = [...inputs].find((name) => isFloat(view.types.get(name)) && (view.dims(name)?.length ?? 0) > 3);
  if (cache === undefined) return;
  const maker = view.maker(k.value);
  const origin = maker ? nodeLabel(maker) : k.value;
  throw refuse(node, `its keys come from ${origin}, which is made from the cache ${cache} in a way that is not known`, {
    cache,
  });
}

/** Logits of a site's sinks, one for each head; what a soft-cap would do to them is undone. */
export async function sinksOf(view: GraphView, site: AttentionSite): Promise<readonly number[] | undefined> {
  const { sink, softcap, node, q } = site;
  if (sink === undefined) return undefined;
  const heads = Number(node.attribute.find(({ name }) => ['num_heads', 'q_num_heads'].includes(name))?.i ?? 0);
  const logits = typeof sink === 'number' ? Array.from({ length: heads }, () => sink) : await weightNumbers(view, sink);
  if (!logits || logits.length === 0 || (heads > 0 && logits.length !== heads)) {
    throw refuse(node, `its sinks ${String(sink)} are no weight of one number a head (queries ${q.value})`, { sink });
  }
  if (softcap === 0) return logits;
  if (logits.some((logit) => Math.abs(logit) >= softcap))
    throw refuse(node, `its sinks are beyond its soft-cap ${softcap}`, { softcap });
  return logits.map((logit) => softcap * Math.atanh(logit / softcap));
}

async function weightNumbers(view: GraphView, name: string): Promise<readonly number[] | undefined> {
  const constant = view.constant(name);
  if (constant) return constant.values;
  const tensor = view.initializers.get(name);
  if (!tensor) return undefined;
  const bytes = (await view.model.weight(tensor).read()).slice();
  return [
    ...(tensor.dataType === 10 ? floatsOf('float16', new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer)),
  ];
}
