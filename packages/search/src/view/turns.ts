// Jobs of a page in turns: what takes longer than a moment goes on in a task of its own, so that the page answers in between.

/** Milliseconds after which the page gets its turn; a task is long from 50 on (W3C Long Tasks). */
const SLICE_MS = 12;
/** Of a job whose end is another's beginning, which may be a whole figure. */
const JOB_MS = 2;

/** Lets the page do what waits: input, layout, paint. */
export const nextTask = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Runs a computation to its end, in slices. @returns undefined where it was aborted */
export async function inSlices<T>(steps: Generator<unknown, T>, signal: AbortSignal): Promise<T | undefined> {
  for (let start = performance.now(); ;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - start < SLICE_MS) continue;
    await nextTask();
    if (signal.aborted) return undefined;
    start = performance.now();
  }
}

/** Named jobs that wait for their turn, in the order of their first asking; one that is asked for twice meanwhile runs once, as it was asked last. */
export class Turns {
  readonly #jobs = new Map<string, () => void | Promise<void>>();
  readonly #signal: AbortSignal;
  #isRunning = false;
  #done = Promise.resolve();

  /** @param signal - no job begins after it */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  ask(name: string, job: () => void | Promise<void>): void {
    this.#jobs.set(name, job);
  }

  /** Runs what waits: at once what fits into a moment, the rest in tasks of its own. Resolves when no job waits. */
  run(): Promise<void> {
    if (!this.#isRunning) this.#done = this.#run();
    return this.#done;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      let start = performance.now();
      for (let job = this.#take(); job; job = this.#take()) {
        if (performance.now() - start >= JOB_MS) {
          await nextTask();
          start = performance.now();
        }
        if (this.#signal.aborted) return;
        const waits = job();
        if (waits) await waits;
      }
    } finally {
      this.#isRunning = false;
    }
  }

  #take(): (() => void | Promise<void>) | undefined {
    const [first] = this.#jobs;
    if (first) this.#jobs.delete(first[0]);
    return first?.[1];
  }
}
