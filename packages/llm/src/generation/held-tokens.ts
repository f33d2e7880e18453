// The tokens that a sequence holds, by id: a prompt that begins with them is read from where it differs.
import { LlmError } from '../errors.ts';
import type { Candidates } from '@hip/checkpoints/generation';
import type { ModelDrafter } from '../speculative/model-drafter.ts';
import type { CandidateOptions, Engine, ForwardOptions, SavedSequence, Sequence } from '../engine/types.ts';

/** What {@link HeldTokens.hold} did. */
export interface Held {
  /** Logits after the last token [vocabulary], or [0]. */
  readonly logits: Float32Array;
  /** Tokens that were there already. */
  readonly reused: number;
}

/** What {@link HeldTokens} ask of an engine. */
type Holder = Pick<Engine, 'backend' | 'contextTokens'>;

export class HeldTokens implements Disposable {
  readonly #sequence: Sequence;
  readonly #engine: Holder;
  readonly #ids: number[];

  /** Proposes what comes next; ends with these. */
  readonly drafter: ModelDrafter | undefined;

  constructor(sequence: Sequence, engine: Holder, ids: readonly number[] = [], drafter?: ModelDrafter) {
    this.#sequence = sequence;
    this.drafter = drafter;
    this.#engine = engine;
    this.#ids = [...ids];
  }

  /** Whether logits are far away, so that candidates in their place save something. */
  get areLogitsFar(): boolean {
    return this.#engine.backend === 'webgpu';
  }

  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Tokens that it may hold. */
  get contextTokens(): number {
    return this.#engine.contextTokens;
  }

  /**
   * Makes the sequence hold exactly these tokens: cuts it back to where they begin to differ and appends the others. What fails or is
   * aborted leaves the tokens that both have.
   *
   * @param onProgress - tokens of `ids` that are held, and all of them
   * @throws LlmError `context-full` before anything is computed; `invalid-input` for no tokens; what the sequence throws
   */
  async hold(ids: readonly number[], { logits = 'last', signal, onProgress }: ForwardOptions = {}): Promise<Held> {
    const kept = this.#keep(ids, logits === 'none');
    const options = { logits, signal, onProgress: moved(onProgress, kept, ids.length) };
    return { logits: await this.append(ids.slice(kept), options), reused: kept };
  }

  /** As {@link hold}, with the likeliest next tokens in place of logits. */
  async holdCandidates(
    ids: readonly number[],
    { onProgress, ...options }: CandidateOptions = {},
  ): Promise<{ readonly candidates: Candidates; readonly reused: number }> {
    const kept = this.#keep(ids, false);
    const asked = { ...options, onProgress: moved(onProgress, kept, ids.length) };
    return { candidates: await this.appendCandidates(ids.slice(kept), asked), reused: kept };
  }

  /** Appends tokens. @throws what the sequence throws; it is then as it was */
  async append(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    const logits = await this.#sequence.forward(ids, options);
    for (const id of ids) this.#ids.push(id);
    return logits;
  }

  /** As {@link append}, with the likeliest next tokens in place of logits. */
  async appendCandidates(ids: readonly number[], options: CandidateOptions = {}): Promise<Candidates> {
    const candidates = await this.#sequence.candidates(ids, options);
    for (const id of ids) this.#ids.push(id);
    return candidates;
  }

  /** Keeps the first `length` tokens at most. */
  truncate(length: number): void {
    if (length >= this.#ids.length) return;
    this.#sequence.truncate(length);
    this.#ids.length = length;
  }

  fork(): HeldTokens {
    return new HeldTokens(this.#sequence.fork(), this.#engine, this.#ids, this.drafter?.fork());
  }

  /** The sequence as data. @throws what it throws */
  async save(): Promise<SavedSequence> {
    return this.#sequence.save();
  }

  [Symbol.dispose](): void {
    this.drafter?.[Symbol.dispose]();
    this.#sequence.dispose();
  }

  /** Cuts the sequence back to what it has in common with `ids`. @param all whether all of them may be held already */
  #keep(ids: readonly number[], all: boolean): number {
    this.#requireRoom(ids.length);
    const common = commonLength(this.#ids, ids);
    // The last token's logits are not kept: it is read again.
    const kept = all ? common : Math.min(common, ids.length - 1);
    this.truncate(kept);
    return kept;
  }

  #requireRoom(tokens: number): void {
    if (tokens === 0) throw new LlmError('invalid-input', 'there are no tokens to go on from: give at least one', {});
    const { contextTokens } = this.#engine;
    if (tokens <= contextTokens) return;
    const message = `${tokens} tokens are needed and the context holds ${contextTokens}: say less, or load with contextTokens ≥ ${tokens}`;
    throw new LlmError('context-full', message, { tokens, contextTokens });
  }
}

/** Progress of the tokens behind the first `kept`, as progress of all. */
function moved(onProgress: ForwardOptions['onProgress'], kept: number, total: number): ForwardOptions['onProgress'] {
  return onProgress && ((done) => onProgress(Math.floor(kept + done), total));
}

/** Tokens that two lists begin with alike. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
