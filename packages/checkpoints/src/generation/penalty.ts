// The repetition penalty: what has been said is made less likely.
import { CheckpointError } from '../errors.ts';

/**
 * Divides the logits above 0 of the tokens in `ids` by the penalty and multiplies those below by it, each once however often it is there
 * (Keskar 2019, section 4.1); in place. In transformers `ids` are those of the prompt and of what has been generated.
 *
 * @param logits - [V]
 * @param ids - those outside [0, V) have no logit
 * @param penalty - 1 changes nothing; below 1 repetition is favoured
 * @returns `logits`
 * @throws CheckpointError `invalid-option` unless the penalty is a number > 0
 *
 * @example
 * ```ts
 * import { penalizeRepetition } from '@hip/checkpoints/generation';
 *
 * const logits = penalizeRepetition(Float32Array.of(3, -1, 2), new Set([0, 1]), 2);
 * console.log([...logits]); // => [ 1.5, -2, 2 ]
 * ```
 */
export function penalizeRepetition(logits: Float32Array, ids: ReadonlySet<number>, penalty: number): Float32Array {
  requirePenalty(penalty);
  if (penalty === 1) return logits;
  for (const id of ids) {
    const logit = logits[id];
    if (logit !== undefined) logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return logits;
}

/** @throws CheckpointError `invalid-option` unless the penalty is a number > 0 */
export function requirePenalty(penalty: number): void {
  if (penalty > 0 && Number.isFinite(penalty)) return;
  const message = `repetitionPenalty = ${penalty}: expected a number > 0`;
  throw new CheckpointError('invalid-option', message, { penalty });
}
