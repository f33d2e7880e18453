// Adapters merged into the weights that they are on: W + scale · A·B, which costs nothing when it runs.
import type { WeightSlot } from '@hip/checkpoints';
import type { SubnetConfig } from '../elastic/types.ts';
import type { ElasticModel } from '../model/types.ts';
import { productRank } from './slots.ts';
import { adapterValues } from './values.ts';

/** Adds to a weight [in, out] of a sub-network what the adapter on it adds there, if it has one. In float64, row by row. */
export async function addAdapter(
  model: ElasticModel,
  subnet: SubnetConfig,
  slot: WeightSlot,
  values: Float32Array,
): Promise<void> {
  const product = model.adapters?.products.find(({ name }) => `${name}.weight` === slot.name);
  const rank = product ? productRank(product, subnet) : 0;
  if (!product || rank === 0) return;
  const { a, b, outputs: columns } = await adapterValues(model, subnet, slot, product, rank);
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
