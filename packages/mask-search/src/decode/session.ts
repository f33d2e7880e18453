// Decode with refresh (docs/specification/hip.md §5): one sequence of one layer, whose mask is searched anew every few steps and reused meanwhile.
import { attendOverMask, checkStreaming, type SparseOptions } from '../attention/block-sparse.ts';
import { rotaryEmbedding, type RopeOptions } from '../attention/rotary.ts';
import { checkScore, logitOf, type ScoreOptions } from '../attention/score.ts';
import { emptyMask, setBlocks, type AttentionShape, type BlockMask } from '../block-mask.ts';
import type { HipConfig } from '../config/config.ts';
import { decodeConfig } from '../config/decode.ts';
import { resolveRemainder } from '../config/remainder.ts';
import { HipError } from '../errors.ts';
import { checkShape, checkTensor, positionsOf, type FloatArray } from '../inputs.ts';
import { BlockSums, type BlockMeans } from '../remainder/block-sums.ts';
import { maskCapacity, searchBlock, type SearchContext, type StageMemory } from '../search/block-search.ts';
import { queryBlock } from '../search/geometry.ts';
import { checkSearch, headsOf, rotateForSearch, searchCells, searchedConfig } from '../search/search.ts';
import { MemoryMeter, newWorkCount } from '../work.ts';
import { RefreshClock } from './refresh.ts';
import { VectorStore } from './store.ts';

export interface DecodeOptions extends ScoreOptions {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Causal. `refreshInterval` and the stages' `refresh` say how long a search is reused. @defaultValue DEFAULT_CONFIG */
  readonly config?: Partial<HipConfig> | undefined;
  /**
   * Keys are appended unrotated and RoPE is applied on the way. The search takes `absolute` positions with absolute attention,
   * `relative` ones with streaming attention. @defaultValue none: q and k come as they are to be multiplied
   */
  readonly rope?: RopeOptions | undefined;
}

/**
 * The key-value cache and the mask of one sequence in one layer.
 *
 * Between two searches the window grows: it starts where it started when the search ran, so the keys that would have left it stay in
 * reach (docs/specification/hip.md §5 covers the new keys only). A stage with an interval of its own keeps its output for that many steps, and later
 * stages search inside it; then the window starts where it started when the first stage ran.
 *
 * With `decodeKeys: 'candidates'` steps attend to all candidates of a vote, which is left out; prefill votes.
 *
 * The remainder's statistics grow with the tokens; its blocks lie where they lay when the first stage ran.
 *
 * A step costs O((k + window + refresh)·d) for each head and a search every r_m steps; nothing it does is linear in the length of the
 * sequence but the first of several stages.
 *
 * @example
 * ```ts
 * import { DecodeSession } from '@hip/mask-search';
 * const session = new DecodeSession({ heads: 1, kvHeads: 1, headDim: 2, config: { k: 16, window: 64 } });
 * const token = (i: number) => Float32Array.of(Math.sin(i), Math.cos(i));
 * for (let i = 0; i < 100; i++) session.step(token(i), token(i), token(i));
 * console.log(session.searches); // => 100
 * ```
 */
export class DecodeSession {
  readonly config: HipConfig;
  /** What steps run: `config`, without its vote where they attend to all candidates. */
  readonly #stepConfig: HipConfig;
  /** Adds up the work of searches and attention; the memory includes the cache. */
  readonly work = newWorkCount();
  readonly #options: DecodeOptions;
  readonly #keys: VectorStore;
  readonly #values: VectorStore;
  /** The remainder's statistics, of keys as they are stored. */
  readonly #means: BlockMeans | undefined;
  readonly #clock: RefreshClock;
  readonly #meter = new MemoryMeter(this.work);
  readonly #summaries: SearchContext['summaries'] = new Map();
  readonly #memories: StageMemory[];
  /** Numbers that the cache has been counted with. */
  #held = 0;
  #mask: BlockMask | undefined;
  #searches = 0;

