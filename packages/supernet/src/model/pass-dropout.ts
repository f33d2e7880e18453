// Drop-out at the places of a forward pass: its rate there, and a seed that no other place shares.
import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '@hip/checkpoints';
import { dropOut, dropoutRates } from './dropout.ts';
import type { DropoutRates } from './dropout.ts';
import type { ForwardOptions } from './types.ts';
import { SEED_STEP } from '../webgpu/dropout.ts';

/** Where the seeds of each place begin: no two masks of a pass share one. */
const PLACES = { hidden: 1, attention: 4001, classifier: 8001 } as const;

/** The seed of one place of a pass; `salt` tells places of a kind apart. */
export function dropoutSeed({ seed = 0 }: ForwardOptions, place: keyof DropoutRates, salt: number): number {
  return seed * SEED_STEP + PLACES[place] + salt;
}

/** The rate of a place in a pass; 0 unless it trains. */
export function dropoutRate(
  config: ModelConfig,
  { training, dropout }: ForwardOptions,
  place: keyof DropoutRates,
): number {
  return training ? dropoutRates(dropout ?? config.dropout)[place] : 0;
}

/** x with what the pass drops there. */
export function passDropout(
  config: ModelConfig,
  x: tf.Tensor2D,
  options: ForwardOptions,
  place: keyof DropoutRates,
  salt: number,
): tf.Tensor2D {
  const rate = dropoutRate(config, options, place);
  return rate === 0 ? x : dropOut(x, rate, dropoutSeed(options, place, salt));
}
