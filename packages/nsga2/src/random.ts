// Seeded pseudo-random numbers whose whole state is four 32-bit words, so that a run can be saved and resumed exactly.
import { Nsga2Error } from './errors.ts';

/** State of a {@link Random}, plain JSON. */
export interface RandomState {
  readonly algorithm: 'sfc32';
  /** Four unsigned 32-bit words. */
  readonly words: readonly [number, number, number, number];
}

const TWO_26 = 2 ** 26;
const TWO_MINUS_53 = 2 ** -53;
const TWO_32 = 2 ** 32;
/** Outputs dropped after seeding, so that similar seeds diverge (the author's own advice for sfc32 is 12 or more). */
const WARM_UP = 16;

/**
 * Pseudo-random generator sfc32 (C. Doty-Humphrey, PractRand): 128 bits of state, period at least 2³², passes PractRand
 * and BigCrush. Not for secrets. The same seed gives the same numbers on every platform.
 *
 * @example
 * ```ts
 * import { Random } from '@instatune/nsga2';
 *
 * const random = new Random(7);
 * random.next(); // a number in [0, 1)
 * const copy = Random.fromJSON(JSON.parse(JSON.stringify(random)));
 * console.log(copy.next() === random.next()); // => true
 * ```
 */
export class Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 1;

  /**
   * @param seed any finite number; integers up to 2⁵³ give different sequences
   * @throws Nsga2Error `invalid-option` for a seed that is not finite
   */
  constructor(seed: number = 0) {
    if (!Number.isFinite(seed)) {
      throw new Nsga2Error('invalid-option', `seed is ${seed}: use a finite number`, { seed });
    }
    const words = new Uint32Array(new Float64Array([seed === 0 ? 0 : seed]).buffer);
    // splitmix32 spreads the 64 bits of the seed over the state.
    let state = (words[0]! ^ Math.imul(words[1]!, 0x9e3779b1)) | 0;
    const spread = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return (z ^ (z >>> 15)) | 0;
    };
    this.a = spread();
    this.b = spread() ^ words[0]!;
    this.c = spread() ^ words[1]!;
    for (let i = 0; i < WARM_UP; i++) this.uint32();
  }

  /** Continues exactly where the saved generator stood. @throws Nsga2Error `invalid-state` */
  static fromJSON(state: RandomState): Random {
    if (!isRandomState(state)) {
      throw new Nsga2Error(
        'invalid-state',
        'not the state of a Random: needs { algorithm: "sfc32", words: four uint32, not all 0 }',
        { state },
      );
    }
    const random = new Random();
    [random.a, random.b, random.c, random.d] = state.words.map((word) => word | 0) as [number, number, number, number];
    return random;
  }

  toJSON(): RandomState {
    return { algorithm: 'sfc32', words: [this.a >>> 0, this.b >>> 0, this.c >>> 0, this.d >>> 0] };
  }

  /** An independent copy in the same state. */
  clone(): Random {
    return Random.fromJSON(this.toJSON());
  }

  /** A new generator, seeded by this one: a stream of its own for a sub-task. */
  fork(): Random {
    return new Random(this.uint32() * 2 ** 21 + (this.uint32() >>> 11));
  }

  /** Uniform integer in [0, 2³²). */
  uint32(): number {
    const sum = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform number in [0, 1) with 53 random bits. */
  next(): number {
    return ((this.uint32() >>> 5) * TWO_26 + (this.uint32() >>> 6)) * TWO_MINUS_53;
  }

  /** Uniform number in [lower, upper). */
  uniform(lower: number, upper: number): number {
    // Rounding of the difference may step over the upper end.
    return Math.min(upper, lower + (upper - lower) * this.next());
  }

  /**
   * Uniform integer in [lower, upper], both inclusive; unbiased below 2³² values.
   *
   * @throws Nsga2Error `invalid-option` where there is none
   */
  integer(lower: number, upper: number): number {
    const count = upper - lower + 1;
    if (!(count >= 1)) throw new Nsga2Error('invalid-option', `no integer in [${lower}, ${upper}]`, { lower, upper });
    if (count >= TWO_32) return lower + Math.floor(this.next() * count);
    const limit = TWO_32 - (TWO_32 % count);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return lower + (draw % count);
  }

  /** True with the given probability. @defaultValue probability 0.5 */
  boolean(probability: number = 0.5): boolean {
    return this.next() < probability;
  }

  /** Standard normal deviate (Box–Muller; the second of the pair is not kept, so the state stays four words). */
  normal(mean: number = 0, deviation: number = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles in place (Fisher–Yates) and returns the same array. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      const kept = items[i];
      items[i] = items[j];
      items[j] = kept;
    }
    return items;
  }

  /** A random order of 0 … length − 1. */
  permutation(length: number): Int32Array {
    const order = new Int32Array(length);
    for (let i = 0; i < length; i++) order[i] = i;
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    return order;
  }

  /** One item of the list. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length - 1)]!;
  }
}

/** Whether this is the state of a generator. None has four words of 0: such a state was never seeded. */
export function isRandomState(state: unknown): state is RandomState {
  const { algorithm, words } = (state ?? {}) as Partial<Record<keyof RandomState, unknown>>;
  return (
    algorithm === 'sfc32' &&
    Array.isArray(words) &&
    words.length === 4 &&
    words.every(isUint32) &&
    words.some((word) => word !== 0)
  );
}

function isUint32(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < TWO_32;
}
