// An attention of plain operators that is not among those that can be cut: which of its nodes is not known there.
import type { NodeProto } from '../model/types.ts';
import { isOnnx, type GraphView } from './view.ts';

/** Longest way from a softmax to a product. */
const STEPS = 10;
/** What may stand between the product of queries and keys and the softmax. */
const SCORES = ['Add', 'Cast', 'Concat', 'Div', 'Mul', 'ReduceMax', 'Sub', 'Tanh', 'Where'];
/** What may stand between the softmax and the product with the values. */
const SHARES = ['Cast', 'Dropout', 'Slice', 'Where'];
/** What else numbers pass one by one. */
const PASSING = ['Clip', 'Expand', 'Max', 'Min', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze'];

/** The node that keeps a softmax between two products of activations from being cut; undefined: it is no attention. */
export function strangerOf(view: GraphView, softmax: NodeProto): NodeProto | undefined {
  const before = wayTo(view, softmax, (node) => node.input.flatMap((name) => view.maker(name) ?? []), SCORES);
  const after = wayTo(view, softmax, (node) => view.readers.get(node.output[0] ?? '') ?? [], SHARES);
  if (!before || !after) return undefined;
  return [...before, ...after].find(({ isKnown }) => !isKnown)?.node ?? softmax;
}

interface Step {
  readonly node: NodeProto;
  readonly isKnown: boolean;
}

/** The shortest way from a softmax to a product of two activations, without both. */
function wayTo(
  view: GraphView,
  softmax: NodeProto,
  next: (node: NodeProto) => readonly NodeProto[],
  known: readonly string[],
): readonly Step[] | undefined {
  const seen = new Set([softmax]);
  let ways: readonly (readonly [NodeProto, readonly Step[]])[] = [[softmax, []]];
  for (let step = 0; step < STEPS && ways.length > 0; step++) {
    const longer: (readonly [NodeProto, readonly Step[]])[] = [];
    for (const [last, way] of ways) {
      for (const node of next(last)) {
        if (seen.has(node)) continue;
        seen.add(node);
        const isProduct = isOnnx(node, 'MatMul', 'Einsum') && !node.input.some((name) => view.initializers.has(name));
        if (isProduct) return isOnnx(node, 'Einsum') ? [...way, { node, isKnown: false }] : way;
        const isKnown = isOnnx(node, ...known);
        if (isKnown || isOnnx(node, ...SCORES, ...PASSING)) longer.push([node, [...way, { node, isKnown }]]);
      }
    }
    ways = longer;
  }
  return undefined;
}
