// A checksum of 64 bits over words of 32: every change of one word changes it for certain, any other one all but.
const MULTIPLIERS = [0x9e37_79b1, 0x85eb_ca77] as const;
const SHIFTS = [13, 17] as const;

/** Sums up bytes in pieces whose lengths are multiples of 4, the last one's aside. */
export class Checksum {
  readonly #lanes: [number, number] = [1, 2];

  /** @returns this */
  add(bytes: Uint8Array): this {
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, whole / 4);
    let [a, b] = this.#lanes;
    const [p, q] = MULTIPLIERS;
    const [r, s] = SHIFTS;
    // Each step is a bijection of the lane for a given word, and of the word for a given lane.
    for (const word of words) {
      a = Math.imul(a ^ word, p);
      a = (a << r) | (a >>> (32 - r));
      b = Math.imul(((b << s) | (b >>> (32 - s))) ^ word, q);
    }
    this.#lanes[0] = a;
    this.#lanes[1] = b;
    if (whole < bytes.byteLength) {
      const rest = new Uint8Array(8);
      rest.set(bytes.subarray(whole));
      rest[4] = bytes.byteLength - whole;
      this.add(rest);
    }
    return this;
  }

  /** The sum so far, as two words. */
  words(): Int32Array<ArrayBuffer> {
    return Int32Array.from(this.#lanes);
  }

  /** The sum so far as a text of 16 hexadecimal digits. */
  text(): string {
    return Array.from(this.#lanes, (lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }
}

/** Bytes of an array. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
