// Turns for timers, lanes and the abort signal while something long is computed in one thread.

/** Milliseconds of work after which others have their turn. */
const BREATH_MS = 10;

/** What long computations hand their thread over by: results do not depend on when. */
export class Breath {
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Lets others run where the last turn is long ago. @throws the signal's reason if it is aborted by then */
  async take(): Promise<void> {
    if (performance.now() - this.#last < BREATH_MS) return;
    await new Promise<void>((resolve) => void afterTimers(resolve));
    this.#last = performance.now();
    this.#signal?.throwIfAborted();
  }
}

/** `setImmediate` where there is one: `setTimeout` waits a millisecond at least. */
const afterTimers: (callback: () => void) => unknown =
  typeof setImmediate === 'function' ? setImmediate : (callback) => setTimeout(callback, 0);
