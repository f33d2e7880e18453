// Ctrl-C: the first stops what runs, the second ends the command.

/** Hears of interrupts: gives what runs a signal, and says when the command shall end. */
export class Interrupts {
  readonly #end: (status: number) => void;
  #running: AbortController | undefined;

  /** @param end - ends the process */
  constructor(end: (status: number) => void) {
    this.#end = end;
  }

  /** An interrupt. @returns whether something was stopped by it */
  hear(): boolean {
    if (!this.#running || this.#running.signal.aborted) {
      this.#end(130);
      return false;
    }
    this.#running.abort(new Error('interrupted'));
    return true;
  }

  /** Runs something that an interrupt stops. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running = controller;
    try {
      return await work(controller.signal);
    } finally {
      this.#running = undefined;
    }
  }
}
