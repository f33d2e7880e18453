// The uniform block all attention kernels share.
import { uniformBlock } from '../code/uniforms.ts';

/**
 * Strides are in groups of four numbers. Row and key numbers are absolute; a binding's first element is row `rowFirst`, key
 * `keyFirst`.
 */
export const attentionParams = uniformBlock('Params', {
  /** Rows of the whole call, and those of this dispatch: [rowFirst, rowEnd). */
  queries: 'u32',
  rowFirst: 'u32',
  rowEnd: 'u32',
  /** Keys of the whole call, and those of this dispatch: [keyFirst, keyEnd). */
  keys: 'u32',
  keyFirst: 'u32',
  keyEnd: 'u32',
  /** Position of row 0: keys − queries. */
  shift: 'i32',
  sink: 'u32',
  window: 'u32',
  causal: 'u32',
  blockQ: 'u32',
  blockK: 'u32',
  /** Row tiles per query block. */
  tilesPerBlock: 'u32',
  tiles: 'u32',
  capacity: 'u32',
  maskHeads: 'u32',
  queryBlocks: 'u32',
  batchFirst: 'u32',
  /** First query head of this dispatch, in the query, the output and the mask; its key head is the keys' first. */
  headFirst: 'u32',
  /** Query heads per key head. */
  group: 'u32',
  rowStride: 'u32',
  headStride: 'u32',
  batchStride: 'u32',
  keyStride: 'u32',
  keyHeadStride: 'u32',
  keyBatchStride: 'u32',
  /** Heads of this dispatch: the carried state holds [batches, rows, heads]. */
  heads: 'u32',
  /** scale·log2(e), or scale/softcap with a soft-cap. */
  scale: 'f32',
  /** softcap·log2(e); 0 without a soft-cap. */
  cap: 'f32',
  /** scale itself, for gradients. */
  slope: 'f32',
  /** Keys of the remainder's base block where rows attend to what lies between the last block and the window; 0: they do not. */
  tailBlock: 'u32',
  /** Pseudo-keys for which a cell has room, and rows of a head's means. */
  pseudoMost: 'u32',
  meanRows: 'u32',
});
