// A search outlives a lock: what a study's file refuses because another process holds it is tried again, and the event loop runs meanwhile.
import { SearchError } from '../errors.ts';
import { pause } from '../pause.ts';

/** How long a lock is waited for, beside what SQLite waits at each try: a process that is suspended in a transaction may come back. */
const PATIENCE_MS = 300_000;

/** Pauses between tries: doubled each time, from the first to the longest. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 5000;

const isLocked = (error: unknown): boolean => error instanceof SearchError && error.code === 'study-busy';

interface Patience {
  readonly patienceMs?: number;
  readonly firstPauseMs?: number;
}

/**
 * Changes an open study, which must leave it as it was where it fails.
 *
 * @throws SearchError `study-busy` where the lock outlasts five minutes; the signal's reason; whatever else the change throws, at once
 */
export async function whenUnlocked<T>(change: () => T, signal?: AbortSignal, patience?: Patience): Promise<T> {
  return atOnceOrUnlocked(change, signal, patience);
}

/** As {@link whenUnlocked}, for what cannot wait: made, or refused by an error, before it returns, but for a lock, which its promise waits for. */
export function atOnceOrUnlocked<T>(
  change: () => T,
  signal?: AbortSignal,
  { patienceMs = PATIENCE_MS, firstPauseMs = FIRST_PAUSE_MS }: Patience = {},
): T | Promise<T> {
  const end = performance.now() + patienceMs;
  const goesOn = (error: unknown): boolean => isLocked(error) && performance.now() < end;
  const later = async (): Promise<T> => {
    for (let wait = firstPauseMs; ; wait = Math.min(LONGEST_PAUSE_MS, 2 * wait)) {
      await pause(wait, signal);
      try {
        return change();
      } catch (error) {
        if (!goesOn(error)) throw error;
      }
    }
  };
  try {
    return change();
  } catch (error) {
    if (!goesOn(error)) throw error;
    return later();
  }
}
