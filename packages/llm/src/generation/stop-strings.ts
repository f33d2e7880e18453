// Stop strings in a stream of text: what may be the beginning of one is held back until it is certain.

/** Text that passes, and whether a stop string was met. */
export interface Passed {
  readonly text: string;
  readonly stopped: boolean;
}

export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops - of whole characters, none empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes a piece of text; what comes after a stop string is dropped. */
  push(piece: string): Passed {
    if (this.#stops.length === 0) return { text: piece, stopped: false };
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = '';
      return { text: text.slice(0, Math.min(...found)), stopped: true };
    }
    const certain = text.length - this.#possible(text);
    this.#held = text.slice(certain);
    return { text: text.slice(0, certain), stopped: false };
  }

  /** What was held back: no stop string came of it. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `text` that a stop string begins with. */
  #possible(text: string): number {
    const longest = Math.max(...this.#stops.map((stop) => stop.length)) - 1;
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
