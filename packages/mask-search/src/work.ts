// Counting: what an algorithm really reads, multiplies and holds, so that complexity claims are tested and not believed.
import { HipError } from './errors.ts';

/**
 * Work done by a call. Pass one object through several calls to add them up.
 *
 * @example
 * ```ts
 * import { newWorkCount } from '@hip/mask-search';
 * console.log(newWorkCount().dotProducts); // => 0
 * ```
 */
export interface WorkCount {
  /** Query-key dot products of length headDim (the bound of a chunk counts as two). */
  dotProducts: number;
  /** Key vectors (or chunk summaries) read; a key that serves several rows at once counts once. */
  keysTouched: number;
  /** Most numbers held at any moment besides inputs and outputs of attention: masks, summaries, candidates, scores. */
  peakNumbers?: number;
}

/** A count that starts at nothing. */
export function newWorkCount(): Required<WorkCount> {
  return { dotProducts: 0, keysTouched: 0, peakNumbers: 0 };
}

/** Follows how many numbers are held, and writes the peak into a {@link WorkCount}. */
export class MemoryMeter {
  readonly #work: WorkCount;
  #held = 0;

  constructor(work: WorkCount) {
    this.#work = work;
  }

  /** Numbers allocated until further notice. */
  hold(numbers: number): void {
    this.#held += numbers;
    this.#work.peakNumbers = Math.max(this.#work.peakNumbers ?? 0, this.#held);
  }

  release(numbers: number): void {
    this.#held -= numbers;
  }
}

/** Watching and stopping a call that may take long. */
export interface RunOptions {
  /** Adds up the work. */
  readonly work?: WorkCount | undefined;
  /** Looked at before each query block (search) or row (attention): the call is synchronous, so abort from `onProgress`. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each query block (search) or row (attention), with the share that is done, 0 to 1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** @throws HipError `aborted` once the signal is */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new HipError('aborted', 'the call was aborted: its results are discarded', {}, { cause: signal.reason });
}
