// A saved sequence in a fresh one of the same engine, on every backend.
import { translated } from './failures.ts';
import type { SavedSequence, Sequence } from './types.ts';

/** A sequence that can take the state of a saved one. */
interface RestorableSequence extends Sequence {
  restore(saved: Omit<SavedSequence, keyof Disposable>): Promise<void>;
}

/**
 * Brings a fresh sequence to the saved state, and disposes it where that fails.
 *
 * @throws LlmError what restoring throws, in the engine's words
 */
export async function restoredSequence(
  sequence: RestorableSequence,
  saved: Omit<SavedSequence, keyof Disposable>,
): Promise<Sequence> {
  try {
    await sequence.restore(saved);
    return sequence;
  } catch (error) {
    sequence.dispose();
    throw translated(error);
  }
}
