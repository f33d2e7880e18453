// A loaded language model: conversations, generation and losses over one engine.
import type { GenerationDefaults, ModelConfig, TextTokenizer } from '@hip/checkpoints';
import { Chat } from '../chat/chat.ts';
import { restoreChat, type RestoreOptions } from '../chat/saved.ts';
import type { ChatOptions } from '../chat/types.ts';
import type { ByteInput } from '../saved/frames.ts';
import type { Engine, EngineMemory, EnginePlan, ForwardOptions, Sequence } from '../engine/types.ts';
import { LlmError } from '../errors.ts';
import { generateIds } from '../generation/generate.ts';
import { requireText, resolveGeneration, type GenerateOptions } from '../generation/options.ts';
import type { Prefix, PrefixOptions } from '../prefix/prefix.ts';
import { PrefixShelf } from '../prefix/shelf.ts';
import type { DraftParts } from '../speculative/load-draft.ts';
import type { ModelParts } from './parts.ts';

/** Options of {@link LanguageModel.losses}. */
export type LossOptions = Omit<ForwardOptions, 'logits'>;

/** What a model consists of, for rooms of this package that talk to its engine themselves. */
export let partsOf: (model: LanguageModel) => ModelParts;

/** A language model in memory; `loadLanguageModel` makes it. */
export class LanguageModel implements Disposable {
  readonly #parts: ModelParts;
  readonly #plan: (contextTokens: number) => Promise<EnginePlan>;
  readonly #prefixes: PrefixShelf;

  static {
    partsOf = (model) => model.#parts;
  }

  /** @internal */
  constructor(parts: ModelParts, plan: (contextTokens: number) => Promise<EnginePlan>) {
    this.#parts = parts;
    this.#plan = plan;
    this.#prefixes = new PrefixShelf(parts);
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

  /** What serves this model as another's draft. @internal */
  get draftParts(): DraftParts {
    const { engine, tokenizer } = this.#parts;
    return { engine, tokenizer };
  }

  /** Bytes in use now, without those of a draft. */
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
   * Reads a document once, for many questions. It is found again by a hash of model, options and tokens: in memory while somebody holds it,
   * and in `store`, where it is kept. Several calls for one document read it once.
   *
   * @throws LlmError `context-full` before anything is computed, `out-of-memory`, `aborted`, `closed`; what the store's `read` throws. What
   * the store holds and this model refuses is read anew: `prefix.problem` says why
   *
   * @example
   * ```ts
   * import { loadLanguageModel } from '@hip/llm';
   *
   * using model = await loadLanguageModel('./SmolLM2-135M-Instruct.Q4_1.gguf', { contextTokens: 1024 });
   * using prefix = await model.prefix('The lighthouse of Eddystone was built by John Smeaton in 1759.'); // { store: folderStore('…') }
   * const answers = ['Who built the lighthouse?', 'When was it built?'].map((question) => prefix.ask(question, { maxTokens: 30 }));
   * const [who, when] = await Promise.all(answers.map((answer) => answer.text()));
   * console.log(who!.includes('Smeaton'), when!.includes('1759')); // => true true
   * ```
   */
  async prefix(document: string, options: PrefixOptions = {}): Promise<Prefix> {
    return this.#prefixes.open(document, options);
  }

  /**
   * Goes on with a conversation that `chat.save()` or `chat.savePieces()` gave: its next answer is the one that it would have given.
   * Restore only what you or a program that you trust has saved.
   *
   * @param input - bytes, a Blob or file, a stream, or pieces in any lengths
   * @param options - replace those of the conversation; a template of its own is to be given again, and so is a `logitsHook`
   * @throws LlmError `saved-damaged`; `saved-mismatch` where weights, their types, backend, cache type or attention differ (`details.what`);
   * `context-full`, `out-of-memory`, `closed`. Nothing is left behind
   */
  async restore(input: ByteInput, options: RestoreOptions = {}): Promise<Chat> {
    return restoreChat(this.#parts, input, options);
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
    const settings = resolveGeneration(options, defaults, engine.config.eosTokenIds, {
      tokenizer,
      vocabulary: engine.vocabulary,
    });
    requireText(settings, tokenizer);
    return generateIds(this.#parts, Array.from(prompt), settings);
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
    const { draft, engine } = this.#parts;
    if (draft?.isOwn) draft.engine.close();
    engine.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
