// Every random number of a search comes from its seed and a name: the round's, the trial's.
import { Random } from '@instatune/nsga2';

/** Mixes whole numbers into one of 48 bits: each position and value matters. */
function mix(...parts: readonly number[]): number {
  let high = 0x9e3779b9;
  let low = 0x243f6a88;
  for (const part of parts) {
    high = Math.imul(high ^ Math.floor(part / 2 ** 32) ^ part, 0x85ebca6b);
    high = (high ^ (high >>> 13)) >>> 0;
    low = Math.imul(low ^ high ^ part, 0xc2b2ae35);
    low = (low ^ (low >>> 16)) >>> 0;
  }
  return (high >>> 16) * 2 ** 32 + low;
}

/** The generator a tactic gets in a round. */
export function roundRandom(seed: number, round: number): Random {
  return new Random(mix(1, seed, round));
}

/** A seed of one's own, for one of several processes that propose from the same trials; 0 leaves it as it is. */
export function salted(seed: number, salt: number): number {
  return salt === 0 ? seed : mix(3, seed, salt);
}

/** The seed a trial's measurement gets. */
export function trialSeed(seed: number, number: number): number {
  return mix(2, seed, number) % 2 ** 31;
}
