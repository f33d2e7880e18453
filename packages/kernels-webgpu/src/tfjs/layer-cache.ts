// A layer's keys and values for tfjs models: they stay in the pages that the kernels read, and grow there.
import * as tf from '@tensorflow/tfjs';
import { HipError, type BlockMask } from '@hip/mask-search';
import { destroyMask, readMask, type GpuMask } from '../attention/mask.ts';
import { KvCache } from '../cache/kv-cache.ts';
import { KvPool } from '../cache/kv-pool.ts';
import type { LayerOptions } from '../decode/layer.ts';
import { GpuDecodeSession } from '../decode/session.ts';
import type { SharedScratch } from '../decode/shared-scratch.ts';
import type { StepTensors } from '../decode/tensors.ts';
import type { ElementType } from '../device/features.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { flush, outputTensor, tensorOf, webgpuBackend, type WebgpuBackend } from './backend-buffers.ts';
import { BatchTensors } from './batch-tensors.ts';
import { combineMasks } from './combined-masks.ts';

export interface LayerCacheOptions extends LayerOptions {
  /** Sequences of equal length. @defaultValue 1 */
  readonly batch?: number | undefined;
  readonly kvHeads: number;
  readonly headDim: number;
  /** How keys and values are stored. @defaultValue 'f32' */
  readonly type?: ElementType | undefined;
  /** Refuses to grow beyond. @defaultValue none */
  readonly maxTokens?: number | undefined;
}

export interface AttendOptions {
  /** Sliding window of this call. @defaultValue that of the layer */
  readonly window?: number | undefined;
  /** Receives a mask that was searched, once it was read back: after the call has returned. */
  readonly onMask?: ((mask: BlockMask) => void) | undefined;
}

/** What caches share while their kernels are registered. */
export interface OpenKernels {
  readonly scratch: SharedScratch;
  isOpen(): boolean;
}

/** Tokens that a layer has room for at first: it doubles from there. */
const FIRST_TOKENS = 256;

interface Sequence {
  readonly pool: KvPool;
  readonly session: GpuDecodeSession;
}

export class LayerCache implements Disposable {
  readonly #context: GpuContext;
  readonly #options: LayerCacheOptions;
  readonly #kernels: OpenKernels;
  readonly #batch: BatchTensors;
  #sequences: Sequence[] = [];
  #room = 0;
  #window: number | undefined;
  #disposed = false;

  /** @throws HipError `invalid-config`, `invalid-shape`, `unsupported` */
  constructor(context: GpuContext, options: LayerCacheOptions, kernels: OpenKernels) {
    this.#context = context;
    this.#options = options;
    this.#kernels = kernels;
    this.#window = options.window;
    const { batch = 1, heads, kvHeads, headDim, type = 'f32' } = options;
    this.#batch = new BatchTensors(context, { batch, heads, kvHeads, headDim, type });
    this.#grow(1);
  }

  /** Tokens held. */
  get length(): number {
    return this.#sequences[0]?.session.cache.length ?? 0;
  }

  /** Bytes on the device: pages, and what searches keep. */
  get bytes(): number {
    return this.#sequences.reduce((total, { pool, session }) => total + pool.plan.bytes + session.bytes, 0);
  }

