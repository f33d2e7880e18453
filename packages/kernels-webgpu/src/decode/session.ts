// GpuDecodeSession: one sequence of one layer on the GPU (docs/specification/hip.md §5): append, search every few steps, attend; one submit per step.
import { HipError, resolveConfig, type HipConfig } from '@hip/mask-search';
import { destroyMask, type GpuMask } from '../attention/mask.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { Timer } from '../dispatch/timer.ts';
import { resolveLayer, type LayerOptions } from './layer.ts';
import { LayerAttention } from './layer-attention.ts';
import { runOffloadedStep } from './offloaded-step.ts';
import { PreparedSteps } from './prepared-steps.ts';
import { SharedScratch } from './shared-scratch.ts';
import type { StepTensors } from './tensors.ts';

/** How the session's layer attends. */
export interface GpuDecodeOptions extends LayerOptions {}

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
  readonly #layer: LayerAttention;
  readonly #scratch: SharedScratch;
  readonly #ownsScratch: boolean;
  readonly #steps: PreparedSteps;
  #destroyed = false;
  #busy = false;

  /**
   * @param scratch that other sessions use, too. @defaultValue the session's own
   * @throws HipError `unsupported` where a shared mask's keys lie in several pools, `invalid-config`, `invalid-shape`
   */
  constructor(cache: KvCache, options: GpuDecodeOptions, scratch?: SharedScratch) {
    const { kvHeads, offload, pools, context } = cache.pool;
    const layer = resolveLayer(options, { kvHeads, offload, pools: pools.length });
    this.config = layer.config ?? resolveConfig({});
    this.#scratch = scratch ?? new SharedScratch(context);
    this.#ownsScratch = !scratch;
    this.#layer = new LayerAttention(cache, layer, this.#scratch);
    this.#steps = new PreparedSteps(this.#layer);
  }

  get cache(): KvCache {
    return this.#layer.cache;
  }

  /** What the last search found. @throws HipError `unsupported` where the layer never searches */
  get mask(): GpuMask {
    const { state } = this.#layer;
    if (!state) throw new HipError('unsupported', 'this layer attends exactly: it has no mask', { name: 'mask' });
    const { keys, window } = { keys: this.cache.length, window: state.mask.window + state.clock.age };
    return { ...state.mask, keys, window: Number.isFinite(window) ? window : state.mask.window };
  }

  /** Searches that steps have made. */
  get searches(): number {
    return this.#layer.state?.clock.searches ?? 0;
  }

  /** Bytes on the device besides the cache: mask, envelopes, scratch. */
  get bytes(): number {
    return this.#layer.bytes + (this.#ownsScratch ? this.#scratch.bytes : 0);
  }

  /**
   * Appends tokens and attends from all of them, as one causal call would. Chunks that are multiples of `blockQ` give what one whole
   * prefill gives. The next step searches anew. One submit. What throws has changed nothing. Pages that lie on the host are read from
   * there.
   *
   * @param keep receives the mask that was found, whose owner it becomes; not called where the chunk attended exactly
   * @throws HipError `out-of-memory`, `unsupported`, `invalid-shape`
   */
  prefill(tensors: StepTensors, tokens: number, timer?: Timer, keep?: (mask: GpuMask) => void): void {
    this.#attempt(() => {
      const { cache } = this;
      using call = new GpuCall(cache.pool.context);
      cache.reserve(tokens);
      const mask = this.#layer.encodeChunk(call, tensors, tokens, keep !== undefined);
      try {
        call.submit(timer);
      } catch (error) {
        if (mask) destroyMask(mask);
        throw error;
      }
      cache.advance(tokens);
      if (mask) keep!(mask);
    });
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
      this.#steps.run('whole', this.#steps.begin(tensors), timer);
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
    const undo = this.#layer.checkpoint();
    this.#busy = true;
    try {
      const step = this.#watched(() => this.#steps.begin(tensors));
      await runOffloadedStep(this.#layer, step, {
        tensors,
        timer,
        scratch: this.#scratch,
        submit: (part, views) => this.#watched(() => this.#steps.run(part, step, timer, views)),
      });
      this.cache.advance(1);
      await this.cache.pool.settle();
    } catch (error) {
      undo();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Forgets the mask: the next step searches. */
  reset(): void {
    this.#layer.state?.clock.reset();
  }

  /** Keeps the first `length` tokens of session and cache: the next step searches. @throws HipError `invalid-config`, `internal` */
  truncate(length: number): void {
    this.#check();
    this.#layer.truncate(length);
  }

  /**
   * A session over a fork of the cache, whose next step is what this one's would be. Its cache is its own: dispose of it when the
   * session is destroyed.
   *
   * @throws HipError `internal`, `out-of-memory`
   */
  fork(): GpuDecodeSession {
    this.#check();
    const cache = this.cache.fork();
    try {
      const fork = new GpuDecodeSession(cache, this.#options, this.#ownsScratch ? undefined : this.#scratch);
      using call = new GpuCall(cache.pool.context);
      if (this.#layer.state) this.#layer.state.copyTo(call, fork.#layer.state!);
      call.submit();
      return fork;
    } catch (error) {
      cache.dispose();
      throw error;
    }
  }

  /**
   * Goes on from where another session of the same layer stands, whose cache holds less: its keys and values are copied on the GPU. This
   * session's cache is empty, the other's in order and in one pool.
   *
   * @throws HipError `out-of-memory`; `unsupported` where the other's heads lie in several pools
   */
  take(other: GpuDecodeSession): void {
    this.#check();
    const { cache } = other;
    if (cache.length === 0) return;
    const [held, ...more] = cache.pool.pools;
    if (!held || more.length > 0 || !cache.contiguous)
      throw new HipError(
        'unsupported',
        `a cache whose kv heads lie in ${cache.pool.pools.length} buffers does not grow: give maxTokens when it is made`,
        { pools: cache.pool.pools.length },
      );
    using call = new GpuCall(cache.pool.context);
    this.cache.append(call, held.k, held.v, cache.length);
    if (other.#layer.state) this.#layer.state!.take(call, other.#layer.state);
    call.submit();
  }

  /** Frees the session's buffers, not the cache. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#steps[Symbol.dispose]();
    this.#layer[Symbol.dispose]();
    if (this.#ownsScratch) this.#scratch[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  get #options(): GpuDecodeOptions {
    const { heads, config, window, denseBelow, scale, softcap } = this.#layer.layer;
    return { heads, config: config ?? 'dense', window, denseBelow, scale, softcap };
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
    const undo = this.#layer.checkpoint();
    try {
      this.#watched(action);
    } catch (error) {
      undo();
      throw error;
    }
  }
}
