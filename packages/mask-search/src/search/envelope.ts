// Summaries of key chunks: the elementwise largest and smallest key, which bound any key's score from above.
import type { AttentionShape } from '../block-mask.ts';
import { vectorOffset } from '../attention/score.ts';
import type { FloatArray } from '../inputs.ts';
import type { MemoryMeter, WorkCount } from '../work.ts';

/**
 * Envelopes of chunks of `chunk` keys from `sink` on, for each batch element and kv head. They grow with the keys, so a decode
 * session pays O(Hkv·d) a step for them. Memory 2·B·Hkv·(Tk / chunk)·d numbers.
 */
export class KeyEnvelope {
  readonly #sink: number;
  readonly #chunk: number;
  readonly #kvHeads: number;
  readonly #d: number;
  /** One array a batch element, [chunks, kvHeads, d]. */
  readonly #max: Float64Array[];
  readonly #min: Float64Array[];
  #keys = 0;

  constructor(
    { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
    sink: number,
    chunk: number,
  ) {
    this.#sink = sink;
    this.#chunk = chunk;
    this.#kvHeads = kvHeads;
    this.#d = headDim;
    this.#max = Array.from({ length: batch }, () => new Float64Array());
    this.#min = Array.from({ length: batch }, () => new Float64Array());
  }

  /** Takes in the keys that are new in k [B, keys, Hkv, d]. */
  extend(k: FloatArray, keys: number, work?: WorkCount, meter?: MemoryMeter): void {
    const vector = this.#kvHeads * this.#d;
    const length = Math.max(0, Math.ceil((keys - this.#sink) / this.#chunk)) * vector;
    this.#max.forEach((_, b) => {
      const [max, min] = [
        this.#grow(this.#max, b, length, -Infinity, meter),
        this.#grow(this.#min, b, length, Infinity, meter),
      ];
      for (let key = Math.max(this.#sink, this.#keys); key < keys; key++) {
        const from = vectorOffset(b, key, 0, keys, this.#kvHeads, this.#d);
        const to = Math.floor((key - this.#sink) / this.#chunk) * vector;
        for (let i = 0; i < vector; i++) {
          max[to + i] = Math.max(max[to + i]!, k[from + i]!);
          min[to + i] = Math.min(min[to + i]!, k[from + i]!);
        }
        if (work) work.keysTouched += this.#kvHeads;
      }
    });
    this.#keys = Math.max(this.#keys, keys);
  }

  /** Forgets the keys from `keys` on. The next {@link extend} reads those of a chunk that was cut again. */
  truncate(keys: number): void {
    if (keys >= this.#keys) return;
    const chunks = Math.max(0, Math.floor((keys - this.#sink) / this.#chunk));
    const from = chunks * this.#kvHeads * this.#d;
    for (const max of this.#max) max.fill(-Infinity, from);
    for (const min of this.#min) min.fill(Infinity, from);
    this.#keys = Math.min(keys, this.#sink + chunks * this.#chunk);
  }

  #grow(arrays: Float64Array[], b: number, length: number, filler: number, meter?: MemoryMeter): Float64Array {
    const old = arrays[b]!;
    if (old.length >= length) return old;
    // Half as much again, so that growing one key at a time copies each number O(1) times.
    const grown = new Float64Array(old.length === 0 ? length : Math.max(length, Math.ceil(old.length * 1.5))).fill(
      filler,
      old.length,
    );
    grown.set(old);
    meter?.hold(grown.length - old.length);
    return (arrays[b] = grown);
  }

  /** Σ max(qᵢ·maxᵢ, qᵢ·minᵢ): no key of the chunk scores higher. Cost O(d). */
  bound(vector: Float64Array, batch: number, kvHead: number, chunk: number): number {
    const at = (chunk * this.#kvHeads + kvHead) * this.#d;
    const [max, min] = [this.#max[batch]!, this.#min[batch]!];
    let sum = 0;
    for (let i = 0; i < this.#d; i++) {
      const value = vector[i]!;
      sum += value * (value > 0 ? max[at + i]! : min[at + i]!);
    }
    return sum;
  }
}
