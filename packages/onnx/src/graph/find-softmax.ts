// Attention as plain operators: a softmax between two matrix products.
import { nodeLabel } from '../model/graph.ts';
import type { NodeProto } from '../model/types.ts';
import { PLAIN, tracedKeysAndValues } from './defaults.ts';
import { BHDS, BHSD, refuse, type AttentionSite, type Factor, type MaskValue } from './site.ts';
import { isScalar, queryShapes, scaled } from './trace.ts';
import { strangerOf } from './unknown-softmax.ts';
import { floatOf, intOf, isContrib, isOnnx, type GraphView } from './view.ts';

/** What lies between the product of queries and keys and the softmax. */
interface Scores {
  readonly product: NodeProto;
  readonly masks: readonly MaskValue[];
  readonly factors: readonly Factor[];
  readonly softcap: number;
  readonly sink: string | undefined;
}

/** The attention around a softmax; undefined where it is another softmax (a router's, a classifier's). */
export function softmaxAttention(view: GraphView, softmax: NodeProto): AttentionSite | undefined {
  const axis = intOf(softmax, 'axis', view.opset < 13 ? 1 : -1);
  if (axis !== -1 && axis !== 3) return undefined;
  const scores = scoresOf(view, softmax.input[0]!);
  const context = contextOf(view, softmax.output[0]!);
  if (!scores || !context) {
    const stranger = strangerOf(view, softmax);
    if (stranger) throw refuse(softmax, `${nodeLabel(stranger)} between its products is not known there`);
    return undefined;
  }
  const [q = '', keys = ''] = scores.product.input;
  const isTransposed = scores.product.opType === 'MatMul' || intOf(scores.product, 'transB', 0) === 0;
  const traced = tracedKeysAndValues(
    view,
    softmax,
    { value: keys, axes: isTransposed ? BHDS : BHSD },
    { value: context.input[1]!, axes: BHSD },
  );
  return {
    ...PLAIN,
    node: softmax,
    q: { value: q, axes: BHSD },
    out: { value: context.output[0]!, axes: BHSD },
    ...traced,
    shapes: [...queryShapes(view, { value: q, axes: BHSD }), ...traced.shapes],
    scale: floatOf(scores.product, 'alpha') ?? 1,
    factors: [...traced.factors, ...scores.factors],
    softcap: scores.softcap,
    masks: scores.masks,
    sink: scores.sink,
  };
}

/** Back from the softmax to the product, or undefined. */
function scoresOf(view: GraphView, name: string, depth = 0): Scores | undefined {
  const node = view.maker(name);
  if (!node || depth > 12) return undefined;
  const inner = (index: number) => scoresOf(view, node.input[index] ?? '', depth + 1);
  if (isProduct(node)) return { product: node, masks: [], factors: [], softcap: 0, sink: undefined };
  if (isOnnx(node, 'Cast')) return inner(0);
  if (isOnnx(node, 'Sub')) {
    // The largest score is taken away from all.
    const largest = view.maker(node.input[1]);
    return isOnnx(largest, 'ReduceMax') ? inner(0) : undefined;
  }
  if (isOnnx(node, 'Concat')) return withSink(view, node, inner(0));
  if (isOnnx(node, 'Add')) return withMask(view, node, inner(0), 1) ?? withMask(view, node, inner(1), 0);
  if (isOnnx(node, 'Where')) return chosen(node, inner(1), inner(2));
  const product = isOnnx(node, 'Mul', 'Div') ? scaled(view, node) : undefined;
  if (!product) return undefined;
  const capped = product.factor.divides ? undefined : softcapped(view, product.tensor, product.factor.value, depth);
  if (capped) return capped;
  const scores = scoresOf(view, product.tensor, depth + 1);
  if (!scores) return undefined;
  // What a mask hides stays hidden.
  const hides = scores.masks.every(({ kind }) => kind !== 'additive') || keepsHidden(view, product.factor);
  if (!hides || scores.softcap > 0 || scores.sink !== undefined) {
    throw refuse(node, 'it scales scores that are masked or capped already');
  }
  return { ...scores, factors: [...scores.factors, product.factor] };
}

/** A constant that leaves −1000, which hides a key, small enough to do so. */
function keepsHidden(view: GraphView, { value, divides }: Factor): boolean {
  const number = view.scalar(value) ?? 0;
  return (divides ? 1 / number : number) > 0.03;
}

function isProduct(node: NodeProto): boolean {
  return isOnnx(node, 'MatMul') || (isContrib(node, 'FusedMatMul') && intOf(node, 'transA', 0) === 0);
}

function withMask(view: GraphView, node: NodeProto, scores: Scores | undefined, other: number): Scores | undefined {
  if (!scores) return undefined;
  const value = node.input[other]!;
  // A scalar that is added changes no share.
  if (isScalar(view, value)) return scores;
  return { ...scores, masks: [...scores.masks, { value, kind: 'additive' }] };
}

function chosen(node: NodeProto, whenTrue: Scores | undefined, whenFalse: Scores | undefined): Scores | undefined {
  const value = node.input[0]!;
  if (whenTrue) return { ...whenTrue, masks: [...whenTrue.masks, { value, kind: 'allowed' }] };
  return whenFalse && { ...whenFalse, masks: [...whenFalse.masks, { value, kind: 'hidden' }] };
}

/** c · tanh(scores / c). */
function softcapped(view: GraphView, name: string, cap: string, depth: number): Scores | undefined {
  const tanh = view.maker(name);
  if (!isOnnx(tanh, 'Tanh')) return undefined;
  const softcap = view.scalar(cap);
  const quotient = view.maker(tanh.input[0]);
  const divided = isOnnx(quotient, 'Mul', 'Div') ? scaled(view, quotient) : undefined;
  const number = divided && view.scalar(divided.factor.value);
  if (softcap === undefined || !divided || number === undefined) throw refuse(tanh, 'its soft-cap is no constant');
  const inside = divided.factor.divides ? number : 1 / number;
  if (Math.abs(inside - softcap) > 1e-3 * Math.abs(softcap)) {
    throw refuse(tanh, `scores are divided by ${inside} before it and multiplied with ${softcap} after it`, {
      softcap,
    });
  }
  const scores = scoresOf(view, divided.tensor, depth + 1);
  return scores && { ...scores, softcap };
}

/** [scores, sink] along the keys: a key without a value. */
function withSink(view: GraphView, node: NodeProto, scores: Scores | undefined): Scores | undefined {
  if (!scores || node.input.length !== 2 || ![-1, 3].includes(intOf(node, 'axis', 0))) return undefined;
  let name = node.input[1]!;
  for (
    let maker = view.makers.get(name);
    isOnnx(maker, 'Expand', 'Reshape', 'Unsqueeze', 'Cast');
    maker = view.makers.get(name)
  ) {
    name = maker.input[0]!;
  }
  if (!view.initializers.has(name)) throw refuse(node, `the sinks ${node.input[1]} come from no weight`);
  return { ...scores, sink: name };
}

/** On from the softmax to the product with the values, or undefined. */
function contextOf(view: GraphView, name: string, depth = 0): NodeProto | undefined {
  if (depth > 8) return undefined;
  const readers = view.readers.get(name) ?? [];
  for (const node of readers) {
    if (isOnnx(node, 'MatMul') && node.input[0] === name) return node;
    const passes =
      isOnnx(node, 'Cast', 'Dropout', 'Slice') || (isOnnx(node, 'Where') && node.input.slice(1).includes(name));
    const found = passes && node.output[0] ? contextOf(view, node.output[0], depth + 1) : undefined;
    if (found) return found;
  }
  return undefined;
}
