// One reader of the text: a model with its attention, how far it is, and what it cost. Its clock runs while it computes, and no longer.
import { loadLanguageModel, type Chat, type LanguageModel, type LoadOptions, type Sequence } from '@hip/llm';
import type { OpenCheckpoint } from '@hip/checkpoints';
import { logSumExp } from '@hip/checkpoints/generation';
import { maskRows } from './mask-rows.ts';
import { isRightAnswer } from './pass-key.ts';
import type { KeyAnswer, LaneName, LaneProgress, PassKey } from './protocol.ts';

/** The rows that a layer's mask has: on a GPU at least so many of all but the widest models. */
const STEP = { wasm: 512, webgpu: 1024 } as const;
/** Tokens of an answer that may hold the digits of a pass-key. */
const ANSWER_TOKENS = 10;

interface Reading {
  readonly sequence: Sequence;
  readonly ids: readonly number[];
  readonly layer: number;
  ms: number;
  nats: number;
  losses: number;
  tokenMs: number | undefined;
}

export class Lane implements Disposable {
  readonly name: LaneName;
  readonly model: LanguageModel;
  /** The conversation that goes on. */
  chat: Chat | undefined;
  #reading: Reading | undefined;

  private constructor(name: LaneName, model: LanguageModel) {
    this.name = name;
    this.model = model;
  }

  static async load(
    name: LaneName,
    checkpoint: OpenCheckpoint,
    { selectsAlways, ...options }: LoadOptions & { readonly selectsAlways: boolean },
  ): Promise<Lane> {
    const attention = name === 'dense' ? 'dense' : selectsAlways ? { denseBelow: 0 } : {};
    return new Lane(name, await loadLanguageModel(checkpoint, { ...options, attention }));
  }

  /** Begins a text; what was read before is forgotten. */
  begin(ids: readonly number[], layer: number): void {
    this.#reading?.sequence.dispose();
    const sequence = this.model.createSequence();
    this.#reading = { sequence, ids, layer, ms: 0, nats: 0, losses: 0, tokenMs: undefined };
  }

  /** Milliseconds of its own so far. */
  get ms(): number {
    return this.#text.ms;
  }

  get isDone(): boolean {
    return this.#text.sequence.length === this.#text.ids.length;
  }

  get progress(): LaneProgress {
    return this.#progress(this.#text.sequence.length, this.#text.ms, undefined);
  }

  /** Reads some more tokens, and times one at the length that is reached. @param tell - told how far it is */
  async advance(signal: AbortSignal, tell: (progress: LaneProgress) => void): Promise<void> {
    const text = this.#text;
    const { sequence, ids } = text;
    const from = sequence.length;
    const part = ids.slice(from, from + STEP[this.model.backend]);
    const start = performance.now();
    const onProgress = (done: number): void =>
      tell(this.#progress(from + done, text.ms + performance.now() - start, undefined));
    const losses = await sequence.losses(part, { signal, onProgress, masks: [text.layer] });
    text.ms += performance.now() - start;
    for (const loss of losses) text.nats += loss;
    text.losses += losses.length;
    const mask = sequence.mask(text.layer);
    const rows = mask ? maskRows(mask) : 'all';
    await this.#step(text, signal);
    tell(this.#progress(sequence.length, text.ms, rows));
  }

  /** Asks for the digits of a pass-key, after the text, greedily. */
  async ask(key: PassKey, signal: AbortSignal): Promise<KeyAnswer> {
    const { sequence, ms } = this.#text;
    const { tokenizer } = this.model;
    const fork = sequence.fork();
    try {
      const start = performance.now();
      let next = (await fork.candidates(tokenizer.encode(key.question, { addSpecialTokens: false }), { signal }))
        .ids[0]!;
      const firstTokenMs = ms + performance.now() - start;
      const ids = [next];
      while (ids.length < ANSWER_TOKENS) {
        next = (await fork.candidates([next], { signal })).ids[0]!;
        ids.push(next);
      }
      const text = tokenizer.decode(ids);
      return { lane: this.name, text, isRight: isRightAnswer(text, key), firstTokenMs };
    } finally {
      fork.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.chat?.dispose();
    this.#reading?.sequence.dispose();
    this.model.close();
  }

  /**
   * The last token again, in a fork: the time of one more token at this length, and the loss of the first token of the next part, which
   * no part by itself has.
   */
  async #step(text: Reading, signal: AbortSignal): Promise<void> {
    const { sequence, ids } = text;
    const length = sequence.length;
    const fork = sequence.fork();
    try {
      fork.truncate(length - 1);
      const start = performance.now();
      const logits = await fork.forward([ids[length - 1]!], { signal });
      text.tokenMs = performance.now() - start;
      const next = ids[length];
      if (next === undefined) return;
      text.nats += logSumExp(logits) - logits[next]!;
      text.losses++;
    } finally {
      fork.dispose();
    }
  }

  get #text(): Reading {
    if (!this.#reading) throw new Error('a lane was asked about a text before one was begun');
    return this.#reading;
  }

  #progress(done: number, ms: number, mask: LaneProgress['mask']): LaneProgress {
    const { ids, nats, losses, tokenMs } = this.#text;
    const { weights, cache, total } = this.model.memory;
    return {
      lane: this.name,
      done,
      total: ids.length,
      ms,
      perplexity: losses > 0 ? Math.exp(nats / losses) : undefined,
      tokenMs,
      memory: { weights, cache, total },
      mask,
    };
  }
}
