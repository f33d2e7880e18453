// What of a model is trained: all of it, or of one with adapters those and what it has of its own beside them.
import type * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import type { SubnetConfig } from '../elastic/types.ts';
import type { ElasticModel } from '../model/types.ts';
import { productRank } from './slots.ts';

/** Slots of what is trained. */
export function trainedSlots({ slots, adapters }: ElasticModel): readonly WeightSlot[] {
  if (!adapters) return slots;
  return [...adapters.slots, ...slots.filter(({ name }) => adapters.replaced.includes(name))];
}

/** What is trained by slot name, in the order of {@link trainedSlots}. */
export function trainedWeights(model: ElasticModel): ReadonlyMap<string, tf.Variable> {
  const { adapters, weights } = model;
  if (!adapters) return weights;
  return new Map(
    trainedSlots(model).map(({ name }) => [name, (adapters.weights.get(name) ?? weights.get(name)) as tf.Variable]),
  );
}

/** Everything that a pass may read. */
export function readWeights({ weights, adapters }: ElasticModel): readonly tf.Variable[] {
  return [...weights.values(), ...(adapters?.weights.values() ?? [])];
}

/** Whether anything of a sub-network is trained: not of one whose adapters all have rank 0, without a head of its own. */
export function isTrained({ adapters }: ElasticModel, subnet: SubnetConfig | undefined): boolean {
  if (!adapters || adapters.replaced.length > 0) return true;
  const layers = subnet?.layers ?? Infinity;
  return adapters.products.some((product) => {
    const { name, layer } = product;
    const skips = /\.attention\./.test(name) ? subnet?.skipAttention : subnet?.skipFfn;
    return layer < layers && !skips?.[layer] && productRank(product, subnet) > 0;
  });
}
