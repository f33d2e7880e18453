// The likeliest tokens alone, with what makes probabilities of their logits: what an engine that keeps its logits elsewhere gives.
import { CheckpointError } from '../errors.ts';
import { logSumExp, type LogProbabilities } from './log-probabilities.ts';
import { scanLogits, topTokens } from './logit-scan.ts';

/** The likeliest next tokens. */
export interface Candidates {
  /** Likeliest first; of equals the lower ids. */
  readonly ids: Uint32Array;
  /** Of `ids`. */
  readonly logits: Float32Array;
  /** Tokens that they were chosen from: the vocabulary. */
  readonly of: number;
  /** ln Σ exp(logit) over all of them; NaN where it is not known. */
  readonly logSumExp: number;
  /** ln Σ exp(logit / temperature) over all of them; NaN where it is not known. */
  readonly scaledLogSumExp: number;
}

/**
 * Candidates out of whole logits.
 *
 * @param logits - [V]
 * @throws CheckpointError `non-finite`, `invalid-input` without logits
 *
 * @example
 * ```ts
 * import { candidatesOf } from '@hip/checkpoints/generation';
 *
 * const { ids, of } = candidatesOf(Float32Array.of(1, 3, 2), { count: 2 });
 * console.log([...ids], of); // => [ 1, 2 ] 3
 * ```
 */
export function candidatesOf(
  logits: Float32Array,
  { count, temperature = 1 }: { readonly count: number; readonly temperature?: number | undefined },
): Candidates {
  const kept = Math.max(1, Math.min(count, logits.length));
  const scan = scanLogits(logits, Math.max(1, Math.min(256, Math.floor(logits.length / (4 * kept)))));
  const ids =
    kept < logits.length
      ? topTokens(logits, kept, scan)
      : Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  return {
    ids: Uint32Array.from(ids),
    logits: Float32Array.from(ids, (id) => logits[id] as number),
    of: logits.length,
    logSumExp: logSumExp(logits),
    scaledLogSumExp: temperature > 0 ? logSumExp(logits.map((logit) => logit / temperature)) : NaN,
  };
}

/**
 * What `penalizeRepetition` makes of candidates: fewer of them, as others might now be likelier than the last.
 *
 * @returns undefined for a penalty below 1, which may raise tokens that are not among them
 */
export function penalizeCandidates(
  candidates: Candidates,
  said: ReadonlySet<number>,
  penalty: number,
): Candidates | undefined {
  if (penalty === 1) return candidates;
  if (penalty < 1) return undefined;
  const { ids, logits, of } = candidates;
  const last = ids.length === of ? -Infinity : (logits.at(-1) as number);
  const penalized = Array.from(ids, (id, i) => {
    const logit = logits[i] as number;
    const value = said.has(id) ? (logit > 0 ? logit / penalty : logit * penalty) : logit;
    return { id, logit: Math.fround(value) };
  });
  const kept = penalized.filter(({ logit }) => logit > last).sort((a, b) => b.logit - a.logit || a.id - b.id);
  return {
    ids: Uint32Array.from(kept, ({ id }) => id),
    logits: Float32Array.from(kept, ({ logit }) => logit),
    of,
    logSumExp: NaN,
    scaledLogSumExp: NaN,
  };
}

/** `logProbabilities` of a candidate; undefined where it, or as many of the likeliest as are asked for, are not among them. */
export function candidateLogProbabilities(
  { ids, logits, of, logSumExp: total }: Candidates,
  id: number,
  count = 0,
): LogProbabilities | undefined {
  const at = ids.indexOf(id);
  if (at < 0 || Math.min(count, of) > ids.length || Number.isNaN(total)) return undefined;
  const entry = (i: number) => ({ id: ids[i] as number, logProbability: (logits[i] as number) - total });
  return { ...entry(at), top: Array.from({ length: Math.min(count, of) }, (_, i) => entry(i)) };
}

/** @throws CheckpointError `non-finite`, `invalid-input` for none */
export function checkCandidates({ ids, logits }: Candidates, masked: boolean): void {
  if (ids.length === 0) throw new CheckpointError('invalid-input', 'no logits to choose from');
  const at = logits.findIndex((logit) => !Number.isFinite(logit) && !(masked && logit === -Infinity));
  if (at < 0) return;
  const [token, value] = [ids[at], logits[at]];
  const message = `the logit of token ${token} is ${value}: the weights hold, or lead to, numbers that are not finite; load the checkpoint again or one before they did`;
  throw new CheckpointError('non-finite', message, { token, value });
}
