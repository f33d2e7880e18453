// ai.onnx Attention of opset 23 and 24: cache inside the node or joined before it, heads as an axis or packed, mask or is_causal.
import type { NodeProto } from '../model/types.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { nodeCache, PLAIN, scaleOf, tracedKeysAndValues } from './defaults.ts';
import { BHSD, refuse, type AttentionSite, type Operand } from './site.ts';
import { queryShapes } from './trace.ts';
import { floatOf, intOf, type GraphView } from './view.ts';

/** @throws OnnxError `unsupported` */
export function onnxAttention(view: GraphView, node: NodeProto): AttentionSite {
  const [q = '', k = '', v = '', mask = '', , , lengths = ''] = node.input;
  if (node.output[3])
    throw refuse(node, `it gives out its scores (${node.output[3]}), which a sparse attention does not have`);
  if (lengths !== '')
    throw refuse(
      node,
      `its keys have lengths of their own (${lengths}): export the model with past_key and past_value`,
    );
  const heads = intOf(node, 'q_num_heads', 0);
  const kvHeads = intOf(node, 'kv_num_heads', 0);
  const operand = (value: string, count: number): Operand => ({ value, axes: count > 0 ? { heads: count } : BHSD });
  const cache = nodeCache(node, [4, 5], [1, 2]);
  const traced = cache.past
    ? { k: operand(k, kvHeads), v: operand(v, kvHeads), ...cache }
    : tracedKeysAndValues(view, node, operand(k, kvHeads), operand(v, kvHeads));
  const isBool = view.types.get(mask) === DATA_TYPES.bool;
  return {
    ...PLAIN,
    node,
    q: operand(q, heads),
    out: operand(node.output[0]!, heads),
    ...traced,
    shapes: [...queryShapes(view, operand(q, heads)), ...('shapes' in traced ? traced.shapes : [])],
    scale: scaleOf(node),
    softcap: floatOf(node, 'softcap') ?? 0,
    causal: intOf(node, 'is_causal', 0) === 1,
    masks: mask === '' ? [] : [{ value: mask, kind: isBool ? 'allowed' : 'additive' }],
  };
}
