// tfjs-webgpu keeps every buffer it ever made, by size, for tensors of that size: what grows token by token would fill the GPU.
import * as tf from '@tensorflow/tfjs';
import { onWebGpu } from './tfjs-backend.ts';

/** Unused bytes that may stay: more than the activations of a chunk, which come back at once. */
const LIMIT = 512 * 2 ** 20;

interface Backend {
  readonly bufferManager?: Manager;
  readonly commandEncoder: object | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

interface Manager {
  numFreeBuffers: number;
  numBytesAllocated: number;
  readonly numBytesUsed: number;
  readonly freeBuffers?: ReadonlyMap<string, { readonly size: number; destroy(): void }[]>;
}

/** Rounds of a loop that show what it needs, and how many times that may stay allocated. */
const FIRST_ROUNDS = 2;
const TIMES = 3;

function backendOf(): Backend | undefined {
  return onWebGpu() ? (tf.backend() as unknown as Backend) : undefined;
}

/** Destroys the unused buffers of the current backend when they hold more than `limit` bytes. Does nothing elsewhere. */
export function trimUnusedBuffers(limit = LIMIT): void {
  const backend = backendOf();
  const manager = backend?.bufferManager;
  if (!manager?.freeBuffers || manager.numBytesAllocated - manager.numBytesUsed <= limit) return;
  // A command that waits for submission may bind a free buffer: of a tensor that came from the host and was disposed unread.
  if (backend?.commandEncoder) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  for (const buffers of manager.freeBuffers.values()) {
    for (const buffer of buffers.splice(0)) {
      buffer.destroy();
      manager.numFreeBuffers--;
      manager.numBytesAllocated -= buffer.size;
    }
  }
}

/**
 * What a loop may leave unused, where each round has tensors of other sizes (random sub-networks, texts of other lengths): a few times what was
 * allocated after its first rounds.
 */
export class UnusedBufferLimit {
  #rounds = 0;
  #limit: number;

  /** @param least bytes that may stay in any case */
  constructor(least = 4 * LIMIT) {
    this.#limit = least;
  }

  /** Ends a round. */
  check(): void {
    if (this.#rounds++ >= FIRST_ROUNDS) return trimUnusedBuffers(this.#limit);
    this.#limit = Math.max(this.#limit, TIMES * (backendOf()?.bufferManager?.numBytesAllocated ?? 0));
  }
}
