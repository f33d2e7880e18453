// What all softmaxes share: the stand-in for minus infinity, room for sums of large values, the soft-cap.
import { isNaNumber } from './finite.ts';

/** Below every finite score that is computed; finite, so that differences of two are no NaN. */
export const LOWEST = '-3.4e38f';

/**
 * Running maxima stand this much above the largest score (base 2): weights are at most 2^-20, so that the weighted sum of a million
 * values does not overflow where the values do not. The division by the sum of weights takes it out again.
 */
export const HEADROOM = '20.0f';

/**
 * `capped(score)`: the soft-cap of a scaled score, to base 2. The clamp keeps tanh away from where some devices overflow; NaN passes
 * by it, or a row that sees one would look sound.
 *
 * @param cap expression of the cap, to base 2
 */
export function capFunction(cap: string, bound: string): string {
  return `fn capped(score: f32) -> f32 { return select(${cap} * tanh(clamp(score, -${bound}, ${bound})), score, ${isNaNumber('score')}); }`;
}
