// What adapters cost that are kept apart from the network: parameters, multiply-accumulates, bytes of their file. Merged they cost nothing.
import type { ModelConfig, WeightSlot } from '@hip/checkpoints';
import { weightSlots } from '@hip/checkpoints';
import { elementCount } from '../counts.ts';
import { subnetBounds, type MacsOptions } from '../elastic/cost.ts';
import { imageTokens, sequenceTokens } from '../elastic/sequence-tokens.ts';
import { keepsSlot, layerWidth, slicedShape, slotWidth } from '../elastic/slice.ts';
import type { SubnetBounds, SubnetConfig } from '../elastic/types.ts';
import { validateSubnet } from '../elastic/validate.ts';
import { relativeRows } from '../model/relative.ts';
import { productRank, productWidths } from './slots.ts';
import type { AdaptedProduct, AdapterLayout } from './types.ts';

/** Options of {@link countAdapters}. */
export type AdapterCountOptions = Pick<MacsOptions, 'tokens'>;

/** What adapters cost beside the network that they are on. */
export interface AdapterCount {
  /** Of A and B of every adapter. */
  readonly parameters: number;
  /** Of slots with values of their own (a classifier's head): they take the place of the base's. */
  readonly replaced: number;
  /** Multiply-accumulates of one sequence, beside those of `countMacs`: N·r·(in + out) for every adapter. */
  readonly macs: number;
}

/** An adapter that a sub-network has: not of rank 0, and on a product that is there. */
export interface KeptAdapter {
  readonly product: AdaptedProduct;
  readonly slot: WeightSlot;
  readonly rank: number;
  /** Features that the product reads and gives. */
  readonly widths: readonly [number, number];
}

/** A model as far as its adapters are counted. */
export interface AdaptedShape {
  readonly config: ModelConfig;
  readonly adapters?: AdapterLayout | undefined;
}

/** Adapters that a sub-network has, in the order of the layers. @throws SupernetError `invalid-subnet` */
export function keptAdapters({ config, adapters }: AdaptedShape, subnet?: SubnetConfig): KeptAdapter[] {
  if (!adapters) return [];
  if (subnet) validateSubnet(adaptedBounds(config, adapters), subnet);
  const slots = new Map(weightSlots(config).map((slot) => [slot.name, slot]));
  return adapters.products.flatMap((product) => {
    const slot = slots.get(`${product.name}.weight`) as WeightSlot;
    const rank = productRank(product, subnet);
    if (rank === 0 || !keepsSlot(config, slot, subnet)) return [];
    return [{ product, slot, rank, widths: productWidths(config, slot, layerWidth(config, product.layer, subnet)) }];
  });
}

/** What a sub-network of an adapted model must fit into. */
function adaptedBounds(config: ModelConfig, { products }: AdapterLayout): SubnetBounds {
  return { ...subnetBounds(config), fullRank: Math.max(0, ...products.map(({ rank }) => rank)) };
}

/**
 * What the adapters of a sub-network cost that are kept apart: those many over one base are served so. Merged into the weights (by
 * `extractModel`, `extractSubnet` and `exportOnnx`) they add nothing to `countMacs` and `countParameters`.
 *
 * @throws SupernetError `invalid-subnet`, `invalid-option`
 *
 * @example
 * ```ts
 * import { addAdapters, countAdapters, countMacs } from '@instatune/supernet';
 *
 * const adapted = addAdapters(model, { rank: 8 });
 * const { macs } = countAdapters(adapted, undefined, { tokens: 64 });
 * console.log(macs < 0.1 * countMacs(model.config, undefined, { tokens: 64 })); // => true
 * ```
 */
export function countAdapters(
  model: AdaptedShape,
  subnet?: SubnetConfig,
  options: AdapterCountOptions = {},
): AdapterCount {
  const { config, adapters } = model;
  const kept = keptAdapters(model, subnet);
  const all = sequenceTokens(config, options.tokens).reduce((sum, tokens) => sum + tokens, 0);
  // Of two branches each has its own tokens.
  const image = config.multiway ? (imageTokens(config) ?? 0) : all;
  const rowsOf = ({ name }: AdaptedProduct): number => (name.includes('.language.') ? all - image : image);
  const sizeOf = ({ rank, widths: [inputs, outputs] }: KeptAdapter): number => rank * (inputs + outputs);
  return {
    parameters: kept.reduce((sum, adapter) => sum + sizeOf(adapter), 0),
    replaced: weightSlots(config)
      .filter(({ name }) => adapters?.replaced.includes(name))
      .reduce((sum, slot) => sum + elementCount(slicedShape(config, slot, slotWidth(config, slot, subnet))), 0),
    macs: kept.reduce(
      (sum, adapter) => sum + (rowsOf(adapter.product) + positionRows(config, adapter.product, all)) * sizeOf(adapter),
      0,
    ),
  };
}

/** Rows of relative positions that a product is made of too (DeBERTa with shared projections). */
function positionRows(config: ModelConfig, { name }: AdaptedProduct, tokens: number): number {
  const { relativeAttention: relative } = config;
  if (!relative?.sharedProjections) return 0;
  const isMade = name.endsWith('.key')
    ? relative.contentToPosition
    : relative.positionToContent && name.endsWith('.query');
  return isMade ? relativeRows(relative, tokens).count : 0;
}
