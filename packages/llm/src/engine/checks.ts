// What a sequence is asked and gives, checked alike on every backend.
import { LlmError } from '../errors.ts';

/** @throws LlmError `invalid-input` naming the first that is no token */
export function checkIds(ids: ArrayLike<number>, vocabulary: number): void {
  for (let at = 0; at < ids.length; at++) {
    const id = ids[at] as number;
    if (Number.isInteger(id) && id >= 0 && id < vocabulary) continue;
    const message = `ids[${at}] is ${id}: give integers from 0 to ${vocabulary - 1}`;
    throw new LlmError('invalid-input', message, { at, id, vocabulary });
  }
}

/** Tokens that `Sequence.candidates` gives. */
export const CANDIDATES = 64;

/** What comes next is asked of at least one token. @throws LlmError `invalid-input` */
export function checkAny({ length }: ArrayLike<number>): void {
  if (length > 0) return;
  throw new LlmError('invalid-input', 'there are no ids, after which something could come: give at least one', {
    length,
  });
}

/** @throws LlmError `context-full` */
export function checkRoom(held: number, given: number, contextTokens: number): void {
  if (held + given <= contextTokens) return;
  const message = `${held} tokens are held and ${given} were given: the context holds ${contextTokens}; truncate, or load with more contextTokens`;
  throw new LlmError('context-full', message, { length: held, given, contextTokens });
}

/** Of the layers whose masks are wanted. @throws LlmError `invalid-input` */
export function checkLayers(masks: readonly number[] = [], layers: number): void {
  const wrong = masks.find((layer) => !(Number.isInteger(layer) && layer >= 0 && layer < layers));
  if (wrong === undefined) return;
  const message = `masks names layer ${wrong}: give integers from 0 to ${layers - 1}`;
  throw new LlmError('invalid-input', message, { name: 'masks', value: wrong, layers });
}

/** Of a truncation. @throws LlmError `invalid-input` */
export function checkLength(length: number, held: number): void {
  if (Number.isSafeInteger(length) && length >= 0 && length <= held) return;
  const message = `length is ${length}: give an integer from 0 to ${held}`;
  throw new LlmError('invalid-input', message, { length, held });
}

/** @param first - position of the first row [width]. @throws LlmError `non-finite-logits` */
export function checkLogits(values: Float32Array, width: number, first: number): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw nonFinite(first + Math.floor(i / width));
  }
}

export function nonFinite(position: number): LlmError {
  const message = `the logits after token ${position} are not finite: the weights overflow in this arithmetic, or hold NaN`;
  return new LlmError('non-finite-logits', message, { position });
}

export function busyError(what: string): LlmError {
  return new LlmError('busy', `a step of this sequence still runs: await it, then ${what}`, { what });
}

export function disposedError(): LlmError {
  return new LlmError('closed', 'this sequence is disposed: create another with createSequence()');
}

export function closedError(): LlmError {
  return new LlmError('closed', 'this engine is closed: load the model again');
}
