// The seam between a model's arithmetic and everything that talks to it: an engine holds weights, a sequence holds tokens.
import type { ModelConfig } from '@hip/checkpoints';
import type { Candidates } from '@hip/checkpoints/generation';
import type { BlockMask, HipConfig } from '@hip/mask-search';

/** Bytes of a backend's memory. */
export interface EngineMemory {
  readonly weights: number;
  /** Keys, values and what searches keep of them, of all sequences. */
  readonly cache: number;
  /** Activations and tables that serve every step. */
  readonly scratch: number;
  readonly total: number;
}

/** Where a model is computed: on the processor (WebAssembly), or on a GPU (WebGPU). */
export type Backend = 'wasm' | 'webgpu';

/** One backend's model: weights in its memory, shared by all sequences. */
export interface Engine {
  readonly backend: Backend;
  /** Why this backend serves, in words. */
  readonly reason: string;
  readonly config: ModelConfig;
  /** Logits a row. */
  readonly vocabulary: number;
  /** Tokens that a sequence may hold. */
  readonly contextTokens: number;
  /** Sequences that may hold tokens at once, of whose sliding windows there is room; Infinity where memory alone limits them. */
  readonly conversations: number;
  readonly memory: EngineMemory;
  /** What the weights are: equal for equal weights in equal types. */
  readonly fingerprint: string;
  /** How a sequence lies in memory and attends: one that was saved goes on where this is equal. */
  readonly layout: string;
  /** An empty sequence. @throws LlmError `out-of-memory`, `closed` */
  createSequence(): Sequence;
  /**
   * A sequence that goes on as one that was saved would have. Takes its pieces one by one.
   *
   * @throws LlmError `out-of-memory`, `closed`, `device-lost`; `invalid-input` or `internal` for what {@link Sequence.save} of an equal
   * engine did not give. Nothing is left behind
   */
  restoreSequence(saved: Omit<SavedSequence, keyof Disposable>): Promise<Sequence>;
  /** Ends threads and frees everything; sequences cannot be used afterwards. A device that was given stays. */
  close(): void;
}

/** A sequence as data. Dispose of it when its pieces are taken, or will not be. */
export interface SavedSequence extends Disposable {
  readonly tokens: readonly number[];
  /** Plain data, typed arrays among it. */
  readonly state: unknown;
  /** Keys and values, in an order that the engine knows. */
  readonly pieces: AsyncGenerator<Uint8Array, void, void>;
}

/** Options of {@link Sequence.candidates}. */
export interface CandidateOptions extends Omit<ForwardOptions, 'logits'> {
  /** Of {@link Candidates.scaledLogSumExp}. @defaultValue 1 */
  readonly temperature?: number | undefined;
}

