// What a chat's pieces of text add to its message: content, and calls of tools.
import type { ToolReader } from '../tools/types.ts';

/** What a chunk adds to a choice's message. */
export interface Delta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly tool_calls?: readonly ToolCallDelta[];
}

export interface ToolCallDelta {
  /** Of the call in its message. */
  readonly index: number;
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** Turns the text of one choice into deltas. */
export class ChatDeltas {
  readonly #reader: ToolReader | undefined;
  readonly #most: number;
  /** Calls so far. */
  calls = 0;

  /** @param most - calls that are given; further ones are left out */
  constructor(reader: ToolReader | undefined, most: number) {
    this.#reader = reader;
    this.#most = most;
  }

  push(text: string): Delta[] {
    if (!this.#reader) return text === '' ? [] : [{ content: text }];
    return this.#deltas(this.#reader.push(text));
  }

  /** What was held back. */
  end(): Delta[] {
    return this.#reader ? this.#deltas(this.#reader.end()) : [];
  }

  #deltas(pieces: ReturnType<ToolReader['push']>): Delta[] {
    return pieces.flatMap((piece): Delta[] => {
      if (piece.type === 'text') return [{ content: piece.text }];
      if (this.calls >= this.#most) return [];
      const id = `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
      return [{ tool_calls: [{ index: this.calls++, id, type: 'function', function: piece.call }] }];
    });
  }
}
