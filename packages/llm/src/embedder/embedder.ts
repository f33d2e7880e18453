// A loaded sentence encoder: texts to tokens, passes through the encoder, vectors.
import type { TextTokenizer } from '@hip/checkpoints';
import type { CpuRuntime } from '@hip/kernels-cpu';
import { translated } from '../engine/failures.ts';
import { pause } from '../engine/pause.ts';
import { Turns } from '../engine/wasm/turns.ts';
import { LlmError, throwIfAborted } from '../errors.ts';
import type { Encoder } from './encoder.ts';
import { packTexts, type Pack } from './packs.ts';
import { poolRows } from './pool.ts';
import type { EmbedderSettings } from './settings.ts';
import type { Embedder, Embeddings, EmbedOptions, Pooling } from './types.ts';

/** Milliseconds of tokenizing after which other tasks get their turn. */
const SLICE = 16;

/** What a {@link WasmEmbedder} is made from. */
export interface EmbedderParts {
  readonly cpu: CpuRuntime;
  readonly encoder: Encoder;
  readonly tokenizer: TextTokenizer;
  readonly settings: EmbedderSettings;
  readonly width: number;
}

export class WasmEmbedder implements Embedder {
  readonly #parts: EmbedderParts;
  readonly #turns = new Turns();

  constructor(parts: EmbedderParts) {
    this.#parts = parts;
  }

  get width(): number {
    return this.#parts.width;
  }

  get maxTokens(): number {
    return this.#parts.settings.maxTokens;
  }

  get pooling(): Pooling {
    return this.#parts.settings.pooling;
  }

  get normalize(): boolean {
    return this.#parts.settings.normalize;
  }

  get memory(): number {
    return this.#parts.cpu.usedBytes;
  }

  async embed(texts: readonly string[], { signal, onProgress }: EmbedOptions = {}): Promise<Embeddings> {
    this.#checkOpen();
    const { ids, cut } = await this.#encode(texts, signal);
    const tokens = ids.map(({ length }) => length);
    const vectors: Float32Array[] = [];
    let done = 0;
    for (const pack of packTexts(tokens, this.#parts.encoder.rows)) {
      await this.#turns.take(() => this.#pass(pack, ids, vectors, signal));
      done += pack.texts.length;
      onProgress?.(done, texts.length);
    }
    return { vectors, tokens, cut };
  }

  dispose(): void {
    if (!this.#parts.cpu.closed) this.#parts.cpu.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #encode(texts: readonly string[], signal: AbortSignal | undefined) {
    const { tokenizer, settings } = this.#parts;
    const { maxTokens, lowerCase } = settings;
    const all: number[][] = [];
    const cut: number[] = [];
    let since = performance.now();
    for (const [index, text] of texts.entries()) {
      throwIfAborted(signal, 'embedding');
      if (typeof text !== 'string') {
        throw new LlmError('invalid-input', `texts[${index}] is no text: give strings`, { index, text });
      }
      const read = lowerCase ? text.toLowerCase() : text;
      const whole = tokenizer.encode(read);
      const ids = whole.length > maxTokens ? tokenizer.encode(read, { maxTokens }) : whole;
      if (ids.length === 0) {
        throw new LlmError('invalid-input', `texts[${index}] holds no token: give some text`, { index });
      }
      all.push(ids);
      cut.push(whole.length - ids.length);
      if (performance.now() - since < SLICE) continue;
      await pause();
      since = performance.now();
    }
    return { ids: all, cut };
  }

  async #pass(
    pack: Pack,
    ids: readonly (readonly number[])[],
    vectors: Float32Array[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { encoder, width, settings } = this.#parts;
    try {
      const packed = pack.texts.flatMap((text) => ids[text] as number[]);
      await this.#turns.drive(encoder.run(packed, pack), () => {
        this.#checkOpen();
        throwIfAborted(signal, 'embedding');
      });
    } catch (error) {
      throw translated(error);
    }
    const { hidden } = encoder;
    let row = 0;
    for (const text of pack.texts) {
      const end = row + (ids[text] as number[]).length;
      const vector = poolRows(hidden.subarray(row * width, end * width), width, settings.pooling, settings.normalize);
      row = end;
      if (!vector.every(Number.isFinite)) {
        const message = `the embedding of texts[${text}] is not finite: the weights overflow in this arithmetic, or hold NaN`;
        throw new LlmError('non-finite-logits', message, { index: text });
      }
      vectors[text] = vector;
    }
  }

  #checkOpen(): void {
    if (!this.#parts.cpu.closed) return;
    throw new LlmError('closed', 'this embedder is disposed: load it again with loadEmbedder()', {});
  }
}
