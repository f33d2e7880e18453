// The slots of adapters, and what a sub-network keeps of them: the axes of the product that they are on, and a prefix of the rank.
import { weightSlots, type ModelConfig, type WeightSlot } from '@hip/checkpoints';
import { keptAxes, keptCount, type KeptAxis, type LayerWidth } from '../elastic/slice.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { ADAPTER_TARGETS, type AdaptedProduct, type AdapterTarget } from './types.ts';

/** Names of the slots of a product's A and B. */
export function adapterNames(product: string): { readonly a: string; readonly b: string } {
  return { a: `${product}.loraA`, b: `${product}.loraB` };
}

/** Slots of A [in, rank] and B [rank, out] of a product whose weight is the slot given. */
export function adapterSlots({ name, layer, rank }: AdaptedProduct, weight: WeightSlot): [WeightSlot, WeightSlot] {
  const [inputs, outputs] = weight.shape as [number, number];
  const [from, to] = weight.axes as [WeightSlot['axes'][number], WeightSlot['axes'][number]];
  const { a, b } = adapterNames(name);
  return [
    { name: a, shape: [inputs, rank], axes: [from, 'fixed'], role: 'linear', layer },
    { name: b, shape: [rank, outputs], axes: ['fixed', to], role: 'linear', layer },
  ];
}

/** What kind of product a weight's slot is of; undefined where no adapter may be on it. */
export function targetOf(slot: WeightSlot): AdapterTarget | undefined {
  const name = /^layers\.\d+\.(?:language\.)?(?:attention|ffn)\.(\w+)\.weight$/.exec(slot.name)?.[1];
  return slot.role === 'linear' ? ADAPTER_TARGETS.find((target) => target === name) : undefined;
}

/** Slots of the weights that adapters may be on, in order. */
export function adaptableSlots(config: ModelConfig): readonly WeightSlot[] {
  return weightSlots(config).filter((slot) => targetOf(slot) !== undefined);
}

/** Rank of a product's adapter in a sub-network. */
export function productRank({ rank, layer }: AdaptedProduct, subnet: SubnetConfig | undefined): number {
  return Math.min(rank, subnet?.ranks?.[layer] ?? rank);
}

/** What is kept of A and of B at a layer's width and a rank. */
export function keptOfAdapter(
  config: ModelConfig,
  weight: WeightSlot,
  width: LayerWidth,
  { rank }: AdaptedProduct,
  kept: number,
): { readonly a: readonly KeptAxis[]; readonly b: readonly KeptAxis[] } {
  const [inputs, outputs] = keptAxes(config, weight, width) as [KeptAxis, KeptAxis];
  const ranks: KeptAxis = { extent: rank, block: rank, blocks: 1, kept };
  return { a: [inputs, ranks], b: [ranks, outputs] };
}

/** Features that an adapted product reads and gives at a layer's width. */
export function productWidths(config: ModelConfig, weight: WeightSlot, width: LayerWidth): [number, number] {
  return keptAxes(config, weight, width).map(keptCount) as [number, number];
}
