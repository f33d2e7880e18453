// The block mask: which key blocks each query block attends to, besides sink and window. Shared by every backend.

/** Shape of one attention call: q [batch, queries, heads, headDim]; k, v [batch, keys, kvHeads, headDim], row-major. */
export interface AttentionShape {
  readonly batch: number;
  /** Tq. Row i sits at absolute position i + (keys − queries). */
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
 * (the rest belongs to sink and window, so no key counts twice), and key < keys.
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
}

/** A mask without any block whose window covers every key: block-sparse attention over it is dense attention. */
export function denseMask(shape: AttentionShape, causal: boolean): BlockMask {
  return {
    batch: shape.batch,
    maskHeads: 1,
    queryBlocks: 1,
    capacity: 1,
    blockQ: shape.queries,
    blockK: 1,
    queries: shape.queries,
    keys: shape.keys,
    sink: 0,
    window: shape.keys,
    causal,
    starts: new Int32Array(shape.batch).fill(-1),
    counts: new Int32Array(shape.batch),
  };
}
