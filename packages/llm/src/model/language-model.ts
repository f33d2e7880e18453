// A loaded language model: conversations, generation and losses over one engine.
import type { GenerationDefaults, ModelConfig, TextTokenizer } from '@hip/checkpoints';
import { Chat } from '../chat/chat.ts';
import type { ChatOptions } from '../chat/types.ts';
import type { Engine, EngineMemory, EnginePlan, ForwardOptions, Sequence } from '../engine/types.ts';
import { LlmError } from '../errors.ts';
import { generateIds } from '../generation/generate.ts';
import { requireText, resolveGeneration, type GenerateOptions } from '../generation/options.ts';
import type { ModelParts } from './parts.ts';

/** Options of {@link LanguageModel.losses}. */
export type LossOptions = Omit<ForwardOptions, 'logits'>;

/** What a model consists of, for rooms of this package that talk to its engine themselves. */
export let partsOf: (model: LanguageModel) => ModelParts;

/** A language model in memory; `loadLanguageModel` makes it. */
export class LanguageModel implements Disposable {
  readonly #parts: ModelParts;
  readonly #plan: (contextTokens: number) => Promise<EnginePlan>;

  static {
    partsOf = (model) => model.#parts;
  }

  /** @internal */
  constructor(parts: ModelParts, plan: (contextTokens: number) => Promise<EnginePlan>) {
    this.#parts = parts;
    this.#plan = plan;
  }

  get backend(): Engine['backend'] {
    return this.#parts.engine.backend;
  }

  /** Why this backend serves, in words. */
  get reason(): string {
    return this.#parts.engine.reason;
  }

  get config(): ModelConfig {
    return this.#parts.engine.config;
  }

  /** Tokens that a conversation may hold. */
  get contextTokens(): number {
    return this.#parts.engine.contextTokens;
  }

  /** Bytes in use now. */
  get memory(): EngineMemory {
    return this.#parts.engine.memory;
  }

  /** What generation_config.json advises. */
  get generation(): GenerationDefaults {
    return this.#parts.defaults;
  }

  /** @throws LlmError `unsupported-model` where the checkpoint has none */
  get tokenizer(): TextTokenizer {
    const { tokenizer } = this.#parts;
    if (tokenizer) return tokenizer;
    throw new LlmError('unsupported-model', 'the model has no tokenizer (tokenizer.json): work with ids', {});
  }

  /** Begins a conversation. @throws LlmError `unsupported-model` without a tokenizer or chat template, `out-of-memory`, `closed` */
  chat(options: ChatOptions = {}): Chat {
    return new Chat(this.#parts, options);
  }

  /** An empty sequence of tokens over the model's weights, for what is neither conversation nor generation. @throws LlmError `out-of-memory`, `closed` */
  createSequence(): Sequence {
    return this.#parts.engine.createSequence();
  }

  /**
   * Continues a prompt until a stop id or string, `maxTokens`, or the end of the context.
   *
   * @param prompt - token ids, at least one
   * @returns the new ids; a stop id is not among them, the tokens of a stop string are
   * @throws LlmError `invalid-input`, `context-full` (before anything is computed), `non-finite-logits`, `out-of-memory`, `aborted`,
   * `closed`
   */
  async generate(prompt: ArrayLike<number>, options: GenerateOptions = {}): Promise<number[]> {
    const { engine, tokenizer, defaults } = this.#parts;
    const settings = resolveGeneration(options, defaults, engine.config.eosTokenIds);
    requireText(settings, tokenizer);
    return generateIds(engine, tokenizer, Array.from(prompt), settings);
  }

  /**
   * Nats of each token but the first, given those before it.
   *
   * @param ids - at least one, at most `contextTokens`
   * @returns [n − 1]
   * @throws LlmError `invalid-input`, `context-full`, `non-finite-logits`, `out-of-memory`, `aborted`, `closed`
   */
  async losses(ids: ArrayLike<number>, options: LossOptions = {}): Promise<Float32Array> {
    const sequence = this.#parts.engine.createSequence();
    try {
      return await sequence.losses(ids, options);
    } finally {
      sequence.dispose();
    }
  }

  /** Bytes that the model takes with one conversation of so many tokens, by the options that it was loaded with. */
  async plan(contextTokens: number = this.contextTokens): Promise<EnginePlan> {
    return this.#plan(contextTokens);
  }

  /** Ends threads and frees everything; what still runs ends with `closed`. */
  close(): void {
    this.#parts.engine.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
