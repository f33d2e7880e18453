// How many tokens a graph knows: the rows of the tables that its ids choose from.
import type { NodeProto } from '../model/types.ts';
import { intOf, intsOf, isContrib, isOnnx, type GraphView } from './view.ts';

/** Rows of the smallest table that token ids are rows of; undefined: the graph does not say, or takes embeddings. */
export function vocabularyOf(view: GraphView, tokens: string): number | undefined {
  const names = new Set([tokens]);
  const sizes: number[] = [];
  // Nodes are in an order in which they can run: ids may be cast or flattened before they are looked up.
  for (const node of view.nodes) {
    if (isOnnx(node, 'Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Flatten') && names.has(node.input[0]!))
      names.add(node.output[0]!);
    const table = tableOf(node, names);
    const rows = table === undefined ? undefined : rowsOf(view, table);
    if (rows !== undefined) sizes.push(rows);
  }
  return sizes.length > 0 ? Math.min(...sizes) : undefined;
}

/** The table of a node that looks ids up. */
function tableOf(node: NodeProto, ids: ReadonlySet<string>): string | undefined {
  const [first = '', second = '', third] = node.input;
  if (isContrib(node, 'EmbedLayerNormalization') && ids.has(first)) return third;
  const axis = isContrib(node, 'GatherBlockQuantized') ? 'gather_axis' : 'axis';
  const isLookup = isOnnx(node, 'Gather') || isContrib(node, 'GatherBlockQuantized');
  return isLookup && ids.has(second) && intOf(node, axis, 0) === 0 ? first : undefined;
}

/** Rows of a weight, as it is stored or as nodes turn it. */
function rowsOf(view: GraphView, name: string): number | undefined {
  const stored = view.initializers.get(name)?.dims;
  if (stored) return stored.length > 1 ? Number(stored[0]) : undefined;
  const node = view.makers.get(name);
  if (isOnnx(node, 'Cast', 'DequantizeLinear')) return rowsOf(view, node.input[0]!);
  if (isOnnx(node, 'Constant')) return Number(node.attribute.find(({ t }) => t)?.t?.dims[0] ?? 0) || undefined;
  if (isOnnx(node, 'Reshape')) {
    const rows = view.constant(node.input[1])?.values[0] ?? 0;
    return rows > 0 ? rows : undefined;
  }
  // A head that is tied to the table may be the one that is stored.
  if (!isOnnx(node, 'Transpose') || (intsOf(node, 'perm') ?? [1, 0]).join() !== '1,0') return undefined;
  const turned = view.initializers.get(node.input[0]!)?.dims;
  return turned?.length === 2 ? Number(turned[1]) : undefined;
}
