// Nodes that change nothing: what exporters and optimizers leave between the nodes that do. Readers get what the copy was made from.
import { attributeOf } from '../model/build.ts';
import { readsOf } from '../model/graph.ts';
import type { GraphProto, NodeProto } from '../model/types.ts';
import { graphsOf } from '../model/walk.ts';
import { intOf, intsOf, isOnnx, type Constant } from './view.ts';

/** An end that is beyond any axis. */
const TO_THE_END = 2 ** 31 - 1;

/**
 * Bypasses copies: Identity, Dropout outside of training, Concat of one value, Slice of all, products with 1 and sums with 0; a Cast to the type, a Reshape to the shape and a
 * Transpose to the order that is there; two nodes that undo each other. No node reads a copy afterwards; one that is an output stays.
 *
 * @param types - of values, as `inferTypes` gives them: those of copies are their sources'
 */
export function bypassCopies(
  graph: GraphProto,
  constants: ReadonlyMap<string, Constant>,
  types: ReadonlyMap<string, number>,
): void {
  const makers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const sources = new Map<string, string>();
  const source = (name: string): string => sources.get(name) ?? name;
  // Of opset 13 and later an input.
  const axes = (node: NodeProto): string | undefined =>
    (constants.get(node.input[1] ?? '')?.values ?? intsOf(node, 'axes'))?.join();
  const isCopy = (node: NodeProto): string | undefined => {
    const [first = '', second = ''] = node.input;
    const before = source(first);
    if (isOnnx(node, 'Identity') || (isOnnx(node, 'Concat') && node.input.length === 1)) return before;
    if (isOnnx(node, 'Mul', 'Div', 'Add', 'Sub')) {
      // A scalar, so that the shape stays.
      const neutral = isOnnx(node, 'Mul', 'Div') ? 1 : 0;
      const { dims, values } = constants.get(second) ?? {};
      return dims?.length === 0 && values?.[0] === neutral ? before : undefined;
    }
    if (isOnnx(node, 'Dropout')) {
      const trains = node.input[2] ? constants.get(node.input[2])?.values[0] !== 0 : false;
      return trains || node.output[1] ? undefined : before;
    }
    if (isOnnx(node, 'Slice')) {
      const [starts, ends, , steps] = node.input.slice(1).map((name) => constants.get(name)?.values);
      const isAll = starts?.every((start) => start === 0) && ends?.every((end) => end >= TO_THE_END);
      return isAll && (node.input[4] ? steps : [1])?.every((step) => step === 1) ? before : undefined;
    }
    if (isOnnx(node, 'Cast')) return types.get(first) === intOf(node, 'to', 0) ? before : undefined;
    const maker = makers.get(source(second === '' || !isOnnx(node, 'Reshape') ? first : second));
    if (isOnnx(node, 'Reshape')) {
      const isWhole =
        isOnnx(maker, 'Shape') && ['start', 'end'].every((each) => attributeOf(maker, each) === undefined);
      return isWhole && source(maker.input[0] ?? '') === before ? before : undefined;
    }
    const origin = source(maker?.input[0] ?? '');
    if (isOnnx(node, 'Squeeze') && isOnnx(maker, 'Unsqueeze')) {
      const own = axes(node);
      return own !== undefined && own === axes(maker) ? origin : undefined;
    }
    if (!isOnnx(node, 'Transpose')) return undefined;
    if (intsOf(node, 'perm')?.every((from, to) => from === to)) return before;
    if (!isOnnx(maker, 'Transpose')) return undefined;
    const [turned, back] = [intsOf(maker, 'perm'), intsOf(node, 'perm')];
    const isUndone = turned && back && back.every((from, to) => turned[from] === to);
    return isUndone ? origin : undefined;
  };
  // Nodes are in an order in which they can run.
  for (const node of graph.node) {
    const found = isCopy(node);
    if (found !== undefined) sources.set(node.output[0]!, found);
  }
  if (sources.size === 0) return;
  rewire(graph, source);
  const read = new Set([...graph.output.map(({ name }) => name), ...graph.node.flatMap((node) => [...readsOf(node)])]);
  graph.node = graph.node.filter(({ output: [name = ''] }) => !sources.has(name) || read.has(name));
}

/** Inputs by another name, of branches too; what a branch makes itself goes by its own. */
function rewire(graph: GraphProto, source: (name: string) => string): void {
  for (const node of graph.node) {
    node.input = node.input.map(source);
    for (const inner of graphsOf(node)) {
      const own = new Set([...inner.input, ...inner.initializer].map(({ name }) => name));
      for (const { output } of inner.node) for (const name of output) own.add(name);
      rewire(inner, (name) => (own.has(name) ? name : source(name)));
    }
  }
}
