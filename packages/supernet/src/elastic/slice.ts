// How a weight shrinks with a sub-network: extents per elastic axis, the same rule for tensors, arrays, counts and masks.
import { headGroup, layerFfn, layerHeads, type ModelConfig, type WeightSlot } from '@hip/checkpoints';
import type { SubnetConfig } from './space.ts';

/** Heads and FFN units of one layer. */
export interface LayerWidth {
  readonly heads: number;
  readonly ffn: number;
}

/** Width of a layer of a sub-network, or of the full model without one. */
export function layerWidth(config: ModelConfig, layer: number, subnet: SubnetConfig | undefined): LayerWidth {
  return {
    heads: subnet?.heads[layer] ?? layerHeads(config, layer),
    ffn: subnet?.ffn[layer] ?? layerFfn(config, layer),
  };
}

/** Shape of a slot cut to a layer's width: always a prefix of every axis. */
export function slicedShape(config: ModelConfig, slot: WeightSlot, width: LayerWidth): number[] {
  return slot.shape.map((extent, axis) => {
    switch (slot.axes[axis]) {
      case 'query-heads':
        return width.heads * config.headSize;
      case 'kv-heads':
        return (width.heads / headGroup(config)) * config.headSize;
      case 'ffn':
        return width.ffn;
      default:
        return extent;
    }
  });
}

/** Prefix of a row-major array (up to two axes). */
export function slicePrefix(data: Float32Array, shape: readonly number[], target: readonly number[]): Float32Array {
  if (shape.length < 2) return data.slice(0, target[0] ?? 1);
  const [, columns = 1] = shape;
  const [rows = 1, width = 1] = target;
  if (width === columns) return data.slice(0, rows * columns);
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) out.set(data.subarray(row * columns, row * columns + width), row * width);
  return out;
}
