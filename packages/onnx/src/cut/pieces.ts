// A graph cut at its attentions: pieces that run one after another, each a model with its own weights only.
import { OnnxError } from '../errors.ts';
import { onnxGraph, onnxValue, tensorTypeOf } from '../model/build.ts';
import { dataTypeName } from '../model/data-types.ts';
import { nodeLabel, readsOf } from '../model/graph.ts';
import type { NodeProto, ValueInfoProto } from '../model/types.ts';
import type { OnnxModelToWrite } from '../model/render.ts';
import { graphsOf } from '../model/walk.ts';
import { refuse, type AttentionSite, type Axis } from '../graph/site.ts';
import { inferTypes, isFloat } from '../graph/types.ts';
import { intOf, intsOf, isContrib, isOnnx, type GraphView } from '../graph/view.ts';
import { adaptSite, CUT_DOMAIN, cutNames, type CutNames, type FlatHeads, type IoType } from './adapt.ts';
import { POSITIONS, RotaryRows, ROWS } from './rotary.ts';

/** A shape that the graph asks for: `output` is that of one of a site's tensors, from axis `start` up to `end`. */
export interface CacheShape {
  readonly output: string;
  readonly site: number;
  /** Tokens along its axis S. */
  readonly tokens: 'past' | 'new' | 'whole';
  readonly axes: readonly Axis[];
  /** One tensor holds both halves of a cache. */
  readonly joined: boolean;
  readonly start: number;
  readonly end: number | undefined;
}

/** One piece. */
export interface Piece {
  readonly inputs: readonly string[];
  /** Element type of each output. */
  readonly outputs: ReadonlyMap<string, number>;
  /** Sites whose queries, keys and values it makes. */
  readonly sites: readonly number[];
  readonly model: OnnxModelToWrite;
}

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
  for (const name of wanted) types.set(name, 1);
  for (const { output } of cacheShapes) types.set(output, onnxTypeNumber('int64'));
  const piece = pieceOf({ view, order, makers, types, outputs: wanted, sites }, { nodes: order, wanted, sites: [] });
  const inputs = new Set(order.flatMap((node) => readsOf(node)).filter((name) => view.inputs.has(name)));
  return { piece, cacheShapes, cone: { nodes: new Set(order), inputs } };
}

/** A value of a site whose shape is known. */
type SiteShape = Omit<CacheShape, 'output' | 'start' | 'end'>;

/** Values that hold caches: of what was before, and of everything. */
function cacheValues(sites: readonly AttentionSite[]): ReadonlyMap<string, SiteShape> {
  const values = new Map<string, SiteShape>();
  for (const [site, { past, present, whole, cacheAxes: axes }] of sites.entries()) {
    for (const name of whole) values.set(name, { site, tokens: 'whole', axes, joined: present?.joined === true });
    if (past)
      for (const name of [past.key, past.value]) values.set(name, { site, tokens: 'past', axes, joined: past.joined });
  }
  return values;
}

/** Values on the way to attentions, and their transposes. */
function knownShapes(view: GraphView, sites: readonly AttentionSite[]): ReadonlyMap<string, SiteShape> {
  const known = new Map<string, SiteShape>();
  const open = sites.flatMap(({ shapes }, site) =>
    shapes.map(({ value, axes, isWhole }): [string, SiteShape] => [
      value,
      { site, tokens: isWhole ? 'whole' : 'new', axes, joined: false },
    ]),
  );
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, shape] = next;
    if (known.has(value)) continue;
    known.set(value, shape);
    for (const node of view.readers.get(value) ?? []) {
      const perm = isOnnx(node, 'Transpose') ? intsOf(node, 'perm') : undefined;
      if (perm?.length !== shape.axes.length) continue;
      open.push([node.output[0]!, { ...shape, axes: perm.map((from) => shape.axes[from]!) }]);
    }
  }
  return known;
}

function cacheShape(
  view: GraphView,
  node: NodeProto,
  caches: ReturnType<typeof cacheValues>,
  known?: ReturnType<typeof knownShapes>,
): CacheShape | undefined {
  if (!isOnnx(node, 'Shape')) return undefined;
  const value = view.source(node.input[0] ?? '');
  const found = caches.get(value) ?? known?.get(value);
  if (!found) return undefined;
  const end = node.attribute.some(({ name }) => name === 'end') ? intOf(node, 'end', 0) : undefined;
  return { output: node.output[0]!, ...found, start: intOf(node, 'start', 0), end };
}

