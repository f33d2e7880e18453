// All attentions of a graph, found by what nodes do: fused operators of two domains, and products around a softmax.
import type { NodeProto } from '../model/types.ts';
import { contribAttention } from './find-attention.ts';
import { groupQueryAttention } from './find-group-query.ts';
import { multiHeadAttention } from './find-multi-head.ts';
import { onnxAttention } from './find-onnx-attention.ts';
import { softmaxAttention } from './find-softmax.ts';
import type { AttentionSite } from './site.ts';
import { isContrib, isOnnx, type GraphView } from './view.ts';

/** One attention as it was found, or why it cannot be cut. */
export interface Found {
  readonly node: NodeProto;
  readonly site: AttentionSite | Error;
}

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
  return undefined;
}
