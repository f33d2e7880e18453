// GpuDecodeSession: one sequence of one layer on the GPU (docs/specification/hip.md §5): append, search every few steps, attend; one submit per step.
import {
  checkScore,
  decodeConfig,
  HipError,
  maskLayout,
  resolveConfig,
  resolveRemainder,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
import { createBuffer } from '../dispatch/pool.ts';
import { encodePseudoList, pseudoUniform, type PseudoKeys } from '../remainder/encode.ts';
import { mostPseudoKeys } from '../remainder/layout.ts';
import { pseudoWords } from '../remainder/pseudo-code.ts';
import { allocateMask, destroyMask, type GpuMask } from '../attention/mask.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import { GpuCall, type PreparedCall } from '../dispatch/call.ts';
import { type GpuTensor } from '../dispatch/tensor.ts';
import type { Timer } from '../dispatch/timer.ts';
import { encodeSearch, type SearchBuffers } from '../search/search.ts';
import { capacityOf, planSearch } from '../search/plan.ts';
import { rowStages } from '../search/row-passes.ts';
import { checkLengths, decodeUniform, encodeDecode, pseudoInside } from './decode.ts';
import { firstKeyStage, neededPages, survivorPages } from './offload.ts';
import type { DecodeDispatch } from './plan.ts';
import { encodePrefill } from './prefill.ts';
import { encodeRowAttention, planRowAttention } from './row.ts';
import type { RowAttentionKernel } from './row-code.ts';
import { StepClock } from './step-clock.ts';
import { StepUniforms } from './step-uniforms.ts';
import { viewStates, type ViewState } from './view-states.ts';

export interface GpuDecodeOptions extends ScoreOptions {
  /** Query heads. */
  readonly heads: number;
  /** `refreshInterval` and the stages' `refresh` say how long a search is reused. @defaultValue DEFAULT_CONFIG */
  readonly config?: Partial<HipConfig> | undefined;
}

/** One step's tensors: q, out [tokens, H, d]; k, v [tokens, Hkv, d]. */
export interface StepTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
}

/**
 * Masks, envelopes and prepared calls of one sequence. Between two searches the window grows: it starts where it started when the
 * search ran, so no key falls between mask and window.
 *
 * @example
 * ```ts
 * const session = new GpuDecodeSession(cache, { heads: 32 });
 * session.prefill({ q, k, v, out }, 4096); // prompts, or chunks of one
 * session.step({ q: q1, k: k1, v: v1, out: out1 }); // no readback
 * ```
 */
export class GpuDecodeSession {
  readonly config: HipConfig;
  readonly cache: KvCache;
  /** What steps run: `config`, without its vote where they attend to all candidates. */
  readonly #stepConfig: HipConfig;
  readonly mask: GpuMask;
  readonly #options: GpuDecodeOptions;
  readonly #clock: StepClock;
  readonly #interval: number;
  readonly #views: readonly ViewState[];
  readonly #uniforms: StepUniforms;
  readonly #prepared = new Map<string, PreparedCall>();
  /** With a remainder: every cell's pseudo-keys. */
  readonly #pseudo: Omit<PseudoKeys, 'means'> | undefined;
  #bound: StepTensors | undefined;
  #contiguous: boolean;
  #destroyed = false;
  #busy = false;
  /** Pages that the current mask's candidates lie in. */
  #candidatePages: ReadonlySet<number> = new Set();

