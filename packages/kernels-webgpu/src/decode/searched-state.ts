// What a layer that searches knows of one sequence: mask, summaries, means, stages' outputs, clock; forked and cut back with the cache.
import { maskLayout } from '@hip/mask-search';
import { allocateMask, destroyMask, type GpuMask } from '../attention/mask.ts';
import type { KvCache } from '../cache/kv-cache.ts';
import type { CacheView } from '../cache/view.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import { createBuffer } from '../dispatch/pool.ts';
import type { PseudoKeys } from '../remainder/encode.ts';
import { pseudoUniform } from '../remainder/encode.ts';
import { mostPseudoKeys } from '../remainder/layout.ts';
import { pseudoWords } from '../remainder/pseudo-code.ts';
import { capacityOf, planSearch } from '../search/plan.ts';
import { decodeUniform } from './decode.ts';
import type { Layer } from './layer.ts';
import { planDecode } from './plan.ts';
import type { SharedScratch } from './shared-scratch.ts';
import { StepClock } from './step-clock.ts';
import { StepHistory } from './step-history.ts';
import type { SearchedBlocks } from './step-uniforms.ts';
import { destroyView, outlivesStep, planView, viewBytes, viewState, type ViewState } from './view-states.ts';

export class SearchedState implements Disposable {
  readonly mask: GpuMask;
  readonly views: readonly ViewState[];
  readonly clock: StepClock;
  readonly history = new StepHistory();
  /** With a remainder: every cell's pseudo-keys. */
  readonly pseudo: Omit<PseudoKeys, 'means'> | undefined;
  /** Places among the cache's pages of those that the current mask's candidates lie in, where pages may lie on the host. */
  candidatePages: ReadonlySet<number> = new Set();
  /** … and of those that the mask's blocks lie in; undefined: it was not read back. */
  maskPages: ReadonlySet<number> | undefined;
  readonly #cache: KvCache;

  constructor(cache: KvCache, layer: Layer, shared: SharedScratch) {
    this.#cache = cache;
    const { pool, maxTokens } = cache;
    const { context, headDim, type, kvHeads: allKvHeads } = pool;
    const config = layer.stepConfig!;
    this.clock = new StepClock(config);
    const step = { batch: 1, queries: 1, keys: maxTokens, heads: layer.heads };
    this.mask = allocateMask(context, maskLayout(step, config, capacityOf(config)));
    this.views = cache.views().map((view) => {
      const sizes = { ...view, headDim, type, allKvHeads, maxTokens, pageShift: view.pages?.shift };
      return viewState(context, planView(layer, sizes, context), view, maxTokens, shared);
    });
    const means = this.views[0]!.means;
    if (means) {
      const most = mostPseudoKeys(means.layout);
      const bytes = 8 * this.mask.maskHeads * pseudoWords(most);
      const list = { buffer: createBuffer(context, bytes, 0x80 | 0x08 | 0x04, 'pseudo-keys'), size: bytes }; // STORAGE | COPY_DST | COPY_SRC
      this.pseudo = { list, most, layout: means.layout };
    }
  }

  /** What the uniforms of its steps start from. */
  blocks(window: number): { readonly searched: SearchedBlocks[]; readonly pseudo: ArrayBuffer | undefined } {
    return {
      searched: this.views.map(({ plan, envelopes, headFirst, decode, options }) => ({
        decode: decode.dispatches.map((dispatch) =>
          decodeUniform(plan.request.shape, decode, dispatch, this.mask, options, { keys: 1, window }),
        ),
        plan,
        envelopes,
        headFirst,
      })),
      pseudo: this.pseudo && pseudoUniform(this.mask, this.pseudo.layout, this.pseudo.most),
    };
  }

  /** Bytes on the device. */
  get bytes(): number {
    const own = this.views.reduce((total, view) => total + viewBytes(view), 0);
    return own + (this.pseudo?.list.size ?? 0) + this.mask.starts.buffer.size + this.mask.counts.buffer.size;
  }

  /** A cache that lost its order is read through its page table from now on, and one that is emptied as rows again. */
  refreshViews(): void {
    const views = this.#cache.views();
    this.views.forEach((state, i) => {
      const { request } = state.plan;
      Object.assign(state, { view: views[i]!, plan: planSearch({ ...request, pageShift: views[i]!.pages?.shift }) });
    });
  }

