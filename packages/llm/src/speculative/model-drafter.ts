// Proposals of a smaller model: its likeliest next tokens, in a sequence of its own that follows what was said.
import type { Engine } from '../engine/types.ts';
import type { DraftLength } from './draft-length.ts';
import { LlmError } from '../errors.ts';
import { HeldTokens } from '../generation/held-tokens.ts';

/** After these the draft gives up: the model goes on without it. */
const GIVES_UP = new Set(['non-finite-logits', 'out-of-memory', 'context-full', 'closed', 'device-lost']);

/** What drafts, and what all its texts have taught of how much that pays. */
interface Draft {
  readonly engine: Engine;
  readonly length: DraftLength;
}

export class ModelDrafter implements Disposable {
  /** How many of its tokens pay. */
  readonly length: DraftLength;
  readonly #engine: Engine;
  /** Of the model that it drafts for. */
  readonly #vocabulary: number;
  #held: HeldTokens | undefined;
  #hasGivenUp = false;

  constructor({ engine, length }: Draft, vocabulary: number, held?: HeldTokens) {
    this.length = length;
    this.#engine = engine;
    this.#vocabulary = vocabulary;
    this.#held = held;
  }

  /**
   * Proposes tokens to follow `ids`; fewer, or none, where the draft has no room or no answer.
   *
   * @throws LlmError `aborted`
   */
  async propose(ids: readonly number[], count: number, signal?: AbortSignal): Promise<number[]> {
    const proposed: number[] = [];
    const most = Math.min(count, this.#engine.contextTokens - ids.length + 1);
    if (this.#hasGivenUp || most <= 0) return proposed;
    try {
      const held = (this.#held ??= new HeldTokens(this.#engine.createSequence(), this.#engine));
      let next = held.areLogitsFar
        ? (await held.holdCandidates(ids, { signal })).candidates.ids[0]
        : likeliest((await held.hold(ids, { signal })).logits);
      while (next !== undefined && next < this.#vocabulary) {
        proposed.push(next);
        if (proposed.length >= most) break;
        next = held.areLogitsFar
          ? (await held.appendCandidates([next], { signal })).ids[0]
          : likeliest(await held.append([next], { signal }));
      }
    } catch (error) {
      if (!(error instanceof LlmError && GIVES_UP.has(error.code))) throw error;
      this.#hasGivenUp = true;
    }
    return proposed;
  }

  fork(): ModelDrafter {
    return new ModelDrafter({ engine: this.#engine, length: this.length }, this.#vocabulary, this.#held?.fork());
  }

  [Symbol.dispose](): void {
    this.#held?.[Symbol.dispose]();
  }
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}
