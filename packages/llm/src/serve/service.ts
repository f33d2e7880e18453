// The model behind the endpoints: places, shared beginnings, and the writing of choices.
import type { TextTokenizer } from '@hip/checkpoints';
import { writeAnswer } from '../chat/answer.ts';
import type { Usage } from '../chat/types.ts';
import { requireBudget } from '../constrain/constraint.ts';
import { LlmError } from '../errors.ts';
import {
  resolveGeneration,
  type Compiled,
  type GeneratedToken,
  type GenerateOptions,
  type GenerationSettings,
} from '../generation/options.ts';
import { partsOf, type LanguageModel } from '../model/language-model.ts';
import type { ModelParts } from '../model/parts.ts';
import { Admission, type Place } from './admission.ts';
import { ApiError } from './api-error.ts';
import { mergeChoices, type ChoiceEvent, type Piece } from './choices.ts';
import { PrefixStore } from './prefix-store.ts';

/** Bounds of a {@link Service}. */
export interface ServiceOptions {
  /** Requests that are answered at once, token by token in turn. @defaultValue 8, at most half of the engine's `conversations` */
  readonly slots?: number | undefined;
  /** Requests that may wait for that; further ones are refused (429). @defaultValue 64 */
  readonly queue?: number | undefined;
  /**
   * Tokens that all requests and the beginnings kept for later ones may hold together; what is answered comes first.
   *
   * @defaultValue on WebAssembly the model's context for each slot; on WebGPU what its cache was allocated for by default
   */
  readonly cacheTokens?: number | undefined;
}

/** What a server is doing. */
export interface ServerLoad {
  /** Requests that are answered. */
  readonly running: number;
  /** Requests that wait. */
  readonly waiting: number;
  /** Beginnings that are kept for later requests. */
  readonly prefixes: number;
  /** Their tokens. */
  readonly prefixTokens: number;
  /** Bytes of keys and values, of all requests and kept beginnings, a draft's among them. */
  readonly cacheBytes: number;
}

/** One choice to write. */
export interface Job {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions & Compiled;
  /** Whether special tokens are part of the text: some mark calls. */
  readonly keepSpecial?: boolean;
}

/** A job whose options are complete. */
interface Settled {
  readonly prompt: readonly number[];
  readonly settings: GenerationSettings;
  readonly keepSpecial: boolean;
}

/** Choices that are being written. */
export interface Run {
  readonly events: AsyncGenerator<ChoiceEvent, void, void>;
  /** Ends it at its next step. */
  readonly abort: (reason: unknown) => void;
}

const SLOTS = 8;
const QUEUE = 64;
/** On a GPU, beyond one context: the engine's own default. */
const SPARE_TOKENS = 1024;

export class Service {
  readonly #parts: ModelParts;
  readonly #admission: Admission;
  readonly #prefixes: PrefixStore;
  readonly #running = new Set<AbortController>();
  readonly #idle: (() => void)[] = [];

