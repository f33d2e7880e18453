// Seeded random numbers with a state that can be saved: the same seed gives the same run, and a resumed run goes on in the same stream.

/** State of a {@link SeededRandom}, as JSON. */
export type RandomState = readonly [number, number, number, number];

/** xoshiro128** (Blackman & Vigna 2018): 128 bits of state, period 2¹²⁸ − 1. */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** The seed is spread over the state by splitmix32. */
  constructor(seed: number) {
    [this.#a, this.#b, this.#c, this.#d] = expandSeed(seed);
  }

  /** Uniform in [0, 1), multiples of 2⁻³². */
  readonly next = (): number => this.uint32() / 2 ** 32;

  /** Uniform in 0 … 2³² − 1. */
  uint32(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform integer in 0 … count − 1. */
  integer(count: number): number {
    return Math.floor(this.next() * count);
  }

  state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0];
  }

  restore(state: RandomState): void {
    [this.#a, this.#b, this.#c, this.#d] = state;
  }
}

/** A seed for one purpose (epoch, example, …) out of a main seed: independent streams without shared state. */
export function deriveSeed(seed: number, ...purpose: readonly number[]): number {
  let hash = mix(seed >>> 0);
  for (const part of purpose) hash = mix((hash ^ Math.imul(part >>> 0, 0x9e3779b1)) >>> 0);
  return hash;
}

/** Fisher-Yates permutation of 0 … count − 1. */
export function shuffledIndices(count: number, random: SeededRandom): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  shuffleInPlace(order, random);
  return order;
}

/** Fisher-Yates in place. */
export function shuffleInPlace<T>(items: { length: number; [index: number]: T }, random: SeededRandom): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    const held = items[i] as T;
    items[i] = items[j] as T;
    items[j] = held;
  }
}

function expandSeed(seed: number): [number, number, number, number] {
  let state = seed >>> 0;
  const word = () => mix((state = (state + 0x9e3779b9) >>> 0));
  return [word(), word(), word(), word()];
}

/** Finaliser of murmur3: every input bit changes every output bit. */
function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
