// All attentions of a graph, found by what nodes do: fused operators of two domains, and products around a softmax.
import type { GraphProto, NodeProto } from '../model/types.ts';
import { graphsOf } from '../model/walk.ts';
import { contribAttention } from './find-attention.ts';
import { groupQueryAttention } from './find-group-query.ts';
import { multiHeadAttention } from './find-multi-head.ts';
import { onnxAttention } from './find-onnx-attention.ts';
import { softmaxAttention } from './find-softmax.ts';
import { refuse, type AttentionSite } from './site.ts';
import { isContrib, isOnnx, type GraphView } from './view.ts';

/** One attention as it was found, or why it cannot be cut. */
export interface Found {
  readonly node: NodeProto;
  readonly site: AttentionSite | Error;
}

/** Operators of onnxruntime that attend, and that are not taken apart: why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  PagedAttention: 'its cache is the pages of a serving engine: export the model without use_paged_attention',
  SparseAttention: 'it is sparse already: name the other attentions in `layers`, and it stays in the graph',
  QAttention: 'its projections are quantised inside the node: quantise the model by MatMulNBits or MatMulInteger',
  PackedAttention: 'its texts are packed without their padding (those of an encoder)',
  PackedMultiHeadAttention: 'its texts are packed without their padding (those of an encoder)',
  DecoderAttention: 'it is of a decoder that attends to an encoder',
  LongformerAttention: 'it is that of an encoder',
};

/** The attentions of a graph, in the order in which they run. */
export function findAttention(view: GraphView): readonly Found[] {
  return view.nodes.flatMap((node): readonly Found[] => {
    try {
      const site = siteOf(view, node);
      return site ? [{ node, site }] : [];
    } catch (error) {
      if (error instanceof Error) return [{ node, site: error }];
      throw error;
    }
  });
}

function siteOf(view: GraphView, node: NodeProto): AttentionSite | undefined {
  if (isContrib(node, 'GroupQueryAttention')) return groupQueryAttention(view, node);
  if (isContrib(node, 'MultiHeadAttention', 'DecoderMaskedMultiHeadAttention')) return multiHeadAttention(view, node);
  if (isContrib(node, 'Attention', 'DecoderMaskedSelfAttention')) return contribAttention(view, node);
  if (isOnnx(node, 'Attention')) return onnxAttention(view, node);
  if (isOnnx(node, 'Softmax')) return softmaxAttention(view, node);
  if (isOnnx(node, 'If', 'Loop', 'Scan') && graphsOf(node).some(attends)) {
    throw refuse(
      node,
      'attentions lie in its branches (a decoder merged for runs with and without a cache): export it unmerged',
    );
  }
  const why = isContrib(node, ...Object.keys(LEFT_OUT)) ? LEFT_OUT[node.opType] : undefined;
  if (why !== undefined) throw refuse(node, why);
  return undefined;
}

/** Whether a nested graph holds an attention. */
function attends({ node }: GraphProto): boolean {
  return node.some(
    (each) =>
      isContrib(each, 'GroupQueryAttention', 'MultiHeadAttention', 'Attention') ||
      isOnnx(each, 'Attention', 'Softmax') ||
      graphsOf(each).some(attends),
  );
}
