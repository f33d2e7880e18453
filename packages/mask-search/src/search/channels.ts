// The channels that scores multiply: all of them, or the slower half of the rotary pairs (docs/specification/hip.md §8.1).
import type { MassStage } from '../config/stages.ts';
import type { FloatArray } from '../inputs.ts';

/** Runs of channels, [from, to). */
export type Channels = readonly (readonly [number, number])[];

/** Runs of channels that a logit multiplies: `suitableConfig` asks for halves only of what has quarters. */
export function channelsOf(d: number, dims: MassStage['dims']): Channels {
  if (dims !== 'slow-half') return [[0, d]];
  return [
    [d / 4, d / 2],
    [(3 * d) / 4, d],
  ];
}

/** Product of the given channels of two vectors. */
export function dotOf(a: FloatArray, aStart: number, b: FloatArray, bStart: number, channels: Channels): number {
  let sum = 0;
  for (const [from, to] of channels) for (let i = from; i < to; i++) sum += a[aStart + i]! * b[bStart + i]!;
  return sum;
}
