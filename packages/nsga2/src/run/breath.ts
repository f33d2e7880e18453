// Turns for timers, lanes and abort signals while something long is computed in one thread.

/** Options of {@link Breath}. */
export interface BreathOptions {
  /** Milliseconds of work after which others have their turn. @defaultValue 10 */
  readonly milliseconds?: number | undefined;
  /** Looked at after every turn: others may have aborted it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What a long computation hands its thread over by: results do not depend on when.
 *
 * @example
 * ```ts
 * import { Breath, zdt } from '@instatune/nsga2';
 *
 * const { evaluate } = zdt(1);
 * const breath = new Breath();
 * for (let n = 0; n < 1000; n++) {
 *   evaluate(Array.from({ length: 30 }, () => n / 1000));
 *   await breath.take();
 * }
 * ```
 */
export class Breath {
  readonly #milliseconds: number;
  readonly #signal: AbortSignal | undefined;
  #last = performance.now();

  constructor({ milliseconds = 10, signal }: BreathOptions = {}) {
    this.#milliseconds = milliseconds;
    this.#signal = signal;
  }

  /** Lets others run where the last turn is long ago, undefined where it is not. It rejects with the signal's reason if that is aborted by then. */
  take(): Promise<void> | undefined {
    return performance.now() - this.#last < this.#milliseconds ? undefined : this.#turn();
  }

  async #turn(): Promise<void> {
    await new Promise<void>((resolve) => void afterTimers(resolve));
    this.#last = performance.now();
    this.#signal?.throwIfAborted();
  }
}

/** `setImmediate` where there is one: `setTimeout` waits a millisecond at least. */
const afterTimers: (callback: () => void) => unknown =
  typeof setImmediate === 'function' ? setImmediate : (callback) => setTimeout(callback, 0);
