// com.microsoft MultiHeadAttention: cache inside the node or joined before it, one tensor each or packed.
import { onnxNode } from '../model/build.ts';
import type { NodeProto } from '../model/types.ts';
import { constant, nodeCache, OWN, PLAIN, scaleOf, tracedKeysAndValues } from './defaults.ts';
import { BHSD, BSHD, refuse, type AttentionSite, type MaskValue, type Operand } from './site.ts';
import { queryShapes } from './trace.ts';
import { intOf, type GraphView } from './view.ts';

/** @throws OnnxError `unsupported` */
export function multiHeadAttention(view: GraphView, node: NodeProto): AttentionSite {
  const heads = intOf(node, 'num_heads', 0);
  if (heads < 1) throw refuse(node, `it has ${heads} heads`, { heads });
  if (node.opType !== 'MultiHeadAttention')
    throw refuse(node, 'it decodes over a buffer that beams share: export the model without it');
  if (node.output[3])
    throw refuse(node, `it gives out its scores (${node.output[3]}), which a sparse attention does not have`);
  if (node.input[8] || node.input[9])
    throw refuse(node, 'its cache is a buffer that beams share: export the model without beam search');
  const cache = nodeCache(node, [6, 7], [1, 2]);
  const { prepare, q, k, v } = operands(view, node, heads);
  const masks: MaskValue[] = [];
  if (node.input[5]) masks.push({ value: node.input[5], kind: 'additive' });
  if (node.input[4]) masks.push(...keyPadding(view, node, node.input[4]));
  const traced = cache.past ? { k, v, ...cache } : tracedKeysAndValues(view, node, k, v);
  return {
    ...PLAIN,
    node,
    prepare,
    q,
    out: { value: node.output[0]!, axes: { heads } },
    ...traced,
    shapes: [...queryShapes(view, q), ...('shapes' in traced ? traced.shapes : [])],
    scale: scaleOf(node),
    causal: intOf(node, 'unidirectional', 0) === 1,
    masks,
  };
}

/** A mask [B, keys] of the padding: 1 where there is a token. */
function keyPadding(view: GraphView, node: NodeProto, value: string): MaskValue[] {
  const rank = view.dims(value)?.length;
  if (rank !== undefined && rank !== 2) throw refuse(node, `its mask ${value} of padding has ${rank} axes`, { rank });
  return [{ value, kind: 'allowed' }];
}

function operands(
  view: GraphView,
  node: NodeProto,
  heads: number,
): { prepare: readonly NodeProto[]; q: Operand; k: Operand; v: Operand } {
  const [q = '', k = '', v = '', bias = ''] = node.input;
  const prefix = `${OWN}.split.${node.output[0]}`;
  if (k === '') return packed(q, bias, node, prefix);
  if (v === '') throw refuse(node, 'keys and values are packed beside separate queries (those of an encoder)');
  const prepare: NodeProto[] = [];
  let values = [q, k, v];
  if (bias !== '') {
    // One bias for all three.
    prepare.push(constant(`${prefix}.three`, [3n, -1n]));
    prepare.push(onnxNode('Reshape', [bias, `${prefix}.three`], [`${prefix}.biases`]));
    values = values.map((value, i) => {
      const [index, own, sum] = [`${prefix}.index.${i}`, `${prefix}.bias.${i}`, `${prefix}.biased.${i}`];
      prepare.push(constant(index, [BigInt(i)]));
      prepare.push(onnxNode('Gather', [`${prefix}.biases`, index], [own]));
      prepare.push(onnxNode('Add', [value, own], [sum]));
      return sum;
    });
  }
  const operand = (index: number): Operand => {
    const rank = index === 0 ? 3 : view.dims(node.input[index] ?? '')?.length;
    return { value: values[index]!, axes: rank === 4 ? BHSD : { heads } };
  };
  return { prepare, q: operand(0), k: operand(1), v: operand(2) };
}

/** [B, S, heads, 3, channels]. */
function packed(
  value: string,
  bias: string,
  node: NodeProto,
  prefix: string,
): { prepare: readonly NodeProto[]; q: Operand; k: Operand; v: Operand } {
  if (bias !== '') throw refuse(node, 'packed queries, keys and values have a bias of their own');
  const operand = (i: number): Operand => ({ value: `${prefix}.${i}`, axes: BSHD });
  const prepare = [0, 1, 2].flatMap((i) => [
    onnxNode('Constant', [], [`${prefix}.index.${i}`], { attributes: { value_int: BigInt(i) } }),
    onnxNode('Gather', [value, `${prefix}.index.${i}`], [`${prefix}.${i}`], { attributes: { axis: 3n } }),
  ]);
  return { prepare, q: operand(0), k: operand(1), v: operand(2) };
}
