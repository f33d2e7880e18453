// Seeded pseudo-random numbers: xoshiro128** (Blackman & Vigna 2018), the same on every platform.

/** Not for secrets. */
export class Random {
  private readonly state = new Uint32Array(4);

  constructor(seed: number) {
    const words = new Uint32Array(new Float64Array([seed === 0 ? 0 : seed]).buffer);
    // splitmix32 spreads the seed's 64 bits over the state.
    let z = (words[0]! ^ Math.imul(words[1]!, 0x9e3779b1)) >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      this.state[i] = t ^ (t >>> 15) ^ (i === 1 ? words[0]! : i === 2 ? words[1]! : 0);
    }
    if (this.state.every((word) => word === 0)) this.state[0] = 1;
  }

  uint32(): number {
    const s = this.state;
    const product = Math.imul(s[1]!, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** Uniform in 0 … count − 1, by rejection. */
  below(count: number): number {
    const limit = 2 ** 32 - (2 ** 32 % count);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % count;
  }

  /** A random order of 0 … count − 1 (Fisher–Yates). */
  permutation(count: number): Int32Array {
    const order = Int32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = order[i]!;
      order[i] = order[j]!;
      order[j] = kept;
    }
    return order;
  }
}
