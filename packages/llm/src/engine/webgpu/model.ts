// What the sequences of a model on a GPU share.
import type { ModelConfig, RopeConfig } from '@hip/checkpoints';
import type { GpuContext, ModelPool, Timer } from '@hip/kernels-webgpu';
import { closedError } from '../checks.ts';
import type { LayerShape } from '../layers.ts';
import type { ResolvedOptions } from '../options.ts';
import { isLong } from '../rotation.ts';
import { ropesOf, type Activations } from './activations.ts';
import type { GpuDecoder } from './decoder.ts';
import { Bodies } from './bodies.ts';
import { BoundAttention } from './bound-attention.ts';
import { Readback } from './readback.ts';
import type { WebgpuWeights } from './weights.ts';

export interface WebgpuModelParts {
  readonly context: GpuContext;
  readonly config: ModelConfig;
  readonly shapes: readonly LayerShape[];
  readonly options: ResolvedOptions;
  readonly weights: WebgpuWeights;
  /** Bytes of them on the GPU. */
  readonly weightBytes: number;
  readonly decoder: GpuDecoder;
  readonly pool: ModelPool;
  readonly chunk: Activations;
  readonly steps: Activations;
}

export class WebgpuModel {
  readonly context: GpuContext;
  readonly config: ModelConfig;
  readonly shapes: readonly LayerShape[];
  readonly options: ResolvedOptions;
  readonly weights: WebgpuWeights;
  /** Bytes of them on the GPU. */
  readonly weightBytes: number;
  readonly decoder: GpuDecoder;
  readonly pool: ModelPool;
  /** Activations of a chunk of a prompt, and of steps that are made together. */
  readonly chunk: Activations;
  readonly steps: Activations;
  readonly readback: Readback;
  /** Products of steps, and of whole chunks. */
  readonly bodies: Bodies;
  /** Attention of steps. */
  readonly attention: BoundAttention;
  /** Receives the GPU time of each pass: for measurements. */
  timer: Timer | undefined;
  readonly #ropes: readonly RopeConfig[];
  #closed = false;
  #busy: Promise<void> = Promise.resolve();

  constructor(parts: WebgpuModelParts) {
    this.context = parts.context;
    this.config = parts.config;
    this.shapes = parts.shapes;
    this.options = parts.options;
    this.weights = parts.weights;
    this.weightBytes = parts.weightBytes;
    this.decoder = parts.decoder;
    this.pool = parts.pool;
    this.chunk = parts.chunk;
    this.steps = parts.steps;
    this.readback = new Readback(parts.context);
    this.bodies = new Bodies(parts.context, parts.decoder, parts.shapes.length);
    this.attention = new BoundAttention(parts.context, parts.decoder, parts.steps, parts.shapes.length);
    this.#ropes = ropesOf(parts.shapes);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Runs `work` when nothing else runs that waits for the GPU in the middle: such a pass has the activations to itself. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#busy;
    let done = (): void => undefined;
    this.#busy = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      done();
    }
  }

  /** Whether a sequence of so many tokens is rotated by its long frequencies. */
  isLong(tokens: number): boolean {
    return isLong(this.#ropes, tokens);
  }

  /** @throws LlmError `closed`; HipError `device-lost`, what the GPU refused before */
  checkOpen(): void {
    if (this.#closed) throw closedError();
    if (this.context.lost) throw this.context.lost;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.readback[Symbol.dispose]();
    this.pool.destroy();
    for (const activations of [this.chunk, this.steps]) activations[Symbol.dispose]();
    this.weights[Symbol.dispose]();
  }
}
