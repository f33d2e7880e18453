// Checksums of bytes: eight lanes of 32 bits, each multiplied and turned by what it reads (after FNV-1a, Fowler, Noll and Vo 1991). They
// find damage and tell models apart; they keep no secrets.

const PRIME = 0x01000193;
const LANES = 8;
const WORDS = 8;

/** A checksum that is fed bytes in any number of pieces; how they are cut is part of it. */
export class Checksum {
  readonly #lanes = Uint32Array.from({ length: LANES }, (_, lane) => Math.imul(0x811c9dc5 ^ lane, 0x9e3779b1));

  /** Takes in bytes. */
  add(bytes: Uint8Array): this {
    // Words of 32 bits need an aligned beginning.
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const whole = aligned.byteLength >> 2;
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, whole);
    let [a, b, c, d, e, f, g, h] = this.#lanes as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const even = whole - (whole % WORDS);
    for (let at = 0; at < even; at += WORDS) {
      a = Math.imul(a ^ (words[at] as number), PRIME);
      b = Math.imul(b ^ (words[at + 1] as number), PRIME);
      c = Math.imul(c ^ (words[at + 2] as number), PRIME);
      d = Math.imul(d ^ (words[at + 3] as number), PRIME);
      e = Math.imul(e ^ (words[at + 4] as number), PRIME);
      f = Math.imul(f ^ (words[at + 5] as number), PRIME);
      g = Math.imul(g ^ (words[at + 6] as number), PRIME);
      h = Math.imul(h ^ (words[at + 7] as number), PRIME);
    }
    for (let at = 4 * even; at < aligned.byteLength; at++) a = Math.imul(a ^ (aligned[at] as number), PRIME);
    h = Math.imul(h ^ aligned.byteLength, PRIME);
    this.#lanes.set([a, b, c, d, e, f, g, h]);
    // High bits reach low ones only here.
    this.#stir();
    return this;
  }

  /** Takes in a text. */
  text(text: string): this {
    return this.add(new TextEncoder().encode(text));
  }

  /** 32 bits of what was taken in so far. */
  get word(): number {
    return this.#lanes.reduce((all, lane) => Math.imul(all ^ lane ^ (lane >>> 15), 0x85ebca6b), 0x811c9dc5) >>> 0;
  }

  /** 256 bits of it, hexadecimal. */
  get hex(): string {
    return Array.from(this.#lanes, (lane) => lane.toString(16).padStart(8, '0')).join('');
  }

  #stir(): void {
    const lanes = this.#lanes;
    for (let round = 0; round < 2; round++) {
      for (let lane = 0; lane < LANES; lane++) {
        const before = lanes[(lane + LANES - 1) % LANES] as number;
        const mixed = Math.imul((lanes[lane] as number) ^ (before >>> 15) ^ (before << 7), 0x85ebca6b);
        lanes[lane] = mixed ^ (mixed >>> 13);
      }
    }
  }
}
