// The next token: of whole logits, or of the likeliest tokens where those decide it and the logits lie on a GPU.
import {
  candidateLogProbabilities,
  logProbabilities,
  penalizeCandidates,
  penalizeRepetition,
  type Candidates,
} from '@hip/checkpoints/generation';
import { asLlmError } from './failures.ts';
import { Speculation } from '../speculative/speculation.ts';
import type { HeldTokens } from './held-tokens.ts';
import type { GeneratedToken, GenerationSettings } from './options.ts';

/** Tokens that candidates did not decide before logits are asked for at once. */
const MOST_UNDECIDED = 3;

/** What has been said. */
export interface Said {
  readonly ids: readonly number[];
  readonly seen: ReadonlySet<number>;
  /** How many of the ids are the reply. */
  readonly generated: number;
}

/** What an engine said of the next token. */
type Next = { readonly logits: Float32Array } | { readonly candidates: Candidates };

export class NextToken {
  readonly #held: HeldTokens;
  readonly #settings: GenerationSettings;
  readonly #speculation: Speculation | undefined;
  #undecided = 0;
  #next: Next | undefined;

  constructor(held: HeldTokens, settings: GenerationSettings) {
    this.#held = held;
    this.#settings = settings;
    const { draftTokens: tokens, signal } = settings;
    if (held.drafter && tokens !== 0) this.#speculation = new Speculation(held, held.drafter, { tokens, signal });
  }

  /** Reads a prompt. @returns tokens of it that were held */
  async read(prompt: readonly number[]): Promise<number> {
    const { signal, onProgress } = this.#settings;
    const { reused, ...next } = this.#isNarrow
      ? await this.#held.holdCandidates(prompt, { signal, onProgress, temperature: this.#temperature })
      : await this.#held.hold(prompt, { signal, onProgress });
    this.#next = next;
    return reused;
  }

  /**
   * Appends the token that was chosen.
   *
   * @param ids - all that was said, it included
   * @param left - tokens that may still come
   */
  async append(ids: readonly number[], left: number): Promise<void> {
    const { signal } = this.#settings;
    if (this.#speculation) {
      this.#next = { logits: await this.#speculation.append(ids, left) };
      return;
    }
    const id = ids.at(-1) as number;
    this.#next = this.#isNarrow
      ? { candidates: await this.#held.appendCandidates([id], { signal, temperature: this.#temperature }) }
      : { logits: await this.#held.append([id], { signal }) };
  }

  /** Takes back what was appended and not chosen. */
  end(): void {
    this.#speculation?.end();
  }

  /** Penalty, hook, sampling, in that order. @throws LlmError `non-finite-logits`, what the engine throws */
  async choose(said: Said): Promise<GeneratedToken> {
    const next = this.#next!;
    if ('logits' in next) return this.#ofLogits(next.logits, said);
    const token = this.#translated(said, () => this.#ofCandidates(next.candidates, said));
    if (token) return token;
    this.#undecided++;
    // The last token is read again, now for its logits.
    const { logits } = await this.#held.hold(said.ids, { signal: this.#settings.signal });
    return this.#ofLogits(logits, said);
  }

  get #isNarrow(): boolean {
    return this.#held.areLogitsFar && !this.#settings.logitsHook && this.#undecided < MOST_UNDECIDED;
  }

  get #temperature(): number | undefined {
    const { temperature } = this.#settings;
    return temperature > 0 ? temperature : undefined;
  }

  /** Undefined where they do not decide it. */
  #ofCandidates(candidates: Candidates, { seen }: Said): GeneratedToken | undefined {
    const { penalty, choose, logProbabilities: top } = this.#settings;
    // What is reported must be there before a random number is taken.
    if (top !== undefined && Math.min(top, candidates.of) > candidates.ids.length) return undefined;
    const penalized = penalizeCandidates(candidates, seen, penalty);
    if (!penalized || penalized.ids.length === 0) return undefined;
    const id = choose.among(penalized);
    if (id === undefined || top === undefined) return id === undefined ? undefined : { id };
    const reported = candidateLogProbabilities(candidates, id, top);
    return reported && { id, logProbabilities: reported };
  }

  #ofLogits(logits: Float32Array, said: Said): GeneratedToken {
    const { penalty, choose, logitsHook, logProbabilities: top } = this.#settings;
    return this.#translated(said, () => {
      const own = top === undefined ? undefined : logits.slice();
      penalizeRepetition(logits, said.seen, penalty);
      logitsHook?.(logits, { ids: said.ids, generated: said.generated });
      const id = choose(logits);
      return own ? { id, logProbabilities: logProbabilities(own, id, top) } : { id };
    });
  }

  #translated<T>({ ids }: Said, action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw asLlmError(error, { position: ids.length - 1 });
    }
  }
}
