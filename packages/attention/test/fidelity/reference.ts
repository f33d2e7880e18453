// Any configuration as a model's attention in float64, by @hip/mask-search: what kernels do not run yet, or to compare them with.
import * as tf from '@tensorflow/tfjs';
import {
  blockSparseAttention,
  layerConfig,
  searchBlockMask,
  type AttentionShape,
  type HipConfig,
} from '@hip/mask-search';
import { denseModelAttention, type AttentionFactory } from '../../src/index.ts';

export function referenceRun(config: Partial<HipConfig>): AttentionFactory {
  return (onMask) => (q, k, v, context) => {
    const own = layerConfig(config, context.layer, k.shape[1]);
    if (own === 'dense') return denseModelAttention()(q, k, v, context);
    const [batch, queries, heads, headDim] = q.shape;
    const shape: AttentionShape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
    const [qs, ks, vs] = [q, k, v].map((x) => x.dataSync<'float32'>());
    const { scale } = context;
    const mask = searchBlockMask(qs!, ks!, shape, { ...own, scale });
    onMask(mask, context.layer);
    return tf.tensor4d(Float32Array.from(blockSparseAttention(qs!, ks!, vs!, shape, mask, { scale })), q.shape);
  };
}
