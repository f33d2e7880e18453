// The numbers of AdamW, with their defaults and ranges.
import type { WeightSlot } from '@hip/checkpoints';
import { SupernetError } from '../../errors.ts';

/** Options of {@link AdamW}. */
export interface AdamWOptions {
  /** Decay of the first moment. @defaultValue 0.9 */
  readonly beta1?: number | undefined;
  /** Decay of the second moment. @defaultValue 0.999 */
  readonly beta2?: number | undefined;
  /** @defaultValue 1e-8 */
  readonly epsilon?: number | undefined;
  /** Decoupled weight decay per step: w ← w·(1 − lr·decay). @defaultValue 0.01 */
  readonly weightDecay?: number | undefined;
  /** Which weights decay. @defaultValue linear weights and heads; not biases, norms and embeddings */
  readonly decays?: ((slot: WeightSlot) => boolean) | undefined;
  /**
   * Layer-wise learning-rate decay: a weight at depth n below the head learns with lr·layerDecayⁿ (head and final norm n = 0, last
   * layer 1, …, embeddings deepest). @defaultValue 1
   */
  readonly layerDecay?: number | undefined;
}

/** Options with every default filled in. */
export type AdamWSettings = { readonly [Name in keyof AdamWOptions]-?: NonNullable<AdamWOptions[Name]> };

/** Fills in the defaults. @throws SupernetError `invalid-option` */
export function resolveAdamW(options: AdamWOptions): AdamWSettings {
  const settings: AdamWSettings = {
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.999,
    epsilon: options.epsilon ?? 1e-8,
    weightDecay: options.weightDecay ?? 0.01,
    decays: options.decays ?? ((slot) => slot.role === 'linear' || slot.role === 'head'),
    layerDecay: options.layerDecay ?? 1,
  };
  const { beta1, beta2, epsilon, weightDecay, layerDecay } = settings;
  requireRange('beta1', beta1, beta1 >= 0 && beta1 < 1, '0 ≤ beta1 < 1');
  requireRange('beta2', beta2, beta2 >= 0 && beta2 < 1, '0 ≤ beta2 < 1');
  requireRange('epsilon', epsilon, epsilon > 0, 'a positive number');
  requireRange('weightDecay', weightDecay, weightDecay >= 0, 'a number ≥ 0');
  requireRange('layerDecay', layerDecay, layerDecay > 0 && layerDecay <= 1, '0 < layerDecay ≤ 1');
  return settings;
}

function requireRange(name: string, value: number, valid: boolean, expected: string): void {
  if (!valid) throw new SupernetError('invalid-option', `${name} = ${value}: expected ${expected}`, { name, value });
}
