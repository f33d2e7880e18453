// The numbers of one adapter as a sub-network has them.
import type { WeightSlot } from '@hip/checkpoints';
import { keptCount, layerWidth, sliceArray } from '../elastic/slice.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { requireFinite } from '../model/finite.ts';
import type { ElasticModel } from '../model/types.ts';
import { adapterNames, keptOfAdapter } from './slots.ts';
import type { AdaptedProduct } from './types.ts';

/** A [in, rank] and B [rank, outputs]. */
export interface AdapterValues {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly outputs: number;
}

/** The first `rank` columns and rows of the adapter on a weight, cut as the weight is. @throws SupernetError `non-finite` */
export async function adapterValues(
  { config, adapters }: ElasticModel,
  subnet: SubnetConfig,
  slot: WeightSlot,
  product: AdaptedProduct,
  rank: number,
): Promise<AdapterValues> {
  const kept = keptOfAdapter(config, slot, layerWidth(config, product.layer, subnet), product, rank);
  const names = adapterNames(product.name);
  const read = async (name: string, axes: typeof kept.a): Promise<Float32Array> => {
    const data = (await adapters!.weights.get(name)!.data()) as Float32Array;
    requireFinite(name, data);
    return sliceArray(data, axes);
  };
  return { a: await read(names.a, kept.a), b: await read(names.b, kept.b), outputs: keptCount(kept.b[1]!) };
}