  /**
   * Takes the keys and values of the next tokens, and attends from them: one row by the search that serves, several by their own.
   * What throws has changed nothing.
   *
   * @param q [B, T, H, d] @param k [B, T, Hkv, d] @param v [B, T, Hkv, d]
   * @returns [B, T, H, d]
   * @throws HipError `invalid-shape`, `unsupported` unless all are float32 of the device that the cache is on, `out-of-memory` beyond
   * maxTokens, and where the device has no more
   */
  attend(q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, { window, onMask }: AttendOptions = {}): tf.Tensor4D {
    const backend = this.#backend();
    this.#batch.check(q, k, v);
    const tokens = q.shape[1];
    const before = this.length;
    this.#makeRoom(before + tokens);
    this.#slide(window ?? this.#options.window);
    const tensors = { q: tensorOf(backend, q), k: tensorOf(backend, k), v: tensorOf(backend, v) };
    const { info, tensor: out } = outputTensor(backend, q.shape);
    const masks: Promise<BlockMask>[] = [];
    try {
      flush(backend);
      this.#sequences.forEach(({ session }, i) => {
        const found =
          tokens === 1
            ? this.#step(session, i, { ...tensors, out }, onMask !== undefined)
            : this.#chunk(session, i, { ...tensors, out }, tokens, onMask !== undefined);
        if (found) masks.push(found);
      });
    } catch (error) {
      for (const { session } of this.#sequences) if (session.cache.length > before) session.truncate(before);
      backend.disposeData(info.dataId);
      for (const mask of masks) mask.catch(() => {});
      throw error;
    }
    if (onMask && masks.length > 0) void deliver(masks, onMask);
    return tf.engine().makeTensorFromTensorInfo(info) as tf.Tensor4D;
  }

  /** Keeps the first `length` tokens; the memory stays the cache's own. @throws HipError `invalid-config` */
  truncate(length: number): void {
    for (const { session } of this.#sequences) session.truncate(length);
  }

  dispose(): void {
    this.#disposed = true;
    for (const sequence of this.#sequences.splice(0)) free(sequence);
    this.#batch[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #backend(): WebgpuBackend {
    if (this.#disposed) throw new HipError('internal', 'this cache is disposed: make another');
    const backend = webgpuBackend(tf.backend());
    if (!this.#kernels.isOpen() || backend.device !== this.#context.device)
      throw new HipError('unsupported', 'the kernels that this cache was made with are closed: make another cache', {
        backend: 'webgpu',
      });
    return backend;
  }

  #step(session: GpuDecodeSession, i: number, tensors: StepTensors, reads: boolean): Promise<BlockMask> | undefined {
    const own = this.#batch.row;
    const { searches } = session;
    this.#batch.load(tensors, own, i, 1);
    session.step(own);
    this.#batch.store(own, tensors, i, 1);
    return reads && session.searches > searches ? readMask(this.#context, session.mask) : undefined;
  }

  #chunk(
    session: GpuDecodeSession,
    i: number,
    tensors: StepTensors,
    tokens: number,
    reads: boolean,
  ): Promise<BlockMask> | undefined {
    let mask: Promise<BlockMask> | undefined;
    this.#batch.borrow(tensors, i, tokens, (own) => {
      const keep = (found: GpuMask): void => {
        mask = readMask(this.#context, found);
        // The copies are on their way: the queue runs in order.
        destroyMask(found);
      };
      session.prefill(own, tokens, undefined, reads ? keep : undefined);
    });
    return mask;
  }

  /** A layer whose window differs from call to call: what was searched before serves no more. */
  #slide(window: number | undefined): void {
    if (window === this.#window) return;
    this.#window = window;
    this.#sequences = this.#sequences.map(({ pool, session }) => {
      session.destroy();
      return { pool, session: this.#session(session.cache) };
    });
  }

  #session(cache: KvCache): GpuDecodeSession {
    return new GpuDecodeSession(cache, { ...this.#options, window: this.#window }, this.#kernels.scratch);
  }

  #makeRoom(tokens: number): void {
    const { maxTokens = Infinity } = this.#options;
    if (tokens > maxTokens)
      throw new HipError(
        'out-of-memory',
        `the layer would hold ${tokens} tokens: the cache was made for ${maxTokens}`,
        { tokens, maxTokens },
      );
    if (tokens > this.#room) this.#grow(tokens);
  }

  /** Larger pages' worth of room, to which what is held is copied on the GPU: each time twice as much. */
  #grow(tokens: number): void {
    const { batch = 1, kvHeads, headDim, type = 'f32', maxTokens = Infinity } = this.#options;
    const room = Math.min(maxTokens, Math.max(FIRST_TOKENS, 2 ** Math.ceil(Math.log2(tokens))));
    const made: Sequence[] = [];
    try {
      for (let i = 0; i < batch; i++) {
        const pool = new KvPool(this.#context, { kvHeads, headDim, type, tokens: room });
        const cache = new KvCache(pool);
        const session = this.#session(cache);
        made.push({ pool, session });
        const old = this.#sequences[i];
        if (old) session.take(old.session);
      }
    } catch (error) {
      made.forEach(free);
      throw error;
    }
    this.#sequences.splice(0).forEach(free);
    this.#sequences = made;
    this.#room = room;
  }
}

function free({ pool, session }: Sequence): void {
  session.destroy();
  session.cache.dispose();
  pool.destroy();
}

async function deliver(masks: readonly Promise<BlockMask>[], onMask: (mask: BlockMask) => void): Promise<void> {
  let found: BlockMask[];
  try {
    found = await Promise.all(masks);
  } catch {
    // A lost device is reported by the next call.
    return;
  }
  onMask(combineMasks(found));
}
