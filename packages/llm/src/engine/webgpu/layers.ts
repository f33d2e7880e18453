// A decoder's layers as the GPU's attention sees them: heads of a multiple of eight numbers, and what each layer attends to.
import type { ModelConfig } from '@hip/checkpoints';
import type { ModelLayer } from '@hip/kernels-webgpu';
import { attentionRule, type LayerShape } from '../layers.ts';
import type { ResolvedAttention } from '../options.ts';

/** Heads are padded to a multiple of it. */
const OCTET = 8;

/** Numbers of a head in the cache. */
export function cachedHeadDim({ headDim }: LayerShape): number {
  return OCTET * Math.ceil(headDim / OCTET);
}

/** @throws HipError `invalid-config` */
export function modelLayers(
  { attentionScale, attentionSoftcap }: ModelConfig,
  shapes: readonly LayerShape[],
  attention: ResolvedAttention,
): readonly ModelLayer[] {
  return shapes.map((shape) => {
    const { config, denseBelow } = attentionRule(shape, attention);
    const { heads, kvHeads, headDim, window } = shape;
    return {
      heads,
      kvHeads,
      headDim: cachedHeadDim(shape),
      config: config ?? 'dense',
      denseBelow,
      // Not that of padded heads.
      scale: attentionScale ?? 1 / Math.sqrt(headDim),
      ...(window > 0 && { window }),
      ...(attentionSoftcap !== undefined && { softcap: attentionSoftcap }),
    };
  });
}