/** Nodes that the roots need, in an order in which they can run. */
function ordered(roots: readonly string[], makers: ReadonlyMap<string, NodeProto>): NodeProto[] {
  const order: NodeProto[] = [];
  const state = new Map<NodeProto, boolean>();
  for (const root of roots) {
    const first = makers.get(root);
    if (!first || state.has(first)) continue;
    state.set(first, false);
    const stack = [{ node: first, reads: readsOf(first), next: 0 }];
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.reads[top.next++];
      if (name === undefined) {
        state.set(top.node, true);
        order.push(top.node);
        stack.pop();
        continue;
      }
      const maker = makers.get(name);
      if (!maker || state.get(maker) === true) continue;
      if (state.get(maker) === false) {
        throw new OnnxError('unsupported', `${nodeLabel(maker)} would wait for itself once the graph is cut`, {
          value: name,
        });
      }
      state.set(maker, false);
      stack.push({ node: maker, reads: readsOf(maker), next: 0 });
    }
  }
  return order;
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
      const found = caches.get(view.source(name)) ?? caches.get(name);
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
  const set = (name: string, type: 'float' | 'float16' | 'int64') => known.set(name, onnxTypeNumber(type));
  for (const name of [POSITIONS, ROWS, ...shapes.map(({ output }) => output)]) set(name, 'int64');
  for (let i = 0; i < sites; i++) for (const name of Object.values(cutNames(i))) set(name, io);
  return inferTypes(onnxGraph('', { node: [...order] }), known);
}

function onnxTypeNumber(type: 'float' | 'float16' | 'int64'): number {
  return { float: 1, float16: 10, int64: 7 }[type];
}

interface Whole {
  readonly view: GraphView;
  readonly order: readonly NodeProto[];
  readonly makers: ReadonlyMap<string, NodeProto>;
  readonly types: ReadonlyMap<string, number>;
  readonly outputs: readonly string[];
  readonly sites: readonly AttentionSite[];
}

/** Nodes by the number of attentions that must have run before. */
function dividing(whole: Whole): Piece[] {
  const { view, order, makers, types, outputs, sites } = whole;
  const stageOf = new Map<NodeProto, number>();
  const valueStage = (name: string): number => {
    const maker = makers.get(name);
    return maker ? (stageOf.get(maker) ?? 0) : 0;
  };
  for (const node of order) {
    const inputs = Math.max(0, ...readsOf(node).map(valueStage));
    stageOf.set(node, node.domain === CUT_DOMAIN ? inputs + 1 : inputs);
  }
  const again = repeatable(view, order, types);
  const siteStage = sites.map((_, i) => stageOf.get(makers.get(cutNames(i).out)!)! - 1);
  const count = Math.max(0, ...order.map((node) => stageOf.get(node)!)) + 1;
  // Values that a later piece reads and does not make again.
  const crossing = new Set<string>();
  for (const node of order) {
    if (node.domain === CUT_DOMAIN) continue;
    const stage = stageOf.get(node)!;
    for (const name of readsOf(node)) {
      const maker = makers.get(name);
      if (!maker || maker.domain === CUT_DOMAIN) continue;
      if (stageOf.get(maker)! < stage && !again.has(maker)) crossing.add(name);
    }
  }
  return Array.from({ length: count }, (_, stage) => {
    const made = [...crossing].filter((name) => valueStage(name) === stage);
    const own = sites.flatMap((_, i) => (siteStage[i] === stage ? [i] : []));
    const cut = own.flatMap((i) => [cutNames(i).q, cutNames(i).k, cutNames(i).v]);
    const final = outputs.filter((name) => valueStage(name) === stage);
    const wanted = [...new Set([...cut, ...made, ...final])];
    const available = new Map(
      [...makers].filter(([, node]) => node.domain !== CUT_DOMAIN && (stageOf.get(node) === stage || again.has(node))),
    );
    const nodes = ordered(wanted, available);
    return pieceOf(whole, { nodes, wanted, sites: own });
  });
}

