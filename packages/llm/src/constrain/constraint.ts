// A grammar over one generation: what it bans before each token, and where it is behind it.
import { LlmError } from '../errors.ts';
import type { Grammar } from './grammar.ts';
import type { Matcher } from './matcher.ts';

export class Constraint {
  readonly #matcher: Matcher;
  readonly #tokens: readonly string[];
  readonly #stopIds: ReadonlySet<number>;
  readonly #budget: number;

  /**
   * @param budget - tokens that may come: the text is brought to its end within them
   * @throws LlmError `invalid-input` where they may not suffice for the shortest text
   */
  constructor(grammar: Grammar, stopIds: ReadonlySet<number>, budget: number) {
    requireBudget(grammar, budget);
    this.#matcher = grammar.matcher();
    this.#tokens = grammar.tree.bytes;
    this.#stopIds = stopIds;
    this.#budget = budget;
  }

  /** Whether nothing may follow. */
  get isDone(): boolean {
    return this.#matcher.isDone;
  }

  /** Bans what cannot come. @param generated - tokens so far */
  ban(logits: Float32Array, generated: number): void {
    this.#matcher.mask(logits, this.#budget - generated, this.#stopIds);
  }

  /** Goes on behind a token that was not banned. */
  accept(id: number): void {
    const bytes = Array.from(this.#tokens[id] ?? '', (letter) => letter.charCodeAt(0));
    if (this.#matcher.accept(bytes)) return;
    throw new LlmError('internal', `token ${id} was chosen, which the grammar does not allow`, { id });
  }
}

/** @throws LlmError `invalid-input` where so many tokens may not suffice */
export function requireBudget(grammar: Grammar, budget: number): void {
  if (budget >= grammar.leastTokens) return;
  const message = `maxTokens leaves ${budget} tokens, and the shortest text that fits may need ${grammar.leastTokens}: allow more`;
  throw new LlmError('invalid-input', message, { name: 'maxTokens', value: budget, least: grammar.leastTokens });
}
