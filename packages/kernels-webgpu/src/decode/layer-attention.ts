// One layer of one conversation: adds the attention of a chunk or of a step to a call of somebody else's.
import { allocateMask, type GpuMask } from '../attention/mask.ts';
import { appendUniform, encodeAppend } from '../cache/append.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import { seenFrom } from '../cache/sliding.ts';
import type { CacheView } from '../cache/view.ts';
import { GpuCall } from '../dispatch/call.ts';
import { checkLengths } from './decode.ts';
import { ExactSteps, MOST_TOGETHER, mostExactKeys } from './exact-steps.ts';
import { searches, type Layer } from './layer.ts';
import { gather } from './gather.ts';
import { encodePrefill } from './prefill.ts';
import { SearchedState } from './searched-state.ts';
import { encodeSearchedStep, readsSummaries, type StepPart } from './searched-steps.ts';
import type { SharedScratch } from './shared-scratch.ts';
import { bringRecent } from './step-summaries.ts';
import { StepUniforms, type StepMoment } from './step-uniforms.ts';
import type { StepTensors } from './tensors.ts';

/** A step whose clock has been told. */
export interface LayerStep {
  readonly moment: StepMoment;
  readonly isSearched: boolean;
  /** First stage that runs; undefined: none. */
  readonly stage: number | undefined;
  /** Which passes run: calls that were prepared for a step of the same name serve, while the cache is read in the same way. */
  readonly phase: string;
}

export class LayerAttention implements Disposable {
  readonly cache: KvCache;
  readonly layer: Layer;
  readonly state: SearchedState | undefined;
  readonly #exact: ExactSteps | undefined;
  /** What it shares with other layers. */
  readonly scratch: SharedScratch;
  #contiguous: boolean;

  constructor(cache: KvCache, layer: Layer, scratch: SharedScratch) {
    this.cache = cache;
    this.layer = layer;
    this.scratch = scratch;
    this.#contiguous = cache.contiguous;
    this.state = layer.config && new SearchedState(cache, layer, scratch);
    if (mostExactKeys(layer, cache.maxTokens) > 0) this.#exact = new ExactSteps(cache, layer, scratch);
  }

  /** The uniforms of its steps, which equal layers may share. */
  createUniforms(): StepUniforms {
    const { cache, layer, state } = this;
    const { pool } = cache;
    return new StepUniforms(pool.context, {
      append: pool.pools.map((_, i) => appendUniform(cache.appendTarget, i, 1)),
      exact: this.#exact?.blocks() ?? [],
      ...(state?.blocks(layer.config!.window) ?? { searched: [], pseudo: undefined }),
    });
  }

  /** Bytes on the device besides the cache and what is shared. */
  get bytes(): number {
    return this.state?.bytes ?? 0;
  }

