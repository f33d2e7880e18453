// Tiny models with adapters on every product that they have, of several ranks, whose B is not zero.
import * as tf from '@tensorflow/tfjs';
import { addAdapters, type AdapterOptions } from '../../src/adapters/add.ts';
import { adaptableSlots, targetOf } from '../../src/adapters/slots.ts';
import type { AdapterTarget } from '../../src/adapters/types.ts';
import type { ElasticModel } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';

/** Every target of a model. */
export function everyTarget({ config }: ElasticModel): AdapterTarget[] {
  return [...new Set(adaptableSlots(config).map((slot) => targetOf(slot) as AdapterTarget))];
}

/** Gives every adapter's A and B, and a head of its own, values as training would. */
export function disturb({ adapters, weights }: ElasticModel, seed = 3): void {
  const random = new SeededRandom(seed);
  const own = adapters!.replaced.map((name) => weights.get(name)!);
  for (const variable of [...adapters!.weights.values(), ...own]) {
    const values = Float32Array.from({ length: variable.size }, () => 0.6 * (random.next() - 0.5));
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
  }
}

/** A model with trained-looking adapters on all that it has; the caller disposes both. */
export function adapted(base: ElasticModel, options: AdapterOptions = {}): ElasticModel {
  const model = addAdapters(base, { targets: everyTarget(base), ranks: [0, 1, 3, 4], alpha: 6, ...options });
  disturb(model);
  return model;
}
