// The keys and values of one sequence, growing at the end.
import type { FloatArray } from '../inputs.ts';

/** Vectors of `width` numbers in one flat array whose capacity doubles, so that appending costs O(width) on average. */
export class VectorStore {
  readonly #width: number;
  #values: Float64Array;
  #length = 0;

  constructor(width: number) {
    this.#width = width;
    this.#values = new Float64Array(width * 64);
  }

  /** Vectors held. */
  get length(): number {
    return this.#length;
  }

  /** Numbers allocated. */
  get capacity(): number {
    return this.#values.length;
  }

  append(vectors: FloatArray): void {
    const used = this.#length * this.#width;
    if (used + vectors.length > this.#values.length) {
      const grown = new Float64Array(Math.max(used + vectors.length, this.#values.length * 2));
      grown.set(this.#values.subarray(0, used));
      this.#values = grown;
    }
    this.#values.set(vectors, used);
    this.#length += vectors.length / this.#width;
  }

  /** Forgets the vectors from `length` on. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length);
  }

  /** All vectors, a view that later appends may leave behind. */
  view(): Float64Array {
    return this.#values.subarray(0, this.#length * this.#width);
  }
}