  /** @throws HipError `unsupported` where a shared mask's keys lie in several pools, `invalid-config`, `invalid-shape` */
  constructor(cache: KvCache, options: GpuDecodeOptions) {
    const { pool } = cache;
    const { heads } = options;
    this.config = resolveConfig(options.config);
    checkScore(options);
    this.#stepConfig = decodeConfig(this.config);
    this.cache = cache;
    this.#options = options;
    this.#contiguous = cache.contiguous;
    if (!this.config.causal)
      throw new HipError('unsupported', 'decoding is causal: leave config.causal true', { name: 'causal' });
    if (heads % pool.kvHeads !== 0)
      throw new HipError(
        'invalid-shape',
        `heads is ${heads}, kvHeads ${pool.kvHeads}: heads must be a multiple of kvHeads`,
        { heads, kvHeads: pool.kvHeads },
      );
    if (this.config.shareHeads && pool.pools.length > 1)
      throw new HipError(
        'unsupported',
        `a shared mask needs all kv heads in one pool, this cache has ${pool.pools.length}: set shareHeads to false, or hold fewer tokens`,
        { pools: pool.pools.length },
      );
    this.#checkRemainder();
    const { stages, refreshInterval, window } = this.#stepConfig;
    this.#clock = new StepClock(this.#stepConfig);
    this.#interval = Math.max(
      ...(stages ?? [{}]).map((stage) => ('refresh' in stage ? stage.refresh : undefined) ?? refreshInterval),
    );
    const { context } = pool;
    const step = { batch: 1, queries: 1, keys: cache.maxTokens, heads };
    this.mask = allocateMask(context, maskLayout(step, this.#stepConfig, capacityOf(this.#stepConfig)));
    this.#views = viewStates({ ...options, cache, config: this.#stepConfig, interval: this.#interval });
    const means = this.#views[0]!.means;
    if (means) {
      const most = mostPseudoKeys(means.layout);
      const bytes = 8 * this.mask.maskHeads * pseudoWords(most);
      const list = { buffer: createBuffer(context, bytes, 0x80 | 0x08 | 0x04, 'pseudo-keys'), size: bytes }; // STORAGE | COPY_DST | COPY_SRC
      this.#pseudo = { list, most, layout: means.layout };
    }
    this.#uniforms = new StepUniforms(
      context,
      this.#views.map((state, i) => {
        const { plan, envelopes, headFirst, decode, options } = state;
        const { shape } = plan.request;
        const pack = (dispatch: DecodeDispatch): ArrayBuffer =>
          decodeUniform(shape, decode, dispatch, this.mask, options, { keys: 1, window });
        return { append: cache.appendUniform(i, 1), decode: decode.dispatches.map(pack), plan, envelopes, headFirst };
      }),
      this.#pseudo && pseudoUniform(this.mask, this.#pseudo.layout, this.#pseudo.most),
    );
  }

  /** Searches that steps have made. */
  get searches(): number {
    return this.#clock.searches;
  }

  /** Bytes on the device besides the cache: mask, envelopes, scratch. */
  get bytes(): number {
    const scratch = this.#views.reduce(
      (total, view) =>
        total +
        view.envelopes.bytes +
        (view.means?.bytes ?? 0) +
        [...view.scratch.values()].reduce((sum, { buffer }) => sum + buffer.size, 0),
      0,
    );
    return scratch + (this.#pseudo?.list.size ?? 0) + this.mask.starts.buffer.size + this.mask.counts.buffer.size;
  }

  /**
   * Appends tokens and attends from all of them, as one causal call would. Chunks that are multiples of `blockQ` give what one whole
   * prefill gives. The next step searches anew. One submit. What throws has changed nothing.
   *
   * @throws HipError `out-of-memory`, `unsupported`, `invalid-shape`
   */
  prefill(tensors: StepTensors, tokens: number, timer?: Timer): void {
    this.#attempt(() => this.#prefill(tensors, tokens, timer));
  }

  #prefill(tensors: StepTensors, tokens: number, timer: Timer | undefined): void {
    const { cache, config } = this;
    using call = new GpuCall(cache.pool.context);
    cache.append(call, tensors.k, tensors.v, tokens);
    this.#refreshViews();
    if (cache.pool.offload) {
      cache.pool.load(cache.pool.planner.require(cache.pages));
      cache.writeTable();
    }
    encodePrefill(call, {
      cache,
      config,
      tensors,
      tokens,
      score: this.#options,
      heads: this.#options.heads,
      envelopes: this.#views.map(({ envelopes }) => envelopes),
      means: this.#views.map(({ means }) => means),
    });
    call.submit(timer);
    this.reset();
  }

  /**
   * Appends one token and attends from it. No readback: with offload use {@link stepOffloaded}. What throws has changed nothing: the
   * step can be made again. What the GPU refuses is known after the return: the next call throws it, and the cache goes no further.
   *
   * @throws HipError `out-of-memory`, `unsupported`, `invalid-shape`
   */
  step(tensors: StepTensors, timer?: Timer): void {
    if (this.cache.pool.offload)
      throw new HipError('unsupported', 'pages of this cache may lie on the host: await stepOffloaded()', {
        offload: true,
      });
    this.#attempt(() => {
      const stage = this.#begin(tensors);
      this.#run('whole', stage, timer);
      this.cache.advance(1);
    });
  }

  /**
   * Like {@link step}, for a cache whose cold pages lie on the host: the stages that need only envelopes run first, the pages of
   * their survivors are brought to the device (one readback of chunk numbers per search), the rest follows.
   *
   * @throws HipError `out-of-memory` when the survivors' pages do not fit the device, `internal` while another step runs
   */
  async stepOffloaded(tensors: StepTensors, timer?: Timer): Promise<void> {
    this.#check();
    const undo = this.#checkpoint();
    this.#busy = true;
    try {
      await this.#stepOffloaded(tensors, timer);
    } catch (error) {
      undo();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  async #stepOffloaded(tensors: StepTensors, timer: Timer | undefined): Promise<void> {
    const { cache } = this;
    const key = firstKeyStage(this.#stepConfig);
    const stage = this.#watched(() => {
      const first = this.#begin(tensors);
      this.#run('before', first, timer);
      return first;
    });
    if (stage !== undefined && stage < Math.max(1, key)) {
      const survivors = this.#views.map(({ scratch, plan, headFirst }) =>
        this.config.shareHeads
          ? { scratch, maskHeads: 1, firstMaskHead: 0 }
          : { scratch, maskHeads: plan.request.shape.heads, firstMaskHead: headFirst },
      );
      this.#candidatePages = await survivorPages(cache, this.#stepConfig, key, this.mask, survivors);
    }
    const { pool } = cache;
    const { sink, window } = this.config;
    pool.load(pool.planner.require(neededPages(cache, this.#candidatePages, sink, window + this.#interval + 1)));
    cache.writeTable();
    this.#watched(() => this.#run('after', stage, timer));
    cache.advance(1);
    await pool.settle();
  }

  /** Forgets the mask: the next step searches. */
  reset(): void {
    this.#clock.reset();
  }

  /** Frees the session's buffers, not the cache. */
  destroy(): void {
    this.#destroyed = true;
    this.#release();
    destroyMask(this.mask);
    this.#uniforms.destroy();
    this.#pseudo?.list.buffer.destroy();
    for (const { envelopes, means, scratch } of this.#views) {
      envelopes.destroy();
      means?.destroy();
      for (const { buffer } of scratch.values()) buffer.destroy();
    }
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** A cache that lost its order is read through its page table from now on. */
  #refreshViews(): void {
    if (this.cache.contiguous === this.#contiguous) return;
    this.#contiguous = this.cache.contiguous;
    this.#release();
    const views = this.cache.views();
    this.#views.forEach((state, i) => {
      const { request } = state.plan;
      Object.assign(state, { view: views[i]!, plan: planSearch({ ...request, pageShift: views[i]!.pages?.shift }) });
    });
  }

  #check(): void {
    if (this.#destroyed) throw new HipError('internal', 'this session is destroyed: make another over the cache');
    if (this.#busy)
      throw new HipError('internal', 'a step of this session is under way: await it before the next', { busy: true });
  }

  /** Runs `action`. What the GPU refuses of it, now or later, ends the cache. */
  #watched<T>(action: () => T): T {
    const { cache } = this;
    return cache.pool.context.watch((error) => cache.fail(error), action);
  }

  /** Runs a step, or takes back what it changed. */
  #attempt(action: () => void): void {
    this.#check();
    const undo = this.#checkpoint();
    try {
      this.#watched(action);
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** What takes session and cache back to now. Masks and envelopes need no copies: a repeated step computes them again. */
  #checkpoint(): () => void {
    const undo = [this.cache.checkpoint(), this.#clock.checkpoint()];
    const known = this.#views.map(({ envelopes, means }) => [envelopes.known, means?.known ?? 0] as const);
    const pages = this.#candidatePages;
    return () => {
      for (const each of undo) each();
      this.#views.forEach(({ envelopes, means }, i) => {
        envelopes.know(known[i]![0]);
        means?.forget(known[i]![1]);
      });
      this.#candidatePages = pages;
    };
  }

  #begin(tensors: StepTensors): number | undefined {
    const { cache } = this;
    cache.reserve(1);
    this.#refreshViews();
    const bound = this.#bound;
    if (
      !bound ||
      (['q', 'k', 'v', 'out'] as const).some((name) =>
        (['buffer', 'offset', 'length', 'type'] as const).some((part) => bound[name][part] !== tensors[name][part]),
      )
    ) {
      this.#release();
      this.#bound = tensors;
    }
    const keys = cache.length + 1;
    const stage = this.#clock.tick(keys);
    // Blocks below a window of one key or more hold no key of this step.
    for (const { view, means } of this.#views) {
      if (!means?.behind(cache.length)) continue;
      using call = new GpuCall(cache.pool.context);
      means.update(call, view, cache.length);
      call.submit();
    }
    const summaries = this.#readsSummaries(stage);
    if (summaries)
      for (const { plan, view, envelopes } of this.#views) {
        if (!envelopes.behind(cache.length, this.#interval)) continue;
        using call = new GpuCall(cache.pool.context);
        envelopes.update(call, plan, view, cache.length);
        call.submit();
      }
    this.#uniforms.write({
      keys,
      window: this.config.window + this.#clock.age,
      lag: stage === undefined ? undefined : keys - this.#clock.searchedKeys,
      summaries,
    });
    return stage;
  }

  /** Submits a step, or its part before or after the first stage that reads keys. */
  #run(part: 'whole' | 'before' | 'after', stage: number | undefined, timer?: Timer): void {
    const name = `${part}/${stage ?? 'cached'}`;
    let prepared = this.#prepared.get(name);
    if (!prepared) {
      using call = new GpuCall(this.cache.pool.context);
      const tensors = this.#bound!;
      const { kvHeads, headDim } = this.cache.pool;
      const [row, token] = [this.#options.heads * headDim, kvHeads * headDim];
      checkLengths([
        ['q', tensors.q, row],
        ['out', tensors.out, row],
        ['k', tensors.k, token],
        ['v', tensors.v, token],
      ]);
      // A search of summaries reads the cache before the attention does. One row's last stages do not read the newest key.
      const late = stage === undefined || rowStages(stage, this.#views[0]!.plan.request) !== undefined;
      const mayAppend = late && this.config.window > 0;
      const rows = part === 'whole' ? this.#rowKernels(stage, mayAppend) : undefined;
      const fused = rows ? rows[0]!.append : part === 'whole' && mayAppend && this.#appendsOnTheWay();
      if (part !== 'after' && !fused)
        this.cache.encodeAppend(call, tensors.k, tensors.v, 1, (i) => this.#uniforms.append(i));
      const key = firstKeyStage(this.#stepConfig);
      this.#views.forEach((state, i) => {
        const { plan, view, envelopes, scratch } = state;
        if (stage !== undefined) {
          if (part !== 'after' && this.#readsSummaries(stage))
            envelopes.prepare(call, plan, view, this.#interval + 1, (chunk) => this.#uniforms.envelope(i, chunk));
          const buffers: SearchBuffers = {
            q: tensors.q,
            k: view.k,
            pages: view.pages?.table,
            envelopes,
            mask: this.mask,
            scratch: (role) => scratch.get(role)!,
            shape: (chunk) => this.#uniforms.shape(i, chunk),
            fromStage: part === 'after' ? Math.max(stage, key) : stage,
            toStage: part === 'before' ? key : rows ? this.#stepConfig.stages!.length - 1 : Infinity,
          };
          encodeSearch(call, plan, buffers);
        }
      });
      rows?.forEach((kernel, i) => {
        const { plan, view, scratch, means } = this.#views[i]!;
        encodeRowAttention(call, plan, kernel, {
          q: tensors.q,
          out: tensors.out,
          k: view.k,
          v: view.v,
          pages: view.pages?.table,
          mask: this.mask,
          means: means?.range,
          scratch: (role) => scratch.get(role)!,
          shape: this.#uniforms.shape(i, 0),
          ...(fused && { append: tensors }),
        });
      });
      // Every view's search has written the mask.
      if (!rows && part !== 'before' && stage !== undefined && this.#pseudo && !this.#listsInside(fused))
        encodePseudoList(call, this.mask, this.#pseudo, this.#uniforms.pseudo);
      this.#views.forEach((state, i) => {
        const { plan, view, means } = state;
        if (part === 'before' || rows) return;
        const { shape } = plan.request;
        encodeDecode(
          call,
          { q: tensors.q, out: tensors.out, k: view.k, v: view.v, pages: view.pages },
          shape,
          this.mask,
          {
            ...state.options,
            ...(fused && { append: tensors }),
            ...(means && this.#pseudo && { pseudo: { ...this.#pseudo, means: means.range } }),
            uniform: (d) => this.#uniforms.decode(i, d),
          },
        );
      });
      this.#prepared.set(name, (prepared = call.prepare()));
    }
    prepared.submit(timer);
  }

  /** @throws HipError `unsupported` where a block of the remainder could hold the newest key, or one whose page lies on the host */
  #checkRemainder(): void {
    const { remainder, window } = this.config;
    if (!remainder) return;
    const { block } = resolveRemainder(remainder);
    const least = this.cache.pool.offload ? block : 1;
    if (window >= least) return;
    const message = `window is ${window}: decoding with a remainder${least > 1 ? ' and pages on the host' : ''} takes at least ${least}`;
    throw new HipError('unsupported', message, { name: 'window', value: window });
  }

  /** Kernels in which one workgroup a head chooses and attends, for all views or none. */
  #rowKernels(stage: number | undefined, mayAppend: boolean): readonly RowAttentionKernel[] | undefined {
    if (stage === undefined) return undefined;
    return (mayAppend ? this.#rowKernelsOf(stage, true) : undefined) ?? this.#rowKernelsOf(stage, false);
  }

  #rowKernelsOf(stage: number, append: boolean): readonly RowAttentionKernel[] | undefined {
    const { limits } = this.cache.pool.context;
    const { scale, softcap } = this.#options;
    const remainder = this.#stepConfig.remainder && resolveRemainder(this.#stepConfig.remainder);
    const kernels = this.#views.map(({ plan, means, options }) => {
      const pseudo = means && this.#pseudo;
      const { slots = 0 } = options;
      return planRowAttention({ plan, stage, limits, slots, remainder, pseudo, append, scale, softcap });
    });
    return kernels.every((kernel) => kernel !== undefined) ? kernels : undefined;
  }

  /** Whether a step's search reads what stands for chunks. */
  #readsSummaries(stage: number | undefined): boolean {
    if (stage === undefined) return false;
    return this.#views.some(({ plan }) =>
      plan.slabs[0]!.passes.some(
        (pass) => pass.stage >= stage && pass.buffers.some((role) => /^(?:envelope|moments)\//u.test(role)),
      ),
    );
  }

  /** Whether the attention kernel has bindings left for the new token, which come before those for pseudo-keys. */
  #appendsOnTheWay(): boolean {
    const needed = (this.cache.contiguous ? 8 : 9) + (this.#pseudo ? 1 : 0);
    return this.cache.pool.context.limits.maxStorageBuffersPerShaderStage >= needed;
  }

  /** Whether the attention of every view lists its pseudo-keys itself. */
  #listsInside(append: boolean): boolean {
    const { context, headDim } = this.cache.pool;
    return this.#views.every(
      ({ decode, view, means }) =>
        means &&
        this.#pseudo &&
        pseudoInside(decode, this.mask, this.#pseudo, headDim, context.limits, {
          pages: view.pages !== undefined,
          append,
        }),
    );
  }

  #release(): void {
    for (const prepared of this.#prepared.values()) prepared.release();
    this.#prepared.clear();
  }
}