  /**
   * @throws HipError `invalid-config`, `invalid-shape`, `unsupported` without causality, or with a remainder where RoPE is streaming
   */
  constructor(options: DecodeOptions) {
    const { heads, kvHeads, headDim, config } = options;
    this.#options = options;
    checkScore(options);
    checkShape({ batch: 1, queries: 1, keys: 1, heads, kvHeads, headDim });
    this.config = searchedConfig(config, { headDim }, options.rope);
    checkSearch(this.config, { heads });
    checkStreaming(options.rope, this.config);
    if (!this.config.causal)
      throw new HipError('unsupported', 'decoding is causal: leave config.causal true', { name: 'causal' });
    this.#keys = new VectorStore(kvHeads * headDim);
    this.#values = new VectorStore(kvHeads * headDim);
    const { sink, remainder } = this.config;
    if (remainder) {
      const { block } = resolveRemainder(remainder);
      const sums = (): BlockSums => new BlockSums({ batch: 1, kvHeads, headDim }, sink, block, this.#meter);
      this.#means = { keys: sums(), values: sums() };
    }
    this.#stepConfig = decodeConfig(this.config);
    this.#clock = new RefreshClock(this.#stepConfig);
    this.#memories = Array.from({ length: this.config.shareHeads ? 1 : heads }, () => ({ searchable: 0, outputs: [] }));
  }

  /** Tokens so far. */
  get length(): number {
    return this.#keys.length;
  }

  /** Searches that steps have made, those of later stages alone included. */
  get searches(): number {
    return this.#searches;
  }

  /** The mask of the last step, its window as it had grown. */
  get mask(): BlockMask | undefined {
    return this.#mask;
  }

  /**
   * Appends T tokens and attends from all of them, as one causal call would: a prompt, or a chunk of one. Chunks that are multiples
   * of `blockQ` give what one whole prefill gives. The next step searches anew.
   *
   * @param q [T, H, d] @param k [T, Hkv, d] @param v [T, Hkv, d]
   * @returns [T, H, d]
   * @throws HipError `invalid-shape`, `non-finite`
   */
  prefill(q: FloatArray, k: FloatArray, v: FloatArray): Float64Array {
    const { heads, headDim } = this.#options;
    const { shape, query } = this.#append(q, k, v, q.length / (heads * headDim));
    const mask = searchCells(this.#context(query, shape, this.config));
    this.#meter.release(mask.starts.length + mask.counts.length);
    this.#clock.reset();
    return this.#attend(query, shape, mask);
  }

  /**
   * Appends one token and attends from it.
   *
   * @param q [H, d] @param k [Hkv, d] @param v [Hkv, d]
   * @returns [H, d]
   * @throws HipError `invalid-shape`, `non-finite`
   */
  step(q: FloatArray, k: FloatArray, v: FloatArray): Float64Array {
    const { shape, query } = this.#append(q, k, v, 1);
    const stage = this.#clock.tick();
    const found = this.#mask !== undefined && stage === undefined ? this.#mask : this.#search(query, shape, stage ?? 0);
    this.#mask = { ...found, keys: shape.keys, window: this.config.window + this.#clock.age };
    return this.#attend(query, shape, this.#mask);
  }

  /**
   * Forgets the tokens from `length` on. The next step searches anew.
   *
   * @throws HipError `invalid-shape` unless length is an integer from 0 to the tokens held
   */
  truncate(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.length) {
      const message = `length is ${length}: give an integer from 0 to the ${this.length} tokens held`;
      throw new HipError('invalid-shape', message, { length, held: this.length });
    }
    for (const part of [this.#keys, this.#values, this.#means?.keys, this.#means?.values, ...this.#summaries.values()])
      part?.truncate(length);
    this.#clock.reset();
    this.#mask = undefined;
  }

  /**
   * Runs the stages from `from` on; earlier ones keep their output. The window starts where it did when the first one ran, for rows
   * that vote as for rows that attend.
   */
  #search(q: FloatArray, shape: AttentionShape, from: number): BlockMask {
    const window = this.config.window + this.#clock.age;
    const context = this.#context(q, shape, { ...this.#stepConfig, window });
    const mask = emptyMask(shape, context.config, maskCapacity(context.config));
    const block = queryBlock(0, shape, context.config, context.position);
    this.#memories.forEach((memory, maskHead) => {
      memory.outputs = memory.outputs.slice(0, from);
      const heads = headsOf(shape, this.config, maskHead);
      setBlocks(mask, 0, maskHead, 0, searchBlock(context, { batch: 0, heads, block }, memory));
    });
    this.#searches++;
    return mask;
  }

  #context(query: FloatArray, shape: AttentionShape, config: HipConfig): SearchContext {
    const { rope } = this.#options;
    const k = this.#keys.view();
    const inputs =
      rope?.mode === 'streaming'
        ? rotateForSearch(query, k, shape, this.config, { tables: rope.tables, mode: 'relative' })
        : { q: query, k };
    const { work } = this;
    return {
      ...inputs,
      shape,
      causal: true,
      position: positionsOf(shape),
      logit: logitOf(shape.headDim, this.#options),
      config,
      work,
      meter: this.#meter,
      summaries: this.#summaries,
    };
  }

  /** Checks and stores; absolute RoPE turns every vector once, here. */
  #append(
    q: FloatArray,
    k: FloatArray,
    v: FloatArray,
    tokens: number,
  ): { readonly shape: AttentionShape; readonly query: FloatArray } {
    const { heads, kvHeads, headDim, rope } = this.#options;
    const shape = { batch: 1, queries: tokens, keys: this.length + tokens, heads, kvHeads, headDim };
    checkShape(shape);
    checkTensor('q', q, tokens * heads * headDim);
    checkTensor('k', k, tokens * kvHeads * headDim);
    checkTensor('v', v, tokens * kvHeads * headDim);
    const before = this.length;
    const turn = (x: FloatArray, count: number): FloatArray =>
      rope?.mode === 'absolute'
        ? rotaryEmbedding(x, { batch: 1, rows: tokens, heads: count, headDim }, rope.tables, (row) => before + row)
        : x;
    const [query, key] = [turn(q, heads), turn(k, kvHeads)];
    this.#keys.append(key);
    this.#values.append(v);
    this.#means?.keys.extend(this.#keys.view(), this.length, this.work);
    this.#means?.values.extend(this.#values.view(), this.length);
    const held = this.#keys.capacity + this.#values.capacity;
    this.#meter.hold(held - this.#held);
    this.#held = held;
    return { shape, query };
  }

  #attend(q: FloatArray, shape: AttentionShape, mask: BlockMask): Float64Array {
    const { scale, softcap, rope } = this.#options;
    const options: SparseOptions = { scale, softcap, work: this.work, ...(rope?.mode === 'streaming' && { rope }) };
    return attendOverMask(q, this.#keys.view(), this.#values.view(), shape, mask, options, this.#means);
  }
}
