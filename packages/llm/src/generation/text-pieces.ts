// A reply's tokens as text: whole characters, up to a stop string.
import { createTextStream, type TextStream, type TextTokenizer } from '@hip/checkpoints';
import { StopStrings, type Passed } from './stop-strings.ts';

/** What bytes that are no character decode to. */
const BROKEN_END = /\uFFFD+$/;

export class TextPieces {
  readonly #stream: TextStream;
  readonly #stops: StopStrings;

  /** @param keepSpecial - whether special tokens are part of the text */
  constructor(tokenizer: TextTokenizer, stopStrings: readonly string[], keepSpecial = false) {
    this.#stream = createTextStream(tokenizer, { skipSpecialTokens: !keepSpecial });
    this.#stops = new StopStrings(stopStrings);
  }

  /** The text that a token makes certain, and whether a stop string was met in it. */
  push(id: number): Passed {
    return this.#stops.push(this.#stream.push(id));
  }

  /** What was held back, without the beginning of a character that did not come whole. */
  end(): string {
    const { text, stopped } = this.#stops.push(this.#stream.end().replace(BROKEN_END, ''));
    return stopped ? text : text + this.#stops.end();
  }
}
