// The nodes that make the masks of attentions, as a model that can be run by itself.
import { nodeLabel, readsOf } from '../model/graph.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import type { NodeProto } from '../model/types.ts';
import { refuse, type AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import { cacheShape, cacheValues, knownShapes, type CacheShape } from './cache-shapes.ts';
import { pieceOf, type Piece } from './divide.ts';
import { ordered } from './order.ts';

/**
 * The nodes that make the masks of attentions, as a model of its own. Outputs are `hip.mask.<i>`, made by `finish`.
 *
 * @throws OnnxError `unsupported` where a mask depends on what an attention gave
 */
export function maskPiece(
  view: GraphView,
  sites: readonly AttentionSite[],
  values: readonly string[],
  finish: (value: string, name: string) => NodeProto,
): {
  readonly piece: Piece;
  readonly cacheShapes: readonly CacheShape[];
  readonly cone: ReturnType<GraphView['cone']>;
} {
  const caches = cacheValues(sites);
  const known = knownShapes(view, sites);
  const cacheShapes: CacheShape[] = [];
  const makers = new Map<string, NodeProto>();
  for (const node of view.nodes) {
    const shape = cacheShape(view, node, caches, known);
    if (shape) cacheShapes.push(shape);
    else for (const name of node.output) if (name !== '') makers.set(name, node);
  }
  const wanted = values.map((value, i) => {
    const name = `hip.mask.${i}`;
    makers.set(name, finish(value, name));
    return name;
  });
  const order = ordered(wanted, makers);
  const made = new Map(sites.flatMap(({ node, out }) => [[out.value, node] as const]));
  for (const node of order) {
    for (const name of readsOf(node)) {
      const owner = made.get(name) ?? sites[caches.get(name)?.site ?? -1]?.node;
      if (owner) throw refuse(owner, `a mask is made from it (by ${nodeLabel(node)})`);
    }
  }
  const types = new Map(view.types);
  for (const name of wanted) types.set(name, DATA_TYPES.float);
  for (const { output } of cacheShapes) types.set(output, DATA_TYPES.int64);
  const piece = pieceOf({ view, order, makers, types, outputs: wanted, sites }, { nodes: order, wanted, sites: [] });
  const inputs = new Set(order.flatMap((node) => readsOf(node)).filter((name) => view.inputs.has(name)));
  return { piece, cacheShapes, cone: { nodes: new Set(order), inputs } };
}
