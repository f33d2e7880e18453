// Log-probabilities from logits, without the softmax of a vocabulary.
import { CheckpointError } from '../errors.ts';
import { scanLogits, topTokens } from './logit-scan.ts';

/** A token and ln of its probability. */
export interface TokenLogProbability {
  readonly id: number;
  /** In nats, ≤ 0. */
  readonly logProbability: number;
}

/** What {@link logProbabilities} finds. */
export interface LogProbabilities extends TokenLogProbability {
  /** The likeliest tokens, likeliest first; of equals the lower ids. */
  readonly top: readonly TokenLogProbability[];
}

/** Largest block that is scanned for the likeliest. */
const BLOCK = 256;

/**
 * ln Σ exp of a row of logits, in float64: what one logit less it is its log-probability.
 *
 * @param logits - [V], or several rows of which `start` to `end` are one
 * @returns NaN where a logit is NaN or +∞
 */
export function logSumExp(logits: Float32Array, start = 0, end = logits.length): number {
  let max = -Infinity;
  for (let i = start; i < end; i++) if ((logits[i] as number) > max) max = logits[i] as number;
  if (max === -Infinity) return end > start && logits.subarray(start, end).some(Number.isNaN) ? NaN : -Infinity;
  let sum = 0;
  for (let i = start; i < end; i++) sum += Math.exp((logits[i] as number) - max);
  return max + Math.log(sum);
}

/**
 * Log-probabilities of a token and of the likeliest ones in softmax(logits).
 *
 * @param logits - [V]
 * @param id - the token that was chosen
 * @param count - how many of the likeliest
 * @throws CheckpointError `non-finite` where a logit is no finite number, `invalid-input` for an id that is no token
 *
 * @example
 * ```ts
 * import { logProbabilities } from '@hip/checkpoints/generation';
 *
 * const { logProbability, top } = logProbabilities(Float32Array.of(0, Math.log(3)), 0, 1);
 * console.log(Math.exp(logProbability).toFixed(3), top[0]!.id); // => 0.250 1
 * ```
 */
export function logProbabilities(logits: Float32Array, id: number, count = 0): LogProbabilities {
  const logit = logits[id];
  if (logit === undefined) {
    throw new CheckpointError('invalid-input', `token ${id}: expected an id below ${logits.length}`, { id });
  }
  const kept = Math.min(count, logits.length);
  const block = kept > 0 ? Math.floor(logits.length / (4 * kept)) : BLOCK;
  const scan = scanLogits(logits, Math.max(1, Math.min(BLOCK, block)));
  const total = logSumExp(logits);
  const of = (token: number): TokenLogProbability => ({
    id: token,
    logProbability: (logits[token] as number) - total,
  });
  return { ...of(id), top: (kept > 0 ? topTokens(logits, kept, scan) : []).map(of) };
}