  /** A cache that lost its order is read through its page table from now on. @returns whether prepared calls are out of date */
  refreshViews(): boolean {
    if (this.cache.contiguous === this.#contiguous) return false;
    this.#contiguous = this.cache.contiguous;
    this.state?.refreshViews();
    return true;
  }

  /** Begins the step of the next token, for which the cache has room: row `row` of its tensors. */
  beginStep(row: number): LayerStep {
    const { cache, layer, state } = this;
    this.refreshViews();
    const keys = cache.length + 1;
    const order = this.#contiguous ? 'rows' : 'pages';
    if (!state || !searches(layer, keys, 1)) {
      state?.beginOther(false);
      return { moment: { keys, row }, isSearched: false, stage: undefined, phase: `exact/${order}` };
    }
    const { clock, views } = state;
    const stage = state.beginStep();
    const summaries = readsSummaries(state, stage);
    const searched = {
      window: layer.config!.window + clock.age,
      lag: stage === undefined ? undefined : keys - clock.searchedKeys,
      envelopes: summaries ? views.map(({ envelopes }) => envelopes) : undefined,
    };
    const phase = `${stage ?? 'cached'}/${order}`;
    if (cache.pool.offload) bringRecent(this, keys);
    return { moment: { keys, row, searched }, isSearched: true, stage, phase };
  }

  /** Adds a step's passes. @param views in place of the state's, of the part that reads keys @throws HipError `invalid-shape` */
  encodeStep(
    call: GpuCall,
    tensors: StepTensors,
    { moment, isSearched, stage }: LayerStep,
    uniforms: StepUniforms,
    part: StepPart = 'whole',
    views?: readonly CacheView[],
  ): void {
    const { cache, layer, state } = this;
    this.#checkTensors(tensors, moment.row + 1);
    if (!isSearched) {
      if (part === 'before') cache.encodeAppend(call, tensors.k, tensors.v, 1, (i) => uniforms.append(i));
      else this.#exact!.encode(call, tensors, uniforms, views);
    } else
      encodeSearchedStep(call, {
        cache,
        layer,
        state: state!,
        uniforms,
        scratch: this.scratch,
        tensors,
        part,
        stage,
        views: views && state!.viewsOver(views, layer),
      });
  }

  /** Adds a copy of the mask that a step attended over, behind its passes. @returns undefined where it attended exactly: no mask */
  copyMask(call: GpuCall, { moment: { keys, searched } }: LayerStep): GpuMask | undefined {
    if (!searched) return undefined;
    const { mask } = this.state!;
    const copy = allocateMask(this.cache.pool.context, { ...mask, keys, window: searched.window });
    for (const part of ['starts', 'counts'] as const)
      call.copy(mask[part].buffer, 0, copy[part].buffer, 0, copy[part].buffer.size);
    return copy;
  }

  /** Adds a step of each of several conversations' same layer: what attends exactly goes together, the rest one after another. */
  static encodeStepsTogether(
    call: GpuCall,
    tensors: StepTensors,
    steps: readonly { readonly attention: LayerAttention; readonly step: LayerStep; readonly uniforms: StepUniforms }[],
  ): void {
    const groups = new Map<GPUBuffer, { readonly exact: ExactSteps; readonly uniforms: StepUniforms }[]>();
    for (const { attention, step, uniforms } of steps) {
      const exact = attention.#exact;
      if (step.isSearched || !exact) {
        attention.encodeStep(call, tensors, step, uniforms);
        continue;
      }
      attention.#checkTensors(tensors, step.moment.row + 1);
      const group = groups.get(exact.tables);
      if (group) group.push({ exact, uniforms });
      else groups.set(exact.tables, [{ exact, uniforms }]);
    }
    for (const group of groups.values())
      for (let i = 0; i < group.length; i += MOST_TOGETHER)
        ExactSteps.encodeTogether(call, group.slice(i, i + MOST_TOGETHER), tensors);
  }

  /**
   * Adds the passes of the next `tokens` tokens, for which the cache has room: append, search, attention.
   *
   * @returns the mask that is found, with `keeps` and where the chunk searches: its owner destroys it
   */
  encodeChunk(call: GpuCall, tensors: StepTensors, tokens: number, keeps = false): GpuMask | undefined {
    const { cache, layer, state } = this;
    this.#checkTensors(tensors, tokens);
    this.refreshViews();
    // What a step searched before serves no row after these.
    state?.beginOther(true);
    if (cache.slides) {
      this.#encodeSliding(call, tensors, tokens);
      return undefined;
    }
    cache.encodeAppend(call, tensors.k, tensors.v, tokens);
    const keys = cache.length + tokens;
    return call.section(() => encodePrefill(call, { cache, layer, state, tensors, tokens, keys, keeps }));
  }

  /** A chunk of a layer that keeps its newest tokens only: what rows see is put side by side, and what stays goes to the pages. */
  #encodeSliding(call: GpuCall, tensors: StepTensors, tokens: number): void {
    const { cache } = this;
    const { pageTokens } = cache.pool;
    const { length } = cache;
    const first = Math.floor(seenFrom(cache.sliding!, length) / pageTokens) * pageTokens;
    call.section(() => {
      const views = cache
        .views()
        .map((view, index) => gather(call, cache, view, { index, first, keys: length, room: tokens }));
      this.encodeRows(call, tensors, { tokens, held: length - first, views });
    });
    cache.encodeAppend(call, tensors.k, tensors.v, tokens);
  }

  /** Adds the passes that take `keys` tokens into what stands for chunks. @param views that hold all of them */
  summarize(call: GpuCall, views: readonly CacheView[], keys: number): void {
    views.forEach((view, i) => this.state?.summarize(call, view, i, keys));
  }

  /** Begins rows that {@link encodeRows} adds, any number of times. */
  beginRows(): void {
    this.refreshViews();
    this.state?.beginOther(true);
  }

  /**
   * Adds the passes of rows whose keys and values, and those of tokens before them, lie in other memory than the cache's pages.
   *
   * @param held tokens before them that lie there: all, or those that the rows of a window see
   * @returns as {@link encodeChunk}
   */
  encodeRows(
    call: GpuCall,
    tensors: StepTensors,
    { tokens, held, views }: { readonly tokens: number; readonly held: number; readonly views: readonly CacheView[] },
    keeps = false,
  ): GpuMask | undefined {
    const { cache, layer, state } = this;
    this.#checkTensors(tensors, tokens);
    encodeAppend(call, { pool: cache.pool, first: held, into: views }, tensors, tokens);
    const keys = held + tokens;
    return call.section(() => encodePrefill(call, { cache, layer, state, tensors, tokens, keys, keeps, views }));
  }

  /** What takes cache and state back to now. */
  checkpoint(): () => void {
    const undo = [this.cache.checkpoint(), this.state?.checkpoint()];
    return () => {
      for (const each of undo) each?.();
    };
  }

  /** Keeps the first `length` tokens. */
  truncate(length: number): void {
    if (length === this.cache.length) return;
    this.cache.truncate(length);
    this.state?.truncate(length);
  }

  /** The same over a fork of the cache; copies are added to the call. */
  fork(call: GpuCall): LayerAttention {
    const fork = new LayerAttention(this.cache.fork(), this.layer, this.scratch);
    if (this.state && fork.state) this.state.copyTo(call, fork.state);
    return fork;
  }

  #checkTensors({ q, k, v, out }: StepTensors, rows: number): void {
    const { kvHeads, headDim } = this.cache.pool;
    const [row, token] = [rows * this.layer.heads * headDim, rows * kvHeads * headDim];
    checkLengths([
      ['q', q, row],
      ['out', out, row],
      ['k', k, token],
      ['v', v, token],
    ]);
  }

  /** Frees the layer's buffers, not the cache. */
  [Symbol.dispose](): void {
    this.state?.[Symbol.dispose]();
  }
}
