// com.microsoft Attention: the projection to queries, keys and values is inside the node, one tensor holds both halves of the cache.
import { onnxNode } from '../model/build.ts';
import type { NodeProto } from '../model/types.ts';
import { OWN, PLAIN, scaleOf, splitPacked } from './defaults.ts';
import { BSHD, refuse, type AttentionSite, type MaskValue } from './site.ts';
import { intOf, intsOf, type GraphView } from './view.ts';

/** @throws OnnxError `unsupported` */
export function contribAttention(view: GraphView, node: NodeProto): AttentionSite {
  const heads = intOf(node, 'num_heads', 0);
  if (heads < 1 || node.opType !== 'Attention') throw refuse(node, `it is ${node.opType} of ${heads} heads`, { heads });
  if (intOf(node, 'do_rotary', 0) === 1)
    throw refuse(node, 'it rotates by tables that the graph does not show (do_rotary)');
  if (node.input[6]) throw refuse(node, 'its cache is a buffer that is shared (past_present_share_buffer)');
  const sizes = intsOf(node, 'qkv_hidden_sizes');
  if (sizes && new Set(sizes).size > 1)
    throw refuse(node, `queries, keys and values have sizes ${sizes.join()}`, { sizes });
  const [input = '', weight = '', bias = '', mask = '', past = '', extra = ''] = node.input;
  const prefix = `${OWN}.split.${node.output[0]}`;
  const product = bias === '' ? `${prefix}.projected` : `${prefix}.product`;
  const { nodes, values } = splitPacked(`${prefix}.projected`, [heads, heads, heads], prefix, view.opset);
  const present = node.output[1];
  const masks: MaskValue[] = [];
  if (mask !== '') {
    const rank = view.dims(mask)?.length;
    if (rank !== undefined && rank !== 2)
      throw refuse(node, `its mask ${mask} has ${rank} axes, expected [batch, keys]`, { rank });
    masks.push({ value: mask, kind: 'allowed' });
  }
  if (extra !== '') masks.push({ value: extra, kind: 'additive' });
  return {
    ...PLAIN,
    node,
    prepare: [
      onnxNode('MatMul', [input, weight], [product]),
      ...(bias === '' ? [] : [onnxNode('Add', [product, bias], [`${prefix}.projected`])]),
      ...nodes,
    ],
    q: { value: values[0], axes: BSHD },
    k: { value: values[1], axes: BSHD },
    v: { value: values[2], axes: BSHD },
    out: { value: node.output[0]!, axes: { heads } },
    past: past === '' ? undefined : { key: past, value: past, joined: true },
    present: present ? { key: present, value: present, joined: true } : undefined,
    whole: present ? [present] : [],
    scale: scaleOf(node),
    causal: intOf(node, 'unidirectional', 0) === 1,
    masks,
  };
}
