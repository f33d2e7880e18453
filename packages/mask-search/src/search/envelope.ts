// Summaries of key chunks, two numbers a channel: the smallest and the largest (a bound), or mean and variance (a guess).
import type { AttentionShape } from '../block-mask.ts';
import { vectorOffset } from '../attention/score.ts';
import type { FloatArray } from '../inputs.ts';
import type { MemoryMeter, WorkCount } from '../work.ts';

/**
 * Summaries of chunks of `chunk` keys from `sink` on, for each batch element and kv head. They grow with the keys, so a decode
 * session pays O(Hkv·d) a step for them. Memory 2·B·Hkv·(Tk / chunk)·d numbers.
 */
export abstract class KeySummary {
  readonly #sink: number;
  readonly #chunk: number;
  readonly #kvHeads: number;
  readonly #d: number;
  readonly #filler: readonly [number, number];
  /** Two arrays a batch element, each [chunks, kvHeads, d]. */
  readonly #parts: readonly (readonly [Float64Array, Float64Array])[];
  #keys = 0;

  constructor(
    { batch, kvHeads, headDim }: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>,
    sink: number,
    chunk: number,
    filler: readonly [number, number],
  ) {
    this.#sink = sink;
    this.#chunk = chunk;
    this.#kvHeads = kvHeads;
    this.#d = headDim;
    this.#filler = filler;
    this.#parts = Array.from({ length: batch }, () => [new Float64Array(), new Float64Array()]);
  }

  /** Takes in the keys that are new in k [B, keys, Hkv, d]. */
  extend(k: FloatArray, keys: number, work?: WorkCount, meter?: MemoryMeter): void {
    const vector = this.#kvHeads * this.#d;
    const length = Math.max(0, Math.ceil((keys - this.#sink) / this.#chunk)) * vector;
    this.#parts.forEach((_, b) => {
      const [first, second] = this.#grow(b, length, meter);
      for (let key = Math.max(this.#sink, this.#keys); key < keys; key++) {
        const from = vectorOffset(b, key, 0, keys, this.#kvHeads, this.#d);
        const place = key - this.#sink;
        const to = Math.floor(place / this.#chunk) * vector;
        this.absorb(first, second, to, k, from, vector, (place % this.#chunk) + 1);
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
    for (const parts of this.#parts) parts.forEach((part, i) => part.fill(this.#filler[i]!, from));
    this.#keys = Math.min(keys, this.#sink + chunks * this.#chunk);
  }

  /** A chunk's score for a query vector. Cost O(d). */
  score(vector: Float64Array, batch: number, kvHead: number, chunk: number): number {
    const [first, second] = this.#parts[batch]!;
    return this.rate(vector, first, second, (chunk * this.#kvHeads + kvHead) * this.#d);
  }

  /** Takes `count` numbers of k from `from` on, its chunk's n-th key, into those from `to` on. */
  protected abstract absorb(
    first: Float64Array,
    second: Float64Array,
    to: number,
    k: FloatArray,
    from: number,
    count: number,
    n: number,
  ): void;

  protected abstract rate(vector: Float64Array, first: Float64Array, second: Float64Array, at: number): number;

  #grow(b: number, length: number, meter?: MemoryMeter): readonly [Float64Array, Float64Array] {
    const old = this.#parts[b]!;
    if (old[0].length >= length) return old;
    // Half as much again, so that growing one key at a time copies each number O(1) times.
    const size = old[0].length === 0 ? length : Math.max(length, Math.ceil(old[0].length * 1.5));
    const grown = old.map((part, i) => {
      const wider = new Float64Array(size).fill(this.#filler[i]!, part.length);
      wider.set(part);
      meter?.hold(size - part.length);
      return wider;
    }) as [Float64Array, Float64Array];
    (this.#parts as (readonly [Float64Array, Float64Array])[])[b] = grown;
    return grown;
  }
}

/** Elementwise largest and smallest key. Score: Σ max(qᵢ·maxᵢ, qᵢ·minᵢ), which no key of the chunk exceeds. */
export class KeyEnvelope extends KeySummary {
  constructor(shape: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>, sink: number, chunk: number) {
    super(shape, sink, chunk, [-Infinity, Infinity]);
  }

  protected override absorb(
    max: Float64Array,
    min: Float64Array,
    to: number,
    k: FloatArray,
    from: number,
    count: number,
  ): void {
    for (let i = 0; i < count; i++) {
      max[to + i] = Math.max(max[to + i]!, k[from + i]!);
      min[to + i] = Math.min(min[to + i]!, k[from + i]!);
    }
  }

  protected override rate(vector: Float64Array, max: Float64Array, min: Float64Array, at: number): number {
    let sum = 0;
    vector.forEach((value, i) => (sum += value * (value > 0 ? max[at + i]! : min[at + i]!)));
    return sum;
  }
}

/**
 * Mean and sum of squared differences from it, by channel (Welford's update: equal keys have no variance at all).
 * Score: q·mean + 2·√(Σ qᵢ²·varianceᵢ): how high keys of the chunk may reach if channels vary independently.
 */
export class KeyMoments extends KeySummary {
  readonly #length: number;

  constructor(shape: Pick<AttentionShape, 'batch' | 'kvHeads' | 'headDim'>, sink: number, chunk: number) {
    super(shape, sink, chunk, [0, 0]);
    this.#length = chunk;
  }

  protected override absorb(
    mean: Float64Array,
    spread: Float64Array,
    to: number,
    k: FloatArray,
    from: number,
    count: number,
    n: number,
  ): void {
    for (let i = 0; i < count; i++) {
      const off = k[from + i]! - mean[to + i]!;
      mean[to + i]! += off / n;
      spread[to + i]! += off * (k[from + i]! - mean[to + i]!);
    }
  }

  /** Of a chunk that is whole; chunks that are searched are. */
  protected override rate(vector: Float64Array, mean: Float64Array, spread: Float64Array, at: number): number {
    let [sum, squares] = [0, 0];
    vector.forEach((value, i) => {
      sum += value * mean[at + i]!;
      squares += value * value * spread[at + i]!;
    });
    return sum + DEVIATIONS * Math.sqrt(squares / this.#length);
  }
}

/** Standard deviations above the mean key's score that a chunk is credited with: between 1 and 4 it hardly matters. */
const DEVIATIONS = 2;
