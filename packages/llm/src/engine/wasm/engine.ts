// The engine on WebAssembly: weights, scratch and threads that all sequences share.
import type { ModelConfig, RopeConfig } from '@hip/checkpoints';
import type { CpuRuntime } from '@hip/kernels-cpu';
import type { LayerRule } from '@hip/mask-search';
import { closedError } from '../checks.ts';
import type { Decoder } from './decoder.ts';
import { translated } from '../failures.ts';
import { LayerCache } from './layer-cache.ts';
import { leadingFfns, type LayerShape } from '../layers.ts';
import { isLong } from '../rotation.ts';
import { WasmSequence, type Shared } from './sequence.ts';
import { Turns } from './turns.ts';
import type { Engine, EngineMemory, SavedSequence, Sequence } from '../types.ts';
import { restoredSequence } from '../restored.ts';
import type { WasmWeights } from './weights.ts';

/** What a loaded model consists of. */
export interface WasmModel {
  readonly cpu: CpuRuntime;
  readonly config: ModelConfig;
  readonly shapes: readonly LayerShape[];
  readonly weights: WasmWeights;
  readonly decoder: Decoder;
  readonly attention: readonly LayerRule[];
  readonly cache: 'f16' | 'f32';
  readonly contextTokens: number;
  readonly reason: string;
  readonly layout: string;
}

export class WasmEngine implements Engine {
  readonly backend = 'wasm';
  readonly #model: WasmModel;
  readonly #shared: Shared;
  /** Bytes in use when there last was no sequence: forks share pages, so theirs are not added up. */
  #base = 0;
  readonly #live = new Set<WasmSequence>();

  constructor(model: WasmModel) {
    this.#model = model;
    const { config, shapes, decoder, contextTokens } = model;
    const ropes = [...new Set(shapes.flatMap(({ rope }): RopeConfig[] => (rope ? [rope] : [])))];
    const ffns = [...leadingFfns(config), ...shapes.flatMap((shape) => shape.ffns)];
    decoder.prepare();
    this.#shared = {
      decoder,
      turns: new Turns(),
      vocabulary: config.vocabSize,
      contextTokens,
      layers: config.layers,
      attending: shapes.map(({ layer }) => layer),
      // Two slices of an attention and one behind it, two of an FFN.
      steps: 3 * shapes.length + 2 * ffns.length,
      createCaches: () => this.#createCaches(),
      isLong: (tokens) => isLong(ropes, tokens),
      isStretched: ropes.some(({ dynamic }) => dynamic !== undefined),
      checkOpen: () => this.#checkOpen(),
      live: this.#live,
    };
  }

  get reason(): string {
    return this.#model.reason;
  }

  get config(): ModelConfig {
    return this.#model.config;
  }

  get vocabulary(): number {
    return this.#model.config.vocabSize;
  }

  get contextTokens(): number {
    return this.#model.contextTokens;
  }

  get conversations(): number {
    return Infinity;
  }

  get memory(): EngineMemory {
    const total = this.#model.cpu.usedBytes;
    const weights = this.#model.weights.bytes;
    const cache = this.#live.size > 0 ? total - this.#base : 0;
    return { weights, cache, scratch: total - cache - weights, total };
  }

  get fingerprint(): string {
    return this.#model.weights.fingerprint;
  }

  get layout(): string {
    return this.#model.layout;
  }

  createSequence(): Sequence {
    return this.#create();
  }

  async restoreSequence(saved: Omit<SavedSequence, keyof Disposable>): Promise<Sequence> {
    return restoredSequence(this.#create(), saved);
  }

  #create(): WasmSequence {
    this.#checkOpen();
    if (this.#live.size === 0) this.#base = this.#model.cpu.usedBytes;
    try {
      return new WasmSequence(this.#shared, [], this.#createCaches());
    } catch (error) {
      throw translated(error);
    }
  }

  close(): void {
    if (this.#model.cpu.closed) return;
    for (const sequence of this.#live) sequence.dispose();
    this.#model.cpu.close();
  }

  /** @throws HipError `out-of-memory`; nothing is left behind */
  #createCaches(): LayerCache[] {
    const { cpu, config, shapes, attention, cache } = this.#model;
    const caches: LayerCache[] = [];
    try {
      for (const [index, shape] of shapes.entries())
        caches.push(LayerCache.create(cpu, config, shape, attention[index] as LayerRule, cache));
    } catch (error) {
      for (const made of caches) made[Symbol.dispose]();
      throw error;
    }
    return caches;
  }

  #checkOpen(): void {
    if (this.#model.cpu.closed) throw closedError();
  }
}
