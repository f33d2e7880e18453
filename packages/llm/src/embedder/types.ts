// Sentence embeddings: texts in, vectors out.
import type { OpenOptions } from '@hip/checkpoints';
import type { WeightChoice } from '../engine/types.ts';

/** How a text's tokens become one vector: their mean, or the first one's (the class token's). */
export type Pooling = 'mean' | 'first';

/** Options of {@link loadEmbedder}: how the checkpoint's files are found and kept, and how texts are read. */
export interface EmbedderOptions extends OpenOptions {
  /**
   * `stored` takes least memory; `f32` is faster for a few short texts, whose products would spend their time on reading smaller numbers.
   *
   * @defaultValue 'f32'
   */
  readonly weights?: WeightChoice | undefined;
  /** @defaultValue what the configuration of its pooling says, `mean` where the checkpoint has no `modules.json` */
  readonly pooling?: Pooling | undefined;
  /** Scale vectors to length 1. @defaultValue what `modules.json` says, true where there is none */
  readonly normalize?: boolean | undefined;
  /** Tokens of a text that are read, special ones included. @defaultValue the checkpoint's `max_seq_length`, else its positions */
  readonly maxTokens?: number | undefined;
  /** @defaultValue the machine's cores */
  readonly threads?: number | 'auto' | undefined;
  /** Bytes of weights read so far, and of all. */
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** Options of {@link Embedder.embed}. */
export interface EmbedOptions {
  readonly signal?: AbortSignal | undefined;
  /** Texts that are done, and all of them. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What {@link Embedder.embed} gives, an entry a text. */
export interface Embeddings {
  /** [width] each. */
  readonly vectors: Float32Array[];
  /** Tokens that were read, special ones included. */
  readonly tokens: number[];
  /** Tokens that were left out because the text is longer than {@link Embedder.maxTokens}; 0 for most. */
  readonly cut: number[];
}

/** A sentence encoder in memory; {@link loadEmbedder} makes it. */
export interface Embedder extends Disposable {
  /** Numbers of a vector. */
  readonly width: number;
  /** Tokens of a text that are read, special ones included. */
  readonly maxTokens: number;
  readonly pooling: Pooling;
  /** Whether vectors have length 1: their products are then cosines. */
  readonly normalize: boolean;
  /** Bytes in use. */
  readonly memory: number;
  /**
   * Embeds texts. They are sorted by length and packed without padding; calls take turns.
   *
   * @throws LlmError `invalid-input` for what is no text or holds no token, `non-finite-logits` with the text's index, `out-of-memory`,
   * `aborted`, `closed`; CheckpointError `tokenizer`
   */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Embeddings>;
  /** Ends threads and frees everything; what still runs ends with `closed`. */
  dispose(): void;
}
