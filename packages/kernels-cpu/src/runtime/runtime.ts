// CpuRuntime: attention on typed arrays through the WebAssembly kernels. All threads work on each call.
import {
  checkScore,
  checkShape,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
import { ModelRuntime } from '../model/runtime.ts';
import { planMemory, type MemoryPlan } from '../plan/plan.ts';
import type { CacheType } from '../plan/layout.ts';
import { denseSteps, hipSteps, maskedSteps } from './attend.ts';
import type { Call } from './part.ts';
import type { CacheOptions } from './cache-options.ts';
import { KeyValueCache } from './cache.ts';
import { checkCacheType, checkMask, checkTensor, runnableConfig } from './check.ts';
import { drive, driveAsync, type AsyncOptions } from './drive.ts';
import { attentionGradient, type Gradients } from './gradient.ts';
import { Engine, type PhaseTimes, type Steps } from './engine.ts';
import { Scope } from './heap.ts';
import { matmul, type MatmulOptions } from './matmul.ts';
import { Store } from '../store/store.ts';
import type { CallOptions, DenseCallOptions, HipResult } from './options.ts';

/**
 * Attention kernels on the CPU. q [B, Tq, H, d]; k, v [B, Tk, Hkv, d]; float32, row-major; row i stands at position Tk − Tq + i.
 *
 * Deviation from float64: ≤ 2e-5 of the largest output for unit-scale inputs (the exp2 polynomial and float32 sums). Results do not
 * depend on the number of threads.
 */
export class CpuRuntime extends ModelRuntime {
  readonly #engine: Engine;

  /** @internal use {@link createCpuRuntime} */
  constructor(engine: Engine) {
    super(engine);
    this.#engine = engine;
  }

  get threads(): number {
    return this.#engine.threads;
  }

  get simd(): 'relaxed' | 'plain' {
    return this.#engine.simd;
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#engine.closed;
  }

  /** Milliseconds of the phases of the last call; what is missing to the whole is copying q in and the output out. */
  get times(): Readonly<PhaseTimes> {
    return this.#engine.times;
  }

  /** Bytes of WebAssembly memory in use: caches, and calls that are running. */
  get usedBytes(): number {
    return this.#engine.heap.used;
  }

  /** Most bytes of WebAssembly memory that have been in use at once. */
  get peakBytes(): number {
    return this.#engine.heap.peak;
  }

  /**
   * Says what a call needs before it is made. Without `config`: dense attention. For a cache with `maxTokens`: the plan of its largest
   * `attend`, with `keys` = maxTokens.
   */
  plan(shape: AttentionShape, config?: Partial<HipConfig>, type: CacheType = 'f32'): MemoryPlan {
    checkShape(shape);
    checkCacheType(type);
    return planMemory({ shape, config: config && runnableConfig(config, shape), threads: this.threads, type });
  }

  /**
   * Exact causal (or full) attention, flash style: no T×T matrix.
   *
   * @throws HipError `invalid-shape`, `invalid-config`, `unsupported` for other arrays than float32, `out-of-memory`; so do the others
   */
  denseAttention(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    options: DenseCallOptions = {},
  ): Float32Array {
    return drive(this.#dense(q, k, v, shape, options, false));
  }

  /** {@link denseAttention} in slices of some tens of milliseconds. */
  denseAttentionAsync(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    options: DenseCallOptions & AsyncOptions = {},
  ): Promise<Float32Array> {
    return driveAsync(this.#dense(q, k, v, shape, options, true), options);
  }

  /**
   * The HiP mask search. Masks equal the float64 reference's wherever scores differ by more than float32 rounding; a vote, and exact
   * stages before it, score in small integers, whose steps the README's section on accuracy states.
   *
   * @param options scale and soft-cap as the attention has them: stages that vote read them
   */
  maskSearch(
    q: Float32Array,
    k: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig> = {},
    options: ScoreOptions = {},
  ): BlockMask {
    return drive(this.#search(q, k, shape, config, options, false));
  }

  /** {@link maskSearch} in slices. */
  maskSearchAsync(
    q: Float32Array,
    k: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig> = {},
    options: ScoreOptions & AsyncOptions = {},
  ): Promise<BlockMask> {
    return driveAsync(this.#search(q, k, shape, config, options, true), options);
  }

  /** Attention over a mask's blocks, the sinks and the window, each key once. */
  blockSparseAttention(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    mask: BlockMask,
    options: CallOptions = {},
  ): Float32Array {
    return drive(this.#masked(q, k, v, shape, mask, options, false));
  }

  /** {@link blockSparseAttention} in slices. */
  blockSparseAttentionAsync(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    mask: BlockMask,
    options: CallOptions & AsyncOptions = {},
  ): Promise<Float32Array> {
    return driveAsync(this.#masked(q, k, v, shape, mask, options, true), options);
  }

  /** Search and attention in one call. */
  hipAttention(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig> = {},
    options: CallOptions = {},
  ): HipResult {
    return drive(this.#hip(q, k, v, shape, config, options, false));
  }

  /** {@link hipAttention} in slices of some tens of milliseconds. */
  hipAttentionAsync(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig> = {},
    options: CallOptions & AsyncOptions = {},
  ): Promise<HipResult> {
    return driveAsync(this.#hip(q, k, v, shape, config, options, true), options);
  }

  /**
   * Gradients of {@link blockSparseAttention} with respect to q, k and v, the mask held fixed. With `denseMask` of
   * `@hip/mask-search`: of dense attention. Work is shared by batch entry and kv head.
   *
   * @param gradient of the loss with respect to the output [B, Tq, H, d]
   * @throws HipError `invalid-shape`, `invalid-mask`, `unsupported`, `out-of-memory`
   */
  blockSparseAttentionGradient(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    gradient: Float32Array,
    shape: AttentionShape,
    mask: BlockMask,
    options: ScoreOptions & { readonly out?: Gradients | undefined } = {},
  ): Gradients {
    this.#begin(q, k, v, shape, gradient);
    checkMask(mask, shape);
    const { out = { q: new Float32Array(q.length), k: new Float32Array(k.length), v: new Float32Array(v.length) } } =
      options;
    checkTensor('out.q', out.q, q.length);
    checkTensor('out.k', out.k, k.length);
    checkTensor('out.v', out.v, v.length);
    using store = this.#fill(k, v, shape);
    attentionGradient(this.#call(store, shape, options, false), q, gradient, mask, out);
    return out;
  }

  /** A key-value cache that lives in WebAssembly memory: append, prefill in chunks, decode. */
  createCache(options: CacheOptions): KeyValueCache {
    this.#engine.checkOpen();
    return new KeyValueCache(this.#engine, options);
  }

  /** c [batch, m, n] = a [batch, m, k] · b [batch, k, n] (+ bias), threaded. @throws HipError `invalid-shape` */
  matmul(a: Float32Array, b: Float32Array, options: MatmulOptions): Float32Array {
    return matmul(this.#engine, a, b, options);
  }

  /** GFLOP/s of register-only multiply-adds on all threads: what the machine could do at best. Takes `milliseconds`. */
  measurePeak(milliseconds = 200): number {
    const engine = this.#engine;
    using scope = new Scope(engine.heap);
    // Milliseconds an item: waking a thread takes a tenth of one.
    const rounds = 1_000_000;
    const job = engine.job(scope, { ROUNDS: rounds, SCRATCH: scope.allocate(64 * this.threads), SCRATCH_STRIDE: 64 });
    const items = 2 * this.threads;
    let best = 0;
    // The engine optimises the loop during the first runs.
    for (const end = performance.now() + milliseconds; performance.now() < end;) {
      const start = performance.now();
      engine.run('peak', job, items);
      best = Math.max(best, (items * rounds * 12 * 4 * 2) / (performance.now() - start) / 1e6);
    }
    return best;
  }

  /** Ends the worker threads. The runtime cannot be used afterwards. */
  close(): void {
    this.#engine.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *#dense(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    { causal = true, ...options }: DenseCallOptions,
    sliced: boolean,
  ): Steps<Float32Array> {
    const out = this.#begin(q, k, v, shape, options.out);
    using store = this.#fill(k, v, shape);
    yield* denseSteps(this.#call(store, shape, options, sliced), q, out, causal);
    return out;
  }

  *#search(
    q: Float32Array,
    k: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig>,
    options: ScoreOptions,
    sliced: boolean,
  ): Steps<BlockMask> {
    const resolved = runnableConfig(config, shape);
    this.#begin(q, k, k, shape, q);
    using store = this.#fill(k, k, shape);
    return yield* hipSteps(this.#call(store, shape, options, sliced), { config: resolved, q });
  }

  *#masked(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    mask: BlockMask,
    options: CallOptions,
    sliced: boolean,
  ): Steps<Float32Array> {
    const out = this.#begin(q, k, v, shape, options.out);
    checkMask(mask, shape);
    using store = this.#fill(k, v, shape);
    yield* maskedSteps(this.#call(store, shape, options, sliced), q, out, mask);
    return out;
  }

  *#hip(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    shape: AttentionShape,
    config: Partial<HipConfig>,
    options: CallOptions,
    sliced: boolean,
  ): Steps<HipResult> {
    const resolved = runnableConfig(config, shape);
    const output = this.#begin(q, k, v, shape, options.out);
    using store = this.#fill(k, v, shape);
    const mask = yield* hipSteps(this.#call(store, shape, options, sliced), { config: resolved, q, out: output });
    return { output, mask };
  }

  /** Checks the tensors; returns where the output goes. */
  #begin(q: Float32Array, k: Float32Array, v: Float32Array, shape: AttentionShape, out?: Float32Array): Float32Array {
    this.#engine.checkOpen();
    checkShape(shape);
    const { batch, queries, keys, heads, kvHeads, headDim } = shape;
    checkTensor('q', q, batch * queries * heads * headDim);
    checkTensor('k', k, batch * keys * kvHeads * headDim);
    checkTensor('v', v, batch * keys * kvHeads * headDim);
    if (out) checkTensor('out', out, q.length);
    this.#engine.resetTimes();
    return out ?? new Float32Array(q.length);
  }

  #fill(k: Float32Array, v: Float32Array, { batch, kvHeads, headDim, keys }: AttentionShape): Store {
    const store = new Store(this.#engine, { batch, kvHeads, headDim }, { tokens: keys });
    try {
      store.append(k, v);
    } catch (error) {
      store[Symbol.dispose]();
      throw error;
    }
    return store;
  }

  #call(store: Store, shape: AttentionShape, { scale, softcap }: ScoreOptions, sliced: boolean): Call {
    checkScore({ scale, softcap });
    return { engine: this.#engine, store, shape, scale, softcap, sliced };
  }
}
