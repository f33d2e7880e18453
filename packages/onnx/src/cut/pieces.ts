// A graph cut at its attentions: pieces that run one after another, each a model with its own weights only.
import { onnxGraph } from '../model/build.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { nodeLabel, readsOf } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';
import { refuse, type AttentionSite } from '../graph/site.ts';
import { inferTypes } from '../graph/types.ts';
import type { GraphView } from '../graph/view.ts';
import { adaptSite, CUT_DOMAIN, cutNames, type CutNames, type FlatHeads } from './adapt.ts';
import { cacheShape, cacheValues, knownShapes, type CacheShape } from './cache-shapes.ts';
import type { IoType } from './chain.ts';
import { dividing, type Piece } from './divide.ts';
import { ordered } from './order.ts';
import { POSITIONS, RotaryRows, ROWS } from './rotary.ts';

/** A cut graph. */
export interface CutGraph {
  readonly pieces: readonly Piece[];
  readonly names: readonly CutNames[];
  /** Operands of each site whose heads lie in one axis. */
  readonly flat: readonly FlatHeads[];
  /** What multiplies the scores of each site; undefined: 1/√channels. */
  readonly scales: readonly (number | undefined)[];
  readonly cacheShapes: readonly CacheShape[];
}

/**
 * Cuts a graph.
 *
 * @param sinkLogits - of each site: [heads], or undefined
 * @throws OnnxError `unsupported` where something besides an attention reads its whole cache, or a type is not known
 */
export function cutGraph(
  view: GraphView,
  sites: readonly AttentionSite[],
  options: { readonly io: IoType; readonly sinkLogits: readonly (readonly number[] | undefined)[] },
): CutGraph {
  const rows = new RotaryRows(view);
  const adapted = sites.map((site, index) =>
    adaptSite(view, site, { index, io: options.io, rows, sinkLogits: options.sinkLogits[index] }),
  );
  const cacheShapes: CacheShape[] = [];
  const makers = new Map<string, NodeProto>();
  const add = (node: NodeProto): void => {
    for (const name of node.output) if (name !== '') makers.set(name, node);
  };
  const caches = cacheValues(sites);
  // Repeated keys and values are no longer made; their sizes may still be asked for.
  const repeated = new Map([...knownShapes(view, sites)].filter(([, { tokens }]) => tokens === 'whole'));
  for (const node of view.nodes) {
    const shape = cacheShape(view, node, caches, repeated);
    if (shape) cacheShapes.push(shape);
    else add(rows.rewritten(node) ?? node);
  }
  for (const name of cacheShapes.map(({ output }) => output)) makers.delete(name);
  for (const node of [...rows.nodes, ...adapted.flatMap(({ nodes }) => nodes)]) add(node);
  const presents = new Set(sites.flatMap(({ present }) => (present ? [present.key, present.value] : [])));
  for (const name of presents) makers.delete(name);
  const outputs = [...view.outputs.keys()].filter((name) => !presents.has(name));
  const order = ordered([...outputs, ...sites.flatMap((_, i) => Object.values(cutNames(i)))], makers);
  checkReads(view, order, sites, caches);
  const types = typesOf(view, order, options.io, sites.length, cacheShapes);
  const pieces = dividing({ view, order, makers, types, outputs, sites });
  return {
    pieces,
    names: sites.map((_, i) => cutNames(i)),
    flat: adapted.map(({ flat }) => flat),
    scales: adapted.map(({ scale }) => scale),
    cacheShapes,
  };
}

/** Nothing that is left reads a cache. */
function checkReads(
  view: GraphView,
  order: readonly NodeProto[],
  sites: readonly AttentionSite[],
  caches: ReturnType<typeof cacheValues>,
): void {
  for (const node of order) {
    for (const name of readsOf(node)) {
      const found = caches.get(name);
      if (!found || node.domain === CUT_DOMAIN) continue;
      const site = sites[found.site]!;
      throw refuse(site.node, `${nodeLabel(node)} reads its cache ${name} too`, {
        value: name,
        reader: nodeLabel(node),
      });
    }
  }
}

function typesOf(
  view: GraphView,
  order: readonly NodeProto[],
  io: IoType,
  sites: number,
  shapes: readonly CacheShape[],
): ReadonlyMap<string, number> {
  const known = new Map(view.types);
  const set = (name: string, type: 'float' | 'float16' | 'int64') => known.set(name, DATA_TYPES[type]);
  for (const name of [POSITIONS, ROWS, ...shapes.map(({ output }) => output)]) set(name, 'int64');
  for (let i = 0; i < sites; i++) for (const name of Object.values(cutNames(i))) set(name, io);
  return inferTypes(onnxGraph('', { node: [...order] }), known);
}