  constructor(model: LanguageModel, options: ServiceOptions) {
    this.#parts = partsOf(model);
    const { backend, contextTokens, conversations } = this.#parts.engine;
    // Half of the conversations that an engine has room for may be answered, unless somebody knows better; beginnings are the others.
    const usualSlots = Math.min(SLOTS, Math.ceil(conversations / 2));
    const slots = Math.min(positive('slots', options.slots ?? usualSlots), conversations);
    const queue = positive('queue', options.queue ?? QUEUE, 0);
    const usual = backend === 'wasm' ? slots * contextTokens : contextTokens + SPARE_TOKENS;
    const cacheTokens = positive('cacheTokens', options.cacheTokens ?? usual);
    this.#prefixes = new PrefixStore(this.#parts, cacheTokens, conversations - slots);
    this.#admission = new Admission({ slots, queue, cacheTokens }, (held) =>
      this.#prefixes.limit(Math.max(0, cacheTokens - held)),
    );
  }

  get tokenizer(): TextTokenizer {
    const { tokenizer } = this.#parts;
    if (tokenizer) return tokenizer;
    throw new LlmError('unsupported-model', 'the model has no tokenizer (tokenizer.json), which a server needs', {});
  }

  get template(): ModelParts['template'] {
    return this.#parts.template;
  }

  /** Logits a row. */
  get vocabulary(): number {
    return this.#parts.engine.vocabulary;
  }

  get contextTokens(): number {
    return this.#parts.engine.contextTokens;
  }

  get load(): ServerLoad {
    const { running, waiting } = this.#admission;
    const { engine, draft } = this.#parts;
    const cacheBytes = engine.memory.cache + (draft?.engine.memory.cache ?? 0);
    return { running, waiting, prefixes: this.#prefixes.size, prefixTokens: this.#prefixes.tokens, cacheBytes };
  }

  /**
   * Waits for a place and begins to write. The events must then be taken to their end, or the run aborted and its events returned.
   *
   * @param param - field that the prompts came from
   * @throws ApiError 400 for a prompt that is too long, 429, 503; LlmError `invalid-input`, `aborted`
   */
  async start(jobs: readonly Job[], param: string, signal: AbortSignal): Promise<Run> {
    const controller = new AbortController();
    const settled = jobs.map(({ prompt, options, keepSpecial = false }) => ({
      prompt,
      keepSpecial,
      settings: this.#settings(prompt, options, param, controller),
    }));
    const tokens = settled.reduce(
      (sum, { prompt, settings }) => sum + Math.min(this.contextTokens, prompt.length + settings.maxTokens),
      0,
    );
    const place = await this.#admission.enter(tokens, signal);
    const abort = (): void => controller.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    this.#running.add(controller);
    const writers = settled.map((one) => this.#write(one, controller.signal));
    const end = (): void => {
      signal.removeEventListener('abort', abort);
      this.#running.delete(controller);
      place.leave();
      if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    return { events: this.#events(writers, controller, end), abort: (reason) => controller.abort(reason) };
  }

  /** Takes a place for work of another kind. */
  enter(tokens: number, signal: AbortSignal): Promise<Place> {
    return this.#admission.enter(tokens, signal);
  }

  /**
   * Refuses what comes, gives what runs some time, ends it, and frees what is kept.
   *
   * @param graceMs - milliseconds until what still runs is aborted
   */
  async close(graceMs: number): Promise<void> {
    this.#admission.stop();
    const ended =
      this.#running.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => void this.#idle.push(resolve));
    const timer = setTimeout(() => {
      for (const controller of this.#running)
        controller.abort(new ApiError(503, 'the server is ending', { code: 'shutting_down' }));
    }, graceMs);
    await ended;
    clearTimeout(timer);
    this.#prefixes.clear();
  }

  async *#events(
    writers: readonly AsyncGenerator<Piece, Usage, void>[],
    controller: AbortController,
    end: () => void,
  ): AsyncGenerator<ChoiceEvent, void, void> {
    try {
      yield* mergeChoices(writers);
    } catch (error) {
      throw controller.signal.aborted && controller.signal.reason instanceof ApiError
        ? controller.signal.reason
        : error;
    } finally {
      end();
    }
  }

  async *#write({ prompt, settings, keepSpecial }: Settled, signal: AbortSignal): AsyncGenerator<Piece, Usage, void> {
    const begun = await this.#prefixes.begin(prompt, signal);
    let tokens: GeneratedToken[] = [];
    let usage!: Usage;
    const onToken = (_: number, token: GeneratedToken): void => void tokens.push(token);
    const source = {
      held: begun.held,
      tokenizer: this.tokenizer,
      prompt,
      settings: { ...settings, onToken },
      keepSpecial,
      onRead: () => begun.read(),
    };
    try {
      for await (const text of writeAnswer(source, (ended) => (usage = ended.usage))) {
        yield { text, tokens };
        tokens = [];
      }
    } catch (error) {
      // What is kept for later gives way to what comes next.
      if (error instanceof LlmError && error.code === 'out-of-memory') this.#prefixes.clear();
      throw error;
    } finally {
      begun.end();
    }
    if (tokens.length > 0) yield { text: '', tokens };
    return usage;
  }

  #settings(prompt: readonly number[], options: Job['options'], param: string, { signal }: AbortController) {
    const { engine, defaults, tokenizer } = this.#parts;
    const { length } = prompt;
    if (length === 0) throw new ApiError(400, `${param} holds no tokens`, { param, code: 'invalid_value' });
    if (length > engine.contextTokens) {
      const message = `${param} is ${length} tokens long and this model's context holds ${engine.contextTokens}: say less`;
      throw new ApiError(400, message, { param, code: 'context_length_exceeded' });
    }
    const outside = prompt.find((id) => id >= engine.vocabulary);
    if (outside !== undefined) {
      const message = `${param} holds ${outside}, which is no token: ids go to ${engine.vocabulary - 1}`;
      throw new ApiError(400, message, { param, code: 'invalid_value' });
    }
    const settings = resolveGeneration({ ...options, signal }, defaults, engine.config.eosTokenIds, {
      tokenizer,
      vocabulary: engine.vocabulary,
    });
    // Said now: an answer that has begun has no status any more.
    if (settings.grammar)
      requireBudget(settings.grammar, Math.min(settings.maxTokens, engine.contextTokens - length + 1));
    return settings;
  }
}

function positive(name: string, value: number, least = 1): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new LlmError('invalid-input', `${name} is ${value}: give an integer ≥ ${least}`, { name, value });
}
