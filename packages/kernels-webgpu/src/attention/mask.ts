// Block masks that live on the GPU: what the search writes and block-sparse attention reads, without a readback in between.
import { HipError, validateMask, type BlockMask } from '@hip/mask-search';
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { createBuffer } from '../dispatch/pool.ts';
import { readBytes } from '../dispatch/tensor.ts';

/** A {@link BlockMask} whose arrays are GPU buffers of i32, in the same layout. */
export interface GpuMask extends Omit<BlockMask, 'starts' | 'counts'> {
  /** [batch, maskHeads, queryBlocks, capacity] token index of each block's first key, ascending; unused slots hold anything. */
  readonly starts: BufferRange;
  /** [batch, maskHeads, queryBlocks] used slots. */
  readonly counts: BufferRange;
}

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

function cellsOf({ batch, maskHeads, queryBlocks }: Pick<BlockMask, 'batch' | 'maskHeads' | 'queryBlocks'>): number {
  return batch * maskHeads * queryBlocks;
}

/** Allocates the buffers of a mask. */
export function allocateMask(context: GpuContext, mask: Omit<BlockMask, 'starts' | 'counts'>): GpuMask {
  const cells = cellsOf(mask);
  return {
    ...mask,
    starts: { buffer: createBuffer(context, 4 * cells * mask.capacity, USAGE, 'mask starts') },
    counts: { buffer: createBuffer(context, 4 * cells, USAGE, 'mask counts') },
  };
}

/** What kernels take from the host's masks as given. @throws HipError `invalid-mask`, `unsupported` for positions of its own */
export function checkHostMask(mask: BlockMask): void {
  validateMask(mask);
  const { positions, keys, queries } = mask;
  if (positions?.some((position, row) => position !== row + keys - queries)) {
    const message = 'the mask has positions of its own: use blockSparseAttention of @hip/mask-search';
    throw new HipError('unsupported', message, { name: 'positions' });
  }
}

/** Copies a mask to the GPU. @throws HipError `invalid-mask`, `unsupported` for positions of its own */
export function uploadMask(context: GpuContext, mask: BlockMask): GpuMask {
  checkHostMask(mask);
  const gpu = allocateMask(context, mask);
  context.device.queue.writeBuffer(gpu.starts.buffer, 0, new Int32Array(mask.starts));
  context.device.queue.writeBuffer(gpu.counts.buffer, 0, new Int32Array(mask.counts));
  return gpu;
}

/** Copies a mask back; unused slots hold −1. */
export async function readMask(context: GpuContext, { starts, counts, ...mask }: GpuMask): Promise<BlockMask> {
  const cells = cellsOf(mask);
  // Both copies are submitted before the first wait: the mask may be freed while they are on their way.
  const [countBytes, startBytes] = await Promise.all([
    readBytes(context, counts.buffer, counts.offset ?? 0, 4 * cells),
    readBytes(context, starts.buffer, starts.offset ?? 0, 4 * cells * mask.capacity),
  ]);
  const host = { ...mask, counts: new Int32Array(countBytes), starts: new Int32Array(startBytes) };
  for (let cell = 0; cell < cells; cell++)
    host.starts.fill(-1, cell * mask.capacity + host.counts[cell]!, (cell + 1) * mask.capacity);
  return host;
}

/** Frees a mask's buffers. */
export function destroyMask({ starts, counts }: GpuMask): void {
  starts.buffer.destroy();
  counts.buffer.destroy();
}
