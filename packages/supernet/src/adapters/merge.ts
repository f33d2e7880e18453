// Adapters merged into the weights that they are on: W + scale · A·B, which costs nothing when it runs.
import type { WeightSlot } from '@hip/checkpoints';
import { keptCount, layerWidth, sliceArray } from '../elastic/slice.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { requireFinite } from '../model/finite.ts';
import type { ElasticModel } from '../model/types.ts';
import { adapterNames, keptOfAdapter, productRank } from './slots.ts';

/** Adds to a weight [in, out] of a sub-network what the adapter on it adds there, if it has one. In float64, row by row. */
export async function addAdapter(
  { config, adapters }: ElasticModel,
  subnet: SubnetConfig,
  slot: WeightSlot,
  values: Float32Array,
): Promise<void> {
  const product = adapters?.products.find(({ name }) => `${name}.weight` === slot.name);
  const rank = product ? productRank(product, subnet) : 0;
  if (!adapters || !product || rank === 0) return;
  const names = adapterNames(product.name);
  const kept = keptOfAdapter(config, slot, layerWidth(config, product.layer, subnet), product, rank);
  const read = async (name: string, axes: typeof kept.a): Promise<Float32Array> => {
    const data = (await adapters.weights.get(name)!.data()) as Float32Array;
    requireFinite(name, data);
    return sliceArray(data, axes);
  };
  const [a, b] = [await read(names.a, kept.a), await read(names.b, kept.b)];
  const columns = kept.b.map(keptCount)[1] as number;
  const row = new Float64Array(columns);
  for (let from = 0; from < values.length; from += columns) {
    row.fill(0);
    const place = (from / columns) * rank;
    for (let r = 0; r < rank; r++) {
      const factor = product.scale * (a[place + r] as number);
      for (let i = 0; i < columns; i++) row[i]! += factor * (b[r * columns + i] as number);
    }
    for (let i = 0; i < columns; i++) values[from + i]! += row[i] as number;
  }
}
