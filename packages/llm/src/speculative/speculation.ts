// Speculative decoding: a draft proposes tokens, one step of the model checks them all, and what the model would have chosen stays.
//
// The draft proposes its likeliest token, a distribution with all weight on x. The rule of Leviathan, Kalman and Matias (2023, section 2.3;
// Chen et al. 2023 alike) then accepts x with the model's probability p(x), else draws from p without x: which is to draw from p and see
// whether it is x. So the model's own sampler draws, with penalty, hook and seed, and a text is the one that it writes without a draft.
import { LlmError } from '../errors.ts';
import type { HeldTokens } from '../generation/held-tokens.ts';
import { DraftLength } from './draft-length.ts';
import type { ModelDrafter } from './model-drafter.ts';

export interface SpeculationOptions {
  /** Tokens to propose at a time. @defaultValue as many as pay */
  readonly tokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Speculation {
  readonly #held: HeldTokens;
  readonly #drafter: ModelDrafter;
  readonly #signal: AbortSignal | undefined;
  readonly #length: DraftLength;
  /** What was proposed and checked last, logits of the token before and of each of them, and how many were chosen. */
  #proposed: readonly number[] = [];
  #rows: readonly Float32Array[] = [];
  #chosen = 0;
  #times = { draftMs: 0, checkMs: 0 };
  /** Tokens that were appended and stay. */
  #kept: number | undefined;

  constructor(held: HeldTokens, drafter: ModelDrafter, { tokens, signal }: SpeculationOptions) {
    this.#held = held;
    this.#drafter = drafter;
    this.#signal = signal;
    this.#length = tokens === undefined ? drafter.length : new DraftLength(tokens);
  }

  /**
   * Appends the token that was chosen.
   *
   * @param ids - all that was said, it included
   * @param most - tokens that may still come
   * @returns logits of the next
   * @throws what the sequence throws
   */
  async append(ids: readonly number[], most: number): Promise<Float32Array> {
    const id = ids.at(-1) as number;
    if (this.#proposed[this.#chosen] === id) {
      this.#chosen++;
      this.#kept = ids.length;
      return this.#rows[this.#chosen] as Float32Array;
    }
    this.#finishRound();
    this.#held.truncate(ids.length - 1);
    const room = Math.min(most - 1, this.#held.contextTokens - ids.length);
    const count = Math.max(0, Math.min(this.#length.next(), room));
    const startedAt = performance.now();
    const proposed = count > 0 ? await this.#drafter.propose(ids, count, this.#signal) : [];
    const draftMs = performance.now() - startedAt;
    const rows = await this.#check(id, proposed);
    this.#times = { draftMs, checkMs: performance.now() - startedAt - draftMs };
    this.#rows = rows;
    this.#proposed = proposed.slice(0, rows.length - 1);
    this.#kept = ids.length;
    return rows[0] as Float32Array;
  }

  /** Takes back what was appended and not chosen. */
  end(): void {
    if (this.#kept === undefined) return;
    try {
      this.#held.truncate(this.#kept);
    } catch (error) {
      // Nothing is left to take back.
      const isGone = error instanceof LlmError && ['closed', 'device-lost'].includes(error.code);
      if (!isGone) throw error;
    }
  }

  #finishRound(): void {
    if (this.#rows.length > 0) {
      this.#length.note({ proposed: this.#proposed.length, accepted: this.#chosen, ...this.#times });
    }
    [this.#proposed, this.#rows, this.#chosen] = [[], [], 0];
  }

  /** Logits after a token and after each that was proposed; of the token alone where those lead nowhere. */
  async #check(id: number, proposed: readonly number[]): Promise<Float32Array[]> {
    const signal = this.#signal;
    if (proposed.length === 0) return [await this.#held.append([id], { signal })];
    try {
      const all = await this.#held.append([id, ...proposed], { logits: 'all', apart: true, signal });
      const width = all.length / (proposed.length + 1);
      return Array.from({ length: proposed.length + 1 }, (_, row) => all.subarray(row * width, (row + 1) * width));
    } catch (error) {
      // The model would perhaps not have said it.
      const isTheirs = error instanceof LlmError && ['non-finite-logits', 'out-of-memory'].includes(error.code);
      if (!isTheirs) throw error;
      return [await this.#held.append([id], { signal })];
    }
  }
}