  /** The state over other memory than the cache's pages, which a page table of its own finds. */
  viewsOver(views: readonly CacheView[], { stepConfig }: Layer): ViewState[] {
    const { context } = this.#cache.pool;
    return this.views.map((own, i): ViewState => {
      const view = views[i]!;
      const { keyRows, pages } = view;
      const { request } = own.plan;
      const { shape, type } = request;
      const { slots } = own.options;
      const decode = {
        shape,
        type,
        limits: context.limits,
        slots,
        sharedKeys: stepConfig!.shareHeads,
        keyRows,
        paged: true,
        remainder: own.hasMeans,
      };
      return {
        ...own,
        view,
        plan: planSearch({ ...request, keyRows, pageShift: pages?.shift }),
        decode: planDecode(decode),
        options: { ...own.options, keyRows },
      };
    });
  }

  /** Adds the passes that take `keys` tokens into summaries and means. @param seen the `index`-th view, or memory in its place */
  summarize(call: GpuCall, seen: CacheView, index: number, keys: number): void {
    const { envelopes, means, plan } = this.views[index]!;
    const shape = { ...plan.request.shape, keys };
    const { keyRows, pages } = seen;
    envelopes.update(call, { request: { ...plan.request, shape, keyRows, pageShift: pages?.shift } }, seen, keys);
    means?.update(call, seen, keys);
  }

  /** What takes it back to now. Masks and summaries need no copies: a repeated step computes them again. */
  checkpoint(): () => void {
    const clock = this.clock.state;
    const known = this.views.map(({ envelopes, means }) => [envelopes.known, means?.known ?? 0] as const);
    const { candidatePages, maskPages } = this;
    return () => {
      this.clock.set(clock);
      this.views.forEach(({ envelopes, means }, i) => {
        envelopes.know(known[i]![0]);
        means?.forget(known[i]![1]);
      });
      this.candidatePages = candidatePages;
      this.maskPages = maskPages;
    };
  }

  /** Begins a step: counts it. @returns the first stage that must run, undefined when none must */
  beginStep(): number | undefined {
    const { clock } = this;
    const before = clock.state;
    const stage = clock.tick(this.#cache.length + 1);
    this.history.note(this.#cache.length, stage, before);
    return stage;
  }

  /** Begins a turn that leaves mask and stages' outputs alone. @param searches whether steps after it search anew */
  beginOther(searches: boolean): void {
    this.history.note(this.#cache.length, undefined, this.clock.state);
    if (searches) this.clock.reset();
  }

  /** Forgets what was found with more than `length` tokens: the next step is what it would have been, or searches. */
  truncate(length: number): void {
    for (const { envelopes, means } of this.views) {
      envelopes.know(Math.min(envelopes.known, length));
      means?.truncate(length);
    }
    const clock = this.history.truncate(length);
    if (clock) this.clock.set({ ...clock, searches: this.clock.searches });
    else this.clock.reset();
    if (!clock) this.candidatePages = new Set();
    this.maskPages = undefined;
  }

  /** Copies everything to another of the same layer and sizes, so that its next step is what this one's would be. */
  copyTo(call: GpuCall, other: SearchedState): void {
    other.take(call, this);
    this.views.forEach(({ envelopes, means }, i) => {
      const target = other.views[i]!;
      envelopes.copyTo(call, target.envelopes);
      if (means && target.means) means.copyTo(call, target.means);
    });
  }

  /** Takes over what another's last searches found; what stands for chunks is computed anew where it is next read. */
  take(call: GpuCall, other: SearchedState): void {
    const copy = (from: BufferRange, to: BufferRange): void =>
      call.copy(from.buffer, 0, to.buffer, 0, Math.min(from.buffer.size, to.buffer.size));
    copy(other.mask.starts, this.mask.starts);
    copy(other.mask.counts, this.mask.counts);
    // A longer cache may be searched in other passes: then the next step searches whole.
    if (this.#outputs() !== other.#outputs()) {
      this.clock.reset();
      return;
    }
    other.views.forEach(({ scratch }, i) => {
      for (const [role, range] of scratch) if (outlivesStep(role)) copy(range, this.views[i]!.scratch.get(role)!);
    });
    this.clock.set(other.clock.state);
    this.history.follow(other.history);
    this.candidatePages = other.candidatePages;
    this.maskPages = other.maskPages;
  }

  /** Buffers that later steps go on from: mask, and what stages leave. Summaries and means are made anew of keys and values. */
  kept(): readonly GPUBuffer[] {
    const outputs = this.views.flatMap(({ scratch }) =>
      [...scratch].filter(([role]) => outlivesStep(role)).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
    return [this.mask.starts.buffer, this.mask.counts.buffer, ...outputs.map(([, { buffer }]) => buffer)];
  }

  /** What stages leave to later steps. */
  #outputs(): string {
    return this.views.map(({ scratch }) => [...scratch.keys()].filter(outlivesStep).toSorted().join()).join(';');
  }

  [Symbol.dispose](): void {
    destroyMask(this.mask);
    this.pseudo?.list.buffer.destroy();
    this.views.forEach(destroyView);
  }
}
