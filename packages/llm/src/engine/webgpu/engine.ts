// The engine on WebGPU: weights, activations and pages that all sequences share, on one device.
import type { ModelConfig } from '@hip/checkpoints';
import { translated } from '../failures.ts';
import { layoutOf } from '../layout.ts';
import type { Engine, EngineMemory, SavedSequence, Sequence } from '../types.ts';
import { restoredSequence } from '../restored.ts';
import type { WebgpuModel } from './model.ts';
import { Scheduler } from './scheduler.ts';
import { WebgpuSequence, type Shared } from './sequence.ts';

export class WebgpuEngine implements Engine {
  readonly backend = 'webgpu';
  readonly reason: string;
  /** @internal for measurements */
  readonly model: WebgpuModel;
  readonly #shared: Shared;
  readonly #isOwn: boolean;

  /** @param isOwn - whether the device ends with the engine */
  constructor(model: WebgpuModel, { reason, isOwn }: { readonly reason: string; readonly isOwn: boolean }) {
    this.model = model;
    this.reason = reason;
    this.#isOwn = isOwn;
    this.#shared = { model, scheduler: new Scheduler(model), live: new Set() };
  }

  get config(): ModelConfig {
    return this.model.config;
  }

  get vocabulary(): number {
    return this.model.config.vocabSize;
  }

  get contextTokens(): number {
    return this.model.options.contextTokens;
  }

  get conversations(): number {
    return this.model.pool.conversations;
  }

  /** The pages of the cache are there from the beginning; `cache` is what they take, and what sequences keep beside them. */
  get memory(): EngineMemory {
    const { context, weightBytes: weights, pool, chunk, steps } = this.model;
    const cache = [...this.#shared.live].reduce((sum, { bytes }) => sum + bytes, pool.bytes);
    const scratch = context.pool.bytes + chunk.bytes + steps.bytes;
    return { weights, cache, scratch, total: weights + cache + scratch };
  }

  get fingerprint(): string {
    return this.model.weights.fingerprint;
  }

  get layout(): string {
    const { options, pool } = this.model;
    const { contextTokens, offload } = options;
    return layoutOf('webgpu', options, { contextTokens, kept: pool.kept, isOffloaded: offload !== undefined });
  }

  createSequence(): Sequence {
    return this.#create();
  }

  async restoreSequence(saved: Omit<SavedSequence, keyof Disposable>): Promise<Sequence> {
    return restoredSequence(this.#create(), saved);
  }

  #create(): WebgpuSequence {
    try {
      this.model.checkOpen();
      return new WebgpuSequence(this.#shared);
    } catch (error) {
      throw translated(error);
    }
  }

  close(): void {
    if (this.model.isClosed) return;
    for (const sequence of this.#shared.live) sequence.dispose();
    this.model.close();
    if (this.#isOwn) this.model.context.device.destroy();
  }
}
