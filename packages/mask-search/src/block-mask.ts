// The block mask: which key blocks each query block attends to, besides sink and window. Shared by every backend.
import type { HipConfig } from './config/config.ts';
import { resolveRemainder, type Remainder } from './config/remainder.ts';
import { HipError } from './errors.ts';

/** Shape of one attention call: q [batch, queries, heads, headDim]; k, v [batch, keys, kvHeads, headDim], row-major. */
export interface AttentionShape {
  readonly batch: number;
  /** Tq. Row i sits at absolute position i + (keys − queries), unless a call gives positions. */
  readonly queries: number;
  /** Tk. */
  readonly keys: number;
  /** H, a multiple of kvHeads. */
  readonly heads: number;
  /** Hkv. Query head h reads kv head floor(h / (heads / kvHeads)). */
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * Sparse mask over key blocks, in the layout every backend shares.
 *
 * Query block n holds rows [n·blockQ, min((n+1)·blockQ, queries)). Its i-th block covers keys
 * [starts[i], starts[i] + blockK). A row at position p attends to such a key only if key >= sink and p >= key + window
 * (the rest belongs to sink and window, so no key counts twice), and key < keys. Without causality every row's window is the
 * last `window` keys.
 */
export interface BlockMask {
  readonly batch: number;
  /** heads, or 1 when one mask is shared by all heads. */
  readonly maskHeads: number;
  readonly queryBlocks: number;
  /** M: slots per query block. */
  readonly capacity: number;
  readonly blockQ: number;
  readonly blockK: number;
  readonly queries: number;
  readonly keys: number;
  readonly sink: number;
  readonly window: number;
  readonly causal: boolean;
  /** [batch, maskHeads, queryBlocks, capacity] token index of each block's first key, ascending; unused slots hold −1. */
  readonly starts: Int32Array;
  /** [batch, maskHeads, queryBlocks] used slots. */
  readonly counts: Int32Array;
  /** [queries] absolute positions of the rows. @defaultValue row + keys − queries */
  readonly positions?: Int32Array | undefined;
  /**
   * How pseudo-keys stand for the keys below the window that no block holds: `pseudoKeys` lists them, `remainderGeometry` says where
   * their blocks lie. With an exact tail every row also attends to all keys between the last of these blocks and its window.
   * @defaultValue none: those keys are dropped
   */
  readonly remainder?: Remainder | undefined;
}

/** The parameters of a configuration that shape a mask. */
export type MaskConfig = Pick<
  HipConfig,
  'blockQ' | 'blockK' | 'sink' | 'window' | 'causal' | 'shareHeads' | 'remainder'
>;

/** A mask without its blocks: what a backend needs to make room for them. */
export type MaskLayout = Omit<BlockMask, 'starts' | 'counts' | 'positions'>;

/** The layout of a mask with `capacity` slots in each cell. */
export function maskLayout(
  shape: Pick<AttentionShape, 'batch' | 'queries' | 'keys' | 'heads'>,
  config: MaskConfig,
  capacity: number,
): MaskLayout {
  const { batch, queries, keys, heads } = shape;
  const { blockQ, blockK, sink, window, causal, shareHeads, remainder } = config;
  const maskHeads = shareHeads ? 1 : heads;
  const queryBlocks = Math.ceil(queries / blockQ);
  return {
    batch,
    maskHeads,
    queryBlocks,
    capacity,
    blockQ,
    blockK,
    queries,
    keys,
    sink,
    window,
    causal,
    ...(remainder && { remainder: resolveRemainder(remainder) }),
  };
}

/**
 * A mask with room for `capacity` blocks in each cell, none used: sink and window only. Memory O(B·H·(Tq/blockQ)·capacity).
 *
 * @throws HipError `out-of-memory`
 */
export function emptyMask(
  shape: AttentionShape,
  config: MaskConfig,
  capacity: number,
  positions?: ArrayLike<number>,
): BlockMask {
  const layout = maskLayout(shape, config, capacity);
  const cells = layout.batch * layout.maskHeads * layout.queryBlocks;
  return {
    ...layout,
    starts: allocateStarts(cells, capacity),
    counts: new Int32Array(cells),
    ...(positions && { positions: Int32Array.from(positions) }),
  };
}

function allocateStarts(cells: number, capacity: number): Int32Array {
  try {
    return new Int32Array(cells * capacity).fill(-1);
  } catch (cause) {
    const message = `a mask of ${cells} query blocks and heads with ${capacity} slots each needs ${4 * cells * capacity} bytes: give a smaller k, or a larger blockQ or blockK`;
    throw new HipError('out-of-memory', message, { cells, capacity }, { cause });
  }
}

/** A mask without any block whose window covers every key: block-sparse attention over it is dense attention. */
export function denseMask(shape: AttentionShape, causal: boolean): BlockMask {
  const config = { blockQ: shape.queries, blockK: 1, sink: 0, window: shape.keys, causal, shareHeads: true };
  return emptyMask(shape, config, 1);
}

/** Index of a cell in `counts`; its blocks start at `cell · capacity` in `starts`. A shared mask ignores the head. */
export function cellIndex(mask: BlockMask, batch: number, head: number, queryBlock: number): number {
  return (batch * mask.maskHeads + (mask.maskHeads === 1 ? 0 : head)) * mask.queryBlocks + queryBlock;
}

/** Token index of each of a cell's blocks, ascending (a view). */
export function blocksOf(mask: BlockMask, batch: number, head: number, queryBlock: number): Int32Array {
  const cell = cellIndex(mask, batch, head, queryBlock);
  return mask.starts.subarray(cell * mask.capacity, cell * mask.capacity + mask.counts[cell]!);
}

/** Writes a cell's blocks, ascending. */
export function setBlocks(
  mask: BlockMask,
  batch: number,
  maskHead: number,
  queryBlock: number,
  starts: readonly number[],
): void {
  const cell = cellIndex(mask, batch, maskHead, queryBlock);
  mask.counts[cell] = starts.length;
  mask.starts.set(starts, cell * mask.capacity);
}
