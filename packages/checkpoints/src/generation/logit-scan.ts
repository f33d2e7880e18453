// One pass over logits [V]: are they finite, which is largest, and the largest of every block, which selects the top k.
import { CheckpointError } from '../errors.ts';

/** What one pass finds. */
export interface LogitScan {
  /** Logits in a block; the last has the rest. */
  readonly block: number;
  /** Largest logit of each block. */
  readonly maxima: Float32Array;
  readonly max: number;
  readonly min: number;
  /** First index of the first block that has `max`. */
  readonly at: number;
}

/**
 * @param masked - whether −∞ is a token that must not be chosen, rather than an error
 * @throws CheckpointError `non-finite` naming the first logit that is NaN or infinite; `invalid-input` where every token is masked
 */
export function scanLogits(logits: Float32Array, block: number, masked = false): LogitScan {
  const maxima = new Float32Array(Math.ceil(logits.length / block));
  let [min, max, at] = [0, -Infinity, 0];
  for (let b = 0; b < maxima.length; b++) {
    const start = b * block;
    const end = Math.min(start + block, logits.length);
    let largest = -Infinity;
    for (let i = start; i < end; i++) {
      const logit = logits[i] as number;
      // NaN is neither.
      if (!(logit <= largest)) {
        if (!(logit > largest)) throw notFinite(logits, masked);
        largest = logit;
      }
      if (logit < min) min = logit;
    }
    maxima[b] = largest;
    if (largest > max) [max, at] = [largest, start];
  }
  if (max === Infinity || (min === -Infinity && !masked)) throw notFinite(logits, masked);
  if (max === -Infinity)
    throw new CheckpointError('invalid-input', 'every token is masked: leave one that may be chosen');
  return { block, maxima, max, min, at };
}

function notFinite(logits: Float32Array, masked: boolean): CheckpointError {
  const token = logits.findIndex((logit) => !Number.isFinite(logit) && !(masked && logit === -Infinity));
  const value = logits[token];
  return new CheckpointError(
    'non-finite',
    `the logit of token ${token} is ${value}: the weights hold, or lead to, numbers that are not finite; load the checkpoint again or one before they did`,
    { token, value },
  );
}

/** Least logit of tokens with `share` of the likeliest one's probability; −∞ for 0. */
export function lowestValue(max: number, share: number, temperature: number): number {
  return share > 0 ? max + temperature * Math.log(share) : -Infinity;
}

/** The k < V largest, likeliest first, of equal logits the lower ids. A scan of many more than k blocks leaves few to look at. */
export function topTokens(logits: Float32Array, k: number, { block, maxima }: LogitScan): number[] {
  // The k-th largest of the blocks' largest is no more than the k-th largest of all, and only blocks that reach it have such.
  const threshold = maxima.length < k ? -Infinity : (maxima.slice().sort()[maxima.length - k] as number);
  const above: number[] = [];
  const equal: number[] = [];
  for (let b = 0; b < maxima.length; b++) {
    if ((maxima[b] as number) < threshold) continue;
    for (let i = b * block; i < Math.min((b + 1) * block, logits.length); i++) {
      const logit = logits[i] as number;
      if (logit > threshold) above.push(i);
      else if (logit === threshold && equal.length < k) equal.push(i);
    }
  }
  above.sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  return [...above, ...equal].slice(0, k);
}
