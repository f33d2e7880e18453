// How a weight shrinks with a sub-network: what is kept of each axis, the same rule for tensors, arrays, counts and masks.
import * as tf from '@tensorflow/tfjs';
import {
  layerFfn,
  layerHeads,
  layerKvHeads,
  type ElasticAxis,
  type ModelConfig,
  type WeightSlot,
} from '@hip/checkpoints';
import type { SubnetConfig } from './types.ts';

/** What a sub-network keeps of one layer. No heads, or no units: the block is left out, its norms too. */
export interface LayerWidth {
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
  /** Channels of the residual stream, the same in every layer. */
  readonly hidden: number;
}

/** What is kept of an axis: of each of its first `blocks` blocks of `block` the first `kept`. */
export interface KeptAxis {
  readonly extent: number;
  readonly block: number;
  readonly blocks: number;
  readonly kept: number;
}

/** Width of a layer of a sub-network, or of the full model without one. */
export function layerWidth(config: ModelConfig, layer: number, subnet: SubnetConfig | undefined): LayerWidth {
  const hidden = subnet?.hidden ?? config.hiddenSize;
  const [allHeads, allKv] = [layerHeads(config, layer), layerKvHeads(config, layer)];
  const heads = subnet?.skipAttention?.[layer] ? 0 : Math.min(allHeads, subnet?.heads[layer] ?? allHeads);
  const kvHeads = heads === 0 ? 0 : (subnet?.kvHeads?.[layer] ?? (heads * allKv) / allHeads);
  const allFfn = layerFfn(config, layer);
  const ffn = subnet?.skipFfn?.[layer] ? 0 : Math.min(allFfn, subnet?.ffn[layer] ?? allFfn);
  return { heads, kvHeads, ffn, hidden };
}

/** Whether a sub-network has a weight at all: not beyond its depth, nor of a block that it leaves out. */
export function keepsSlot(config: ModelConfig, slot: WeightSlot, subnet: SubnetConfig | undefined): boolean {
  if (slot.layer === undefined || !subnet) return true;
  if (slot.layer >= subnet.layers) return false;
  const { heads, ffn } = layerWidth(config, slot.layer, subnet);
  const block = /^layers\.\d+\.(?:language\.)?(attention|ffn)\b/.exec(slot.name)?.[1];
  return block === 'attention' ? heads > 0 : block === 'ffn' ? ffn > 0 : true;
}

/** Width that a slot is cut to: its layer's, or the residual stream's where it belongs to none. */
export function slotWidth(config: ModelConfig, slot: WeightSlot, subnet: SubnetConfig | undefined): LayerWidth {
  return layerWidth(config, slot.layer ?? 0, subnet);
}

/** What is kept of an axis of so many features. Query heads: a prefix of key/value groups, and of each group a prefix of its heads. */
export function keptOf(
  config: ModelConfig,
  axis: ElasticAxis | undefined,
  extent: number,
  width: LayerWidth,
  layer = 0,
): KeptAxis {
  const prefix = (kept: number): KeptAxis => ({ extent, block: extent, blocks: 1, kept });
  switch (axis) {
    case 'hidden':
      return prefix(width.hidden);
    case 'twice-hidden':
      return prefix(2 * width.hidden);
    case 'ffn':
      return prefix(width.ffn);
    case 'kv-heads':
      return prefix(width.kvHeads * config.headSize);
    case 'query-heads': {
      const kvHeads = layerKvHeads(config, layer);
      const block = extent / kvHeads;
      const kept = (width.heads / Math.max(1, width.kvHeads)) * config.headSize;
      return kept === block ? prefix(width.heads * config.headSize) : { extent, block, blocks: width.kvHeads, kept };
    }
    default:
      return prefix(extent);
  }
}

/** What is kept of every axis of a slot. */
export function keptAxes(config: ModelConfig, slot: WeightSlot, width: LayerWidth): KeptAxis[] {
  return slot.shape.map((extent, axis) => keptOf(config, slot.axes[axis], extent, width, slot.layer));
}

/** Features left of an axis. */
export function keptCount({ blocks, kept }: KeptAxis): number {
  return blocks * kept;
}

/** Whether all of an axis is kept. */
export function isWhole(axis: KeptAxis): boolean {
  return keptCount(axis) === axis.extent;
}

/** Shape of a slot cut to a layer's width. */
export function slicedShape(config: ModelConfig, slot: WeightSlot, width: LayerWidth): number[] {
  return keptAxes(config, slot, width).map(keptCount);
}

/** Indices of an axis that are kept, ascending. */
export function keptIndices({ block, blocks, kept }: KeptAxis): number[] {
  return Array.from({ length: blocks * kept }, (_, i) => Math.floor(i / kept) * block + (i % kept));
}

/** 1 for features that are kept, 0 for the others [extent]. */
export function keptMask(axis: KeptAxis): Float32Array {
  const mask = new Float32Array(axis.extent);
  for (const index of keptIndices(axis)) mask[index] = 1;
  return mask;
}

/** What is kept of a row-major array of one or two axes. */
export function sliceArray(data: Float32Array, axes: readonly KeptAxis[]): Float32Array {
  if (axes.length === 0) return data.slice();
  const [rows, columns] = (axes.length < 2 ? [undefined, axes[0]] : axes) as [KeptAxis | undefined, KeptAxis];
  const rowIndices = rows ? keptIndices(rows) : [0];
  if (isWhole(columns) && (!rows || rows.blocks === 1)) return data.slice(0, rowIndices.length * columns.extent);
  const out = new Float32Array(rowIndices.length * keptCount(columns));
  let to = 0;
  for (const row of rowIndices) {
    for (let block = 0; block < columns.blocks; block++) {
      const from = row * columns.extent + block * columns.block;
      out.set(data.subarray(from, from + columns.kept), to);
      to += columns.kept;
    }
  }
  return out;
}

/** What is kept of a tensor; differentiable. The tensor itself where that is all of it. */
export function sliceTensor(tensor: tf.Tensor, axes: readonly KeptAxis[]): tf.Tensor {
  if (axes.every(isWhole)) return tensor;
  const cut = (x: tf.Tensor, from: readonly number[], size: readonly number[]) => tf.slice(x, [...from], [...size]);
  const zeros = axes.map(() => 0);
  if (axes.every(({ block, extent }) => block === extent)) return cut(tensor, zeros, axes.map(keptCount));
  const [axis] = axes as [KeptAxis];
  if (axes.length === 1) {
    // Not by reshaping: tfjs-wasm reads the rank of a bias where its numbers lie.
    return tf.concat(Array.from({ length: axis.blocks }, (_, i) => cut(tensor, [i * axis.block], [axis.kept])));
  }
  const split = tf.reshape(
    tensor,
    axes.flatMap(({ extent, block }) => [extent / block, block]),
  );
  const kept = cut(
    split,
    [...zeros, ...zeros],
    axes.flatMap(({ blocks, kept: of }) => [blocks, of]),
  );
  return tf.reshape(kept, axes.map(keptCount));
}
