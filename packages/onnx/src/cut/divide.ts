// The nodes of a cut graph as pieces: each a model of its own, with its own weights.
import { OnnxError } from '../errors.ts';
import { onnxGraph, onnxValue, tensorTypeOf } from '../model/build.ts';
import { dataTypeName } from '../model/data-types.ts';
import { readsOf } from '../model/graph.ts';
import type { NodeProto, ValueInfoProto } from '../model/types.ts';
import type { OnnxModelToWrite } from '../model/render.ts';
import { graphsOf } from '../model/walk.ts';
import type { AttentionSite } from '../graph/site.ts';
import { isFloat } from '../graph/types.ts';
import { isContrib, isOnnx, type GraphView } from '../graph/view.ts';
import { CUT_DOMAIN, cutNames } from './adapt.ts';
import { ordered } from './order.ts';

/** One piece. */
export interface Piece {
  readonly inputs: readonly string[];
  /** Element type of each output. */
  readonly outputs: ReadonlyMap<string, number>;
  /** Sites whose queries, keys and values it makes. */
  readonly sites: readonly number[];
  readonly model: OnnxModelToWrite;
}

/** A graph that is divided. */
export interface Whole {
  readonly view: GraphView;
  readonly order: readonly NodeProto[];
  readonly makers: ReadonlyMap<string, NodeProto>;
  readonly types: ReadonlyMap<string, number>;
  readonly outputs: readonly string[];
  readonly sites: readonly AttentionSite[];
}

/** Nodes by the number of attentions that must have run before. */
export function dividing(whole: Whole): Piece[] {
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

export function pieceOf(
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
