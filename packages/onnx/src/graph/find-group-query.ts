// com.microsoft GroupQueryAttention: packed or not, rotation and norms inside or not, window, soft-cap, sinks.
import { attributeOf } from '../model/build.ts';
import type { NodeProto } from '../model/types.ts';
import { nodeCache, OWN, PLAIN, scaleOf, splitPacked } from './defaults.ts';
import { BSHD, refuse, type AttentionSite, type Operand } from './site.ts';
import { floatOf, intOf, type GraphView } from './view.ts';

/** @throws OnnxError `unsupported` for quantised caches, scores as an output */
export function groupQueryAttention(view: GraphView, node: NodeProto): AttentionSite {
  const heads = intOf(node, 'num_heads', 0);
  const kvHeads = intOf(node, 'kv_num_heads', 0);
  if (heads < 1 || kvHeads < 1)
    throw refuse(node, `it has ${heads} heads over ${kvHeads} key heads`, { heads, kvHeads });
  const given = (index: number) => node.input[index] || undefined;
  if (given(12) || given(13) || quantised(node, 'k_quant_type') || quantised(node, 'v_quant_type')) {
    throw refuse(node, 'its cache is quantised: export the model with a cache of float16 or float32');
  }
  if (node.output[3])
    throw refuse(node, `it gives out its scores (${node.output[3]}), which a sparse attention does not have`);
  const window = intOf(node, 'local_window_size', -1);
  const bias = given(10);
  const cos = given(7);
  const sin = given(8);
  const isRotated = intOf(node, 'do_rotary', 0) === 1;
  if (isRotated && !(cos && sin)) throw refuse(node, 'it rotates (do_rotary) without tables of cosines and sines');
  const normQ = given(14);
  const normK = given(15);
  return {
    ...PLAIN,
    node,
    ...operands(view, node, heads, kvHeads),
    out: { value: node.output[0]!, axes: { heads } },
    ...nodeCache(node, [3, 4], [1, 2]),
    scale: scaleOf(node),
    softcap: floatOf(node, 'softcap') ?? 0,
    window: window > 0 ? window : 0,
    causal: true,
    padding: true,
    masks: bias ? [{ value: bias, kind: 'additive' }] : [],
    sink: given(11) ?? (intOf(node, 'smooth_softmax', 0) === 1 ? 0 : undefined),
    rotation:
      isRotated && cos && sin
        ? { cos, sin, interleaved: intOf(node, 'rotary_interleaved', 0) === 1, positions: given(9) }
        : undefined,
    norms: normQ && normK ? { q: normQ, k: normK, epsilon: floatOf(node, 'qk_norm_epsilon') ?? 1e-6 } : undefined,
    slidingCache: intOf(node, 'sliding_window_cache', 0) === 1,
  };
}

function quantised(node: NodeProto, name: string): boolean {
  const type = attributeOf(node, name);
  return typeof type === 'string' && type !== '' && type.toUpperCase() !== 'NONE';
}

function operands(
  view: GraphView,
  node: NodeProto,
  heads: number,
  kvHeads: number,
): { prepare: readonly NodeProto[]; q: Operand; k: Operand; v: Operand } {
  const [q = '', k = '', v = ''] = node.input;
  if (k !== '' && v !== '') {
    return {
      prepare: [],
      q: { value: q, axes: { heads } },
      k: { value: k, axes: { heads: kvHeads } },
      v: { value: v, axes: { heads: kvHeads } },
    };
  }
  const { nodes, values } = splitPacked(q, [heads, kvHeads, kvHeads], `${OWN}.split.${node.output[0]}`, view.opset);
  return {
    prepare: nodes,
    q: { value: values[0], axes: BSHD },
    k: { value: values[1], axes: BSHD },
    v: { value: values[2], axes: BSHD },
  };
}
