// Values between pieces at a single token: once their sizes are seen to stay, each is written into memory of its own, the same each time.
import { ROWS } from '../cut/rotary.ts';
import type { OrtTensor } from '../runtime/ort.ts';

/** Makes memory that stays. */
type Pin = (type: string, dims: readonly number[]) => OrtTensor;

export class StepValues {
  readonly #pin: Pin;
  #before: { readonly past: number; readonly values: ReadonlyMap<string, OrtTensor> } | undefined;
  #now = new Map<string, OrtTensor>();
  #pinned: ReadonlyMap<string, OrtTensor> | undefined;
  #hasGivenUp = false;

  constructor(pin: Pin) {
    this.#pin = pin;
  }

  /** By name, what a value is written into; undefined: nothing is known yet. */
  get pinned(): ReadonlyMap<string, OrtTensor> | undefined {
    return this.#pinned;
  }

  /** A value that a call has made where the runtime chose. */
  note(name: string, tensor: OrtTensor): void {
    if (tensor.location === 'gpu-buffer') this.#now.set(name, tensor);
  }

  /** The end of a call of one token after `past`: values of the same size after another number of tokens have it always. */
  end(past: number): void {
    const values = this.#now;
    this.#now = new Map();
    if (this.#pinned || this.#hasGivenUp) return;
    const { past: other, values: seen } = this.#before ?? {};
    if (seen === undefined || other === past) {
      this.#before = { past, values };
      return;
    }
    const stays = ([name, { dims, type }]: readonly [string, OrtTensor]): boolean => {
      const earlier = seen.get(name);
      return earlier !== undefined && earlier.type === type && earlier.dims.join() === dims.join();
    };
    const kept = [...values].filter(stays);
    this.#before = undefined;
    const pinned = new Map(kept.map(([name, { type, dims }]) => [name, this.#pin(type, dims)]));
    // A single token's row of its rotary tables is the first; fresh memory is 0.
    this.#pinned = pinned.set(ROWS, this.#pin('int64', [1, 1]));
  }

  /** A size was another one after all. */
  giveUp(): void {
    this.#hasGivenUp = true;
    this.#pinned = undefined;
  }
}
