// The tokens that a sequence holds, by id: a prompt that begins with them is read from where it differs.
import { LlmError } from '../errors.ts';
import type { ForwardOptions, Sequence } from '../engine/types.ts';

/** What {@link HeldTokens.hold} did. */
export interface Held {
  /** Logits after the last token [vocabulary], or [0]. */
  readonly logits: Float32Array;
  /** Tokens that were there already. */
  readonly reused: number;
}

export class HeldTokens implements Disposable {
  readonly #sequence: Sequence;
  readonly #contextTokens: number;
  readonly #ids: number[];

  constructor(sequence: Sequence, contextTokens: number, ids: readonly number[] = []) {
    this.#sequence = sequence;
    this.#contextTokens = contextTokens;
    this.#ids = [...ids];
  }

  get ids(): readonly number[] {
    return this.#ids;
  }

  get isFull(): boolean {
    return this.#ids.length >= this.#contextTokens;
  }

  /**
   * Makes the sequence hold exactly these tokens: cuts it back to where they begin to differ and appends the others. What fails or is
   * aborted leaves the tokens that both have.
   *
   * @param onProgress - tokens of `ids` that are held, and all of them
   * @throws LlmError `context-full` before anything is computed; `invalid-input` for no tokens; what the sequence throws
   */
  async hold(ids: readonly number[], { logits = 'last', signal, onProgress }: ForwardOptions = {}): Promise<Held> {
    this.#requireRoom(ids.length);
    const common = commonLength(this.#ids, ids);
    // The last token's logits are not kept: it is read again.
    const kept = logits === 'none' ? common : Math.min(common, ids.length - 1);
    this.truncate(kept);
    const out = await this.append(ids.slice(kept), {
      logits,
      signal,
      onProgress: onProgress && ((done) => onProgress(Math.floor(kept + done), ids.length)),
    });
    return { logits: out, reused: kept };
  }

  /** Appends tokens. @throws what the sequence throws; it is then as it was */
  async append(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    const logits = await this.#sequence.forward(ids, options);
    for (const id of ids) this.#ids.push(id);
    return logits;
  }

  /** Keeps the first `length` tokens at most. */
  truncate(length: number): void {
    if (length >= this.#ids.length) return;
    this.#sequence.truncate(length);
    this.#ids.length = length;
  }

  fork(): HeldTokens {
    return new HeldTokens(this.#sequence.fork(), this.#contextTokens, this.#ids);
  }

  [Symbol.dispose](): void {
    this.#sequence.dispose();
  }

  #requireRoom(tokens: number): void {
    if (tokens === 0) throw new LlmError('invalid-input', 'there are no tokens to go on from: give at least one', {});
    const contextTokens = this.#contextTokens;
    if (tokens <= contextTokens) return;
    const message = `${tokens} tokens are needed and the context holds ${contextTokens}: say less, or load with contextTokens ≥ ${tokens}`;
    throw new LlmError('context-full', message, { tokens, contextTokens });
  }
}

/** Tokens that two lists begin with alike. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