/** Options of {@link Sequence.forward}. */
export interface ForwardOptions {
  /** Which rows' logits come back. @defaultValue 'last' */
  readonly logits?: 'last' | 'all' | 'none' | undefined;
  /**
   * Each token gives, bit for bit, what a call of it alone gives, though a few of them cost less together. WebAssembly alone: a GPU rounds
   * rows of a text otherwise than steps.
   *
   * @defaultValue false
   */
  readonly apart?: boolean | undefined;
  /**
   * Layers whose {@link Sequence.mask} will be asked for. WebAssembly has those of all layers anyway; a GPU keeps and reads back these, at
   * the end of the call.
   *
   * @defaultValue none
   */
  readonly masks?: readonly number[] | undefined;
  /** Ends the call between two slices of its work; the sequence is then as it was. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each slice. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A conversation's tokens in the cache. A step that fails or is aborted leaves it as it was. */
export interface Sequence {
  /** Tokens held. */
  readonly length: number;
  /** Them: what another engine goes on from, whatever has become of this one. */
  readonly tokens: readonly number[];
  /**
   * Appends tokens.
   *
   * @returns logits, soft-capped where the model does it: of the last token [vocabulary], of all [n, vocabulary], or none [0]
   * @throws LlmError `context-full`, `non-finite-logits` with the position, `out-of-memory`, `invalid-input` for ids outside the
   * vocabulary, `aborted`, `busy` while another call of this sequence runs, `device-lost` where the GPU is gone
   */
  forward(ids: ArrayLike<number>, options?: ForwardOptions): Promise<Float32Array>;
  /**
   * Appends at least one token, and gives the 64 likeliest next ones: a few numbers in place of a vocabulary's logits.
   *
   * @throws as {@link Sequence.forward}
   */
  candidates(ids: ArrayLike<number>, options?: CandidateOptions): Promise<Candidates>;
  /**
   * Appends tokens.
   *
   * @returns nats of each token but the first, given those before it [n − 1], whether or not the sequence held tokens before
   */
  losses(ids: ArrayLike<number>, options?: Omit<ForwardOptions, 'logits'>): Promise<Float32Array>;
  /** A sequence with the same tokens that goes its own way; keys and values are shared until then. */
  fork(): Sequence;
  /**
   * Keeps the first `length` tokens. Where a layer's sliding window has moved on by more than 512 tokens behind them, and what it saw was
   * given back, the next call computes them anew.
   */
  truncate(length: number): void;
  /**
   * The sequence as it is now, as data; it may go on meanwhile.
   *
   * @throws LlmError `busy`, `closed`, `device-lost`, `out-of-memory`; `unsupported-model` where pages lie on the host (`offload`)
   */
  save(): Promise<SavedSequence>;
  /**
   * The keys that HiP selected in a layer for the rows of the last call: for pictures. Of a longer call for the rows of its last part, which
   * are 512 on WebAssembly, 512 to 8,192 by the model's width on WebGPU. Undefined where the layer read all keys or its window, and on
   * WebGPU where the call's `masks` did not name the layer. Rows of a question at the end that read all keys do not count.
   */
  mask(layer: number): BlockMask | undefined;
  dispose(): void;
}

/** What attention reads: everything, or what HiP selects with a configuration's values and a profile's layers. */
export type AttentionChoice = 'dense' | AttentionOptions;

/** HiP attention with a configuration, a model's profile, or both. */
export interface AttentionOptions {
  /** Fields that replace those of the default or of the profile. */
  readonly config?: Partial<HipConfig> | undefined;
  /** A calibrated profile of this model, e.g. `smollm2` of `@hip/attention/profiles`. */
  readonly profile?: AttentionProfile | undefined;
  /**
   * Tokens up to which every layer is dense, for rows of a text, questions and single tokens alike.
   *
   * @defaultValue `DENSE_BELOW` of `@hip/mask-search`: up to where HiP does not pay on the backend, for questions (the last 64 tokens of a call)
   * 16,384 on WebAssembly
   */
  readonly denseBelow?: number | undefined;
}

/** What this package reads of a calibration profile. */
export interface AttentionProfile {
  readonly config: Partial<HipConfig>;
  readonly layers: HipConfig['layers'];
}

/** How weights lie in memory: as their file stores them, or converted while loading. */
export type WeightChoice = 'stored' | 'f32' | 'f16' | 'q8' | 'q4';

/** Options of {@link loadEngine}. */
export interface EngineOptions {
  /** @defaultValue 'stored' */
  readonly weights?: WeightChoice | undefined;
  /** Tokens that a sequence may hold. @defaultValue what the model was trained for */
  readonly contextTokens?: number | undefined;
  /** @defaultValue HiP with the shipped configuration from the length on where it pays, dense below */
  readonly attention?: AttentionChoice | undefined;
  /** Type of cached keys and values. @defaultValue 'f16' */
  readonly cache?: 'f16' | 'f32' | undefined;
  /**
   * `auto` takes WebGPU where a GPU serves: a hardware adapter, a model that its kernels compute, and room. {@link Engine.reason} says
   * what was found.
   *
   * @defaultValue 'auto'
   */
  readonly backend?: 'auto' | Backend | undefined;
  /** A device to compute on, which the engine does not destroy. @defaultValue one of its own, with all that the kernels use */
  readonly device?: GPUDevice | undefined;
  /** Most bytes that weights, scratch and one conversation's cache may take: more is refused before anything is allocated. @defaultValue what the backend addresses */
  readonly memoryLimit?: number | undefined;
  /**
   * Tokens whose keys and values the GPU has room for, of all sequences together; tokens that forks share count once. WebAssembly's memory
   * grows. @defaultValue one sequence of `contextTokens`, and 1,024 of others
   */
  readonly cacheTokens?: number | undefined;
  /**
   * Conversations whose windows the GPU has room for at once, where layers of the model see a sliding window: those layers hold the newest
   * tokens of each alone, and 512 before them, where that takes less than `cacheTokens`. WebAssembly's memory grows.
   *
   * @defaultValue 8
   */
  readonly conversations?: number | undefined;
  /**
   * Keys and values of so many tokens lie on the GPU at once; older ones move to the host and are fetched where HiP selects them. WebGPU
   * alone. @defaultValue all of `contextTokens`, none on the host
   */
  readonly offload?: { readonly tokens: number } | undefined;
  /** Of WebAssembly. @defaultValue the machine's cores */
  readonly threads?: number | 'auto' | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of weights read so far, and of all. */
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** What an engine will take, before anything is allocated. */
export interface EnginePlan extends EngineMemory {
  readonly backend: Backend;
  /** Tokens that `cache` is for. */
  readonly contextTokens: number;
}
