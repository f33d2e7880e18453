// Who works with an engine's scratch: one run of tokens of one sequence at a time, in slices between which other tasks get their turn.

import { pause } from '../pause.ts';

/** Milliseconds of work after which a page gets its turn. */
const SLICE = 16;

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #pausedAt = performance.now();

  /** Runs `work` when everything asked for before has ended. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    let end!: () => void;
    this.#last = new Promise<void>((resolve) => (end = resolve));
    await before;
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** Steps through `steps`, pausing where a slice's time is over. @param between is called before each step and may throw */
  async drive(steps: Iterator<void, void>, between: () => void): Promise<void> {
    for (;;) {
      between();
      if (steps.next().done) return;
      if (performance.now() - this.#pausedAt < SLICE) continue;
      await pause();
      this.#pausedAt = performance.now();
    }
  }
}