/** Small integer work on the inputs (shapes, ranges): done again in each piece that needs it, which is less than handing it on. */
function repeatable(view: GraphView, order: readonly NodeProto[], types: ReadonlyMap<string, number>): Set<NodeProto> {
  const again = new Set<NodeProto>();
  const makers = new Map(order.flatMap((node) => node.output.map((name) => [name, node] as const)));
  for (const node of order) {
    if (isOnnx(node, 'Constant')) {
      again.add(node);
      continue;
    }
    if (
      node.domain === CUT_DOMAIN ||
      graphsOf(node).length > 0 ||
      isOnnx(node, 'MatMul', 'Gemm') ||
      isContrib(node, 'MatMulNBits')
    )
      continue;
    if (node.output.some((name) => name !== '' && (types.get(name) === undefined || isFloat(types.get(name)))))
      continue;
    const isLight = readsOf(node).every((name) => {
      const maker = makers.get(name);
      if (maker) return again.has(maker);
      const tensor = view.initializers.get(name);
      return !tensor || tensor.dims.reduce((product, dim) => product * Number(dim), 1) <= 64;
    });
    if (isLight) again.add(node);
  }
  return again;
}

function pieceOf(
  { view, types, sites }: Whole,
  { nodes, wanted, sites: own }: { nodes: readonly NodeProto[]; wanted: readonly string[]; sites: readonly number[] },
): Piece {
  const made = new Set(nodes.flatMap((node) => node.output));
  const reads = new Set(nodes.flatMap((node) => readsOf(node)));
  const initializer = [...reads, ...wanted].flatMap((name) =>
    made.has(name) ? [] : (view.initializers.get(name) ?? []),
  );
  const inputs = [...reads].filter((name) => !made.has(name) && !view.initializers.has(name));
  // An output that is an input or a weight as it is.
  const copies = wanted.filter((name) => !made.has(name));
  if (copies.length > 0) {
    throw new OnnxError('unsupported', `the graph gives out ${copies[0]} as it came in: it cannot be cut`, {
      value: copies[0],
    });
  }
  const { proto } = view.model;
  const graph = onnxGraph(proto.graph?.name ?? 'piece', {
    node: [...nodes],
    initializer: [...new Set(initializer)],
    input: inputs.map((name) => declared(view, types, name, sites)),
    output: wanted.map((name) => declared(view, types, name, sites)),
    valueInfo: [...made].flatMap((name) => numericShape(view, name) ?? []),
  });
  const opsetImport = proto.opsetImport.some(({ domain }) => domain === 'com.microsoft')
    ? proto.opsetImport
    : [...proto.opsetImport, { ...proto.opsetImport[0]!, domain: 'com.microsoft', version: 1n }];
  return {
    inputs,
    outputs: new Map(wanted.map((name) => [name, types.get(name) ?? 0])),
    sites: own,
    model: { proto: { ...proto, graph, opsetImport }, weight: (tensor) => view.model.weight(tensor) },
  };
}

/** What the graph says of a value inside, without names of sizes: exporters have written wrong ones. */
function numericShape(view: GraphView, name: string): ValueInfoProto | undefined {
  const known = view.valueInfo.get(name);
  const type = known && tensorTypeOf(known);
  const elementName = type && dataTypeName(type.elemType);
  if (!type?.dims || !elementName) return undefined;
  return onnxValue(
    name,
    elementName,
    type.dims.map((dim, axis) => (typeof dim === 'number' ? dim : `${name}.${axis}`)),
  );
}

/** Type and, as far as it is numbers, shape of a piece's input or output. */
function declared(
  view: GraphView,
  types: ReadonlyMap<string, number>,
  name: string,
  sites: readonly AttentionSite[],
): ValueInfoProto {
  const given = view.inputs.get(name);
  if (given) return given;
  const type = dataTypeName(types.get(name) ?? 0);
  if (!type) {
    throw new OnnxError(
      'unsupported',
      `the type of ${name}, which pieces hand on, is not known: infer the graph's shapes first`,
      {
        value: name,
        sites: sites.length,
      },
    );
  }
  if (isAttention(name))
    return onnxValue(
      name,
      type,
      ['', '', '', ''].map((_, axis) => `${name}.${axis}`),
    );
  return numericShape(view, name) ?? onnxValue(name, type);
}

function isAttention(name: string): boolean {
  return /^hip\.attention\.\d+$/.test(name);
}
