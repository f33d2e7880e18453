// One layer's keys and values in a sequence, and what its newest rows attend to: its window, everything, or what HiP selects.
import type { ModelConfig } from '@hip/checkpoints';
import { PAGE_TOKENS, type CpuRuntime, type KeyValueCache, type SavedCache } from '@hip/kernels-cpu';
import { attentionParts, denseMask, partRows, type BlockMask, type LayerRule, type RowsPart } from '@hip/mask-search';
import type { CallPlace } from '../layers.ts';
import type { LayerShape } from '../layers.ts';

/** Tokens behind a window that stay, so that a cut back by so many needs nothing computed anew. */
const SPARE_TOKENS = 512;

/** Tokens that a layer with a window holds between two calls, at most. */
export function mostHeld(window: number): number {
  return window - 1 + SPARE_TOKENS + PAGE_TOKENS;
}

/** Keys and values of one layer of one sequence. */
export class LayerCache implements Disposable {
  readonly #shape: LayerShape;
  readonly #rule: LayerRule;
  readonly #cache: KeyValueCache;
  /** Whether the last step searched. */
  #isSearched = false;

  /** @throws HipError `out-of-memory` */
  constructor(shape: LayerShape, rule: LayerRule, cache: KeyValueCache) {
    this.#shape = shape;
    this.#rule = rule;
    this.#cache = cache;
  }

  static create(
    cpu: CpuRuntime,
    { attentionScale: scale, attentionSoftcap: softcap }: ModelConfig,
    shape: LayerShape,
    rule: LayerRule,
    type: 'f16' | 'f32',
  ): LayerCache {
    const { heads, kvHeads, headDim } = shape;
    const cache = cpu.createCache({ heads, kvHeads, headDim, type, config: rule.config ?? {}, scale, softcap });
    return new LayerCache(shape, rule, cache);
  }

  get length(): number {
    return this.#cache.length;
  }

  /** What the last step's rows read, where HiP selected it: of those before a question, where there is one behind them. */
  get mask(): BlockMask | undefined {
    return this.#isSearched ? this.#cache.mask : undefined;
  }

  /** {@link step} of each row by itself: what single steps give, bit for bit. */
  steps(q: Float32Array, k: Float32Array, v: Float32Array): Float32Array {
    const out = new Float32Array(q.length);
    const each = Array.from({ length: this.#rowsOf(q) }, () => ({ rows: 1 }));
    for (const row of partRows(each, this.#shape, { q, k, v, out })) row.out.set(this.step(row.q, row.k, row.v));
    return out;
  }

  /**
   * Appends k, v [rows, kvHeads, headDim] and attends with q [rows, heads, headDim].
   *
   * @param place - of the rows in their call. @defaultValue they are all of it
   */
  step(q: Float32Array, k: Float32Array, v: Float32Array, place?: CallPlace): Float32Array {
    const rows = this.#rowsOf(q);
    const parts = attentionParts(this.#rule, { rows, keys: this.#cache.length + rows, ...place });
    this.#isSearched = parts.some(({ kind }) => kind === 'hip');
    if (parts.length === 1) return this.#attend(parts[0]!, q, k, v);
    const out = new Float32Array(q.length);
    for (const part of partRows(parts, this.#shape, { q, k, v, out }))
      part.out.set(this.#attend(part, part.q, part.k, part.v));
    return out;
  }

  #rowsOf(q: Float32Array): number {
    return q.length / (this.#shape.heads * this.#shape.headDim);
  }

  #attend({ rows: queries, kind }: RowsPart, q: Float32Array, k: Float32Array, v: Float32Array): Float32Array {
    const cache = this.#cache;
    cache.append(k, v);
    const { heads, kvHeads, headDim } = this.#shape;
    const keys = cache.length;
    switch (kind) {
      case 'window': {
        const mask = denseMask({ batch: 1, queries, keys, heads, kvHeads, headDim }, true);
        const { window } = this.#rule;
        const out = cache.attendMasked(q, { ...mask, window });
        cache.forget(Math.max(0, keys - (window - 1) - SPARE_TOKENS));
        return out;
      }
      case 'dense':
        return cache.attendDense(q);
      case 'hip':
        return queries === 1 ? cache.decode(q) : cache.attend(q).output;
    }
  }

  /** Whether what a token behind `length` others sees is there. */
  canTruncate(length: number): boolean {
    const { forgotten } = this.#cache;
    return length === 0 || forgotten <= Math.max(0, length - this.#rule.window + 1);
  }

  truncate(length: number): void {
    this.#cache.truncate(length);
  }

  /** What it is beside its pages. */
  save(): SavedCache {
    return this.#cache.save();
  }

  readPage(page: number): Uint8Array<ArrayBuffer> {
    return this.#cache.readPage(page);
  }

  /** Of an empty cache; its pages are to be written next. @throws HipError `out-of-memory` */
  restore(saved: SavedCache): void {
    this.#cache.restore(saved);
  }

  writePage(page: number, bytes: Uint8Array): void {
    this.#cache.writePage(page, bytes);
  }

  /** @throws HipError `out-of-memory` */
  fork(): LayerCache {
    return new LayerCache(this.#shape, this.#rule, this.#cache.fork());
  }

  [Symbol.dispose](): void {
    this.#cache.dispose();
  }
}
