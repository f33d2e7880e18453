// What every search and decode kernel shares: the uniform that may change from step to step, and where a query block stands.
import type { ElementType } from '../../device/features.ts';
import { isNaNumber } from '../../code/finite.ts';
import { uniformBlock } from '../../code/uniforms.ts';

/** Sizes of one call. The only uniform that a decode session rewrites each step. */
export const SHAPE = uniformBlock('Shape', {
  /** Tq */
  queries: 'u32',
  /** Tk */
  keys: 'u32',
  /** Keys at the end that came after the search began: a later stage of a decode search may run with newer queries. */
  lag: 'u32',
  /** Rows of one batch in the key buffer: its capacity. */
  keyRows: 'u32',
  /** Query heads of this dispatch. */
  heads: 'u32',
  /** Heads of one query row in memory, and the first of this dispatch. */
  queryHeads: 'u32',
  headOffset: 'u32',
  /** Heads of one key row in memory. */
  kvHeads: 'u32',
  batchFirst: 'u32',
  /** Row of q and of k, batches counted through, at which the bindings start. */
  queryBase: 'u32',
  keyBase: 'u32',
  /** Keys that the key binding holds: [keyFirst, keyEnd). */
  keyFirst: 'u32',
  keyEnd: 'u32',
  /** First query block of this slab, blocks in the slab, blocks in all. */
  firstBlock: 'u32',
  slabBlocks: 'u32',
  queryBlocks: 'u32',
  /** Candidates for which a cell has room in the scores. */
  scoreStride: 'u32',
  /** Chunks for which a head has room in the envelope. */
  envelopeChunks: 'u32',
});

/** What is baked into a search kernel's code. */
export interface SearchConstants {
  readonly headDim: number;
  /** Query heads per kv head. */
  readonly group: number;
  readonly type: ElementType;
  readonly blockQ: number;
  readonly sink: number;
  readonly window: number;
  readonly causal: boolean;
  /** One mask for all heads. */
  readonly shared: boolean;
  /** log2 of the tokens per page, when keys are read through a page table. */
  readonly pageShift?: number | undefined;
}

/** Ordered below every finite score: the −∞ of the reference. */
export const LOWEST = '-3.4e38f';

/** Constants, the block geometry (docs/specification/hip.md §2), addresses of rows, and the order-preserving map from floats to u32. */
export function geometryCode(constants: SearchConstants): string {
  const { headDim, group, blockQ, sink, window, causal, shared, pageShift } = constants;
  return `${SHAPE.declaration}
const D8 = ${headDim / 8}u;
const D4 = ${headDim / 4}u;
const BLOCK_Q = ${blockQ}u;
const SINK = ${sink}u;
struct Block { first_row: u32, rows: u32, searchable: u32 }
fn block_at(n: u32) -> Block {
  let first_row = n * BLOCK_Q;
  let rows = min(BLOCK_Q, shape.queries - first_row);
  ${
    causal
      ? `let visible = clamp(i32(first_row + rows + shape.keys) - i32(shape.queries), 0, i32(shape.keys));`
      : `let visible = i32(shape.keys);`
  }
  return Block(first_row, rows, u32(max(visible - ${window + sink} - i32(shape.lag), 0)));
}
fn batch_of(z: u32) -> u32 { return shape.batchFirst + ${shared ? 'z' : 'z / shape.heads'}; }
fn head_of(z: u32) -> u32 { return ${shared ? '0u' : 'z % shape.heads'}; }
fn query_octet(batch: u32, row: u32, head: u32) -> u32 {
  return ((batch * shape.queries + row - shape.queryBase) * shape.queryHeads + shape.headOffset + head) * D8;
}
fn key_row(batch: u32, key: u32) -> u32 { return ${
    pageShift === undefined
      ? 'batch * shape.keyRows + key - shape.keyBase'
      : `(pages[key >> ${pageShift}u] << ${pageShift}u) | (key & ${2 ** pageShift - 1}u)`
  }; }
fn key_octet(batch: u32, key: u32, head: u32) -> u32 {
  return (key_row(batch, key) * shape.kvHeads + head / ${group}u) * D8;
}
// NaN has no rank: it stands below every number.
fn ordered(x: f32) -> u32 {
  let bits = bitcast<u32>(select(x + 0.0f, ${LOWEST}, ${isNaNumber('x')}));
  return select(~bits, bits | 0x80000000u, bits < 0x80000000u);
}`;
}
