// Block-sparse attention in float64 (docs/specification/hip.md §4): selected blocks, sinks and window, each key once, and pseudo-keys for the rest.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { checkInputs, positionsOf, type FloatArray } from '../inputs.ts';
import { checkMask } from '../mask/check.ts';
import { blockMeansOf, type BlockMeans } from '../remainder/block-sums.ts';
import { pseudoKeys, type PseudoKey } from '../remainder/pseudo-keys.ts';
import { throwIfAborted, type RunOptions } from '../work.ts';
import { attendedKeys } from './attended-keys.ts';
import { addKey, emptyPartial, finishPartial, type PartialAttention } from './online-softmax.ts';
import { rotaryEmbedding, rotateVector, type RopeOptions, type RotaryTables } from './rotary.ts';
import { dot, logitOf, vectorOffset, type ScoreOptions } from './score.ts';

export interface SparseOptions extends ScoreOptions, RunOptions {
  /** q and k come unrotated; RoPE is applied here. @defaultValue none: q and k are used as they are */
  readonly rope?: RopeOptions | undefined;
}

/**
 * Attention over a block mask's keys, the sinks and the window, and over the pseudo-keys of its remainder, if it has one. Rows that see
 * no key give 0.
 * Cost O(B·H·Tq·(k + window + sink + pseudo-keys)·d) time, O(d) memory besides the result and a remainder's statistics.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d] @param v [B, Tk, Hkv, d]
 * @returns [B, Tq, H, d]
 * @throws HipError `invalid-shape`, `invalid-mask`, `invalid-config`, `non-finite`, `aborted`, `unsupported` for streaming RoPE without
 * causality or with a remainder
 */
export function blockSparseAttention(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: SparseOptions = {},
): Float64Array {
  checkInputs(shape, { q, k, v });
  checkMask(mask, shape);
  checkStreaming(options.rope, mask);
  return attendOverMask(q, k, v, shape, mask, options);
}

/** @throws HipError `unsupported`: streaming RoPE packs the keys before a row, which needs a before, and a place for each */
export function checkStreaming(
  rope: RopeOptions | undefined,
  { causal, remainder }: { readonly causal: boolean; readonly remainder?: object | undefined },
): void {
  if (rope?.mode !== 'streaming') return;
  if (!causal) {
    throw new HipError('unsupported', 'streaming RoPE packs the keys before a row: search a causal mask', {
      name: 'causal',
    });
  }
  if (remainder) {
    const message =
      'streaming RoPE packs the keys that are attended to, a pseudo-key stands for keys at many distances: set remainder to undefined';
    throw new HipError('unsupported', message, { name: 'remainder' });
  }
}

/** {@link blockSparseAttention} of inputs that are known to be good. */
export function attendOverMask(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: SparseOptions,
  given?: BlockMeans,
): Float64Array {
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const { work, signal, onProgress, rope } = options;
  const rotated = rope?.mode === 'absolute' ? rotateToPositions(q, k, shape, rope.tables, mask.positions) : { q, k };
  const streaming = rope?.mode === 'streaming' ? rope.tables : undefined;
  checkStreaming(rope, mask);
  const { sink, remainder } = mask;
  const means = remainder && (given ?? blockMeansOf(rotated.k, v, shape, { sink, block: remainder.block }, work));
  const group = heads / kvHeads;
  const logit = logitOf(d, options);
  const out = new Float64Array(q.length);
  // By head, the pseudo-keys of the query block that the row is in.
  const pseudo: PseudoKey[][] = [];
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      throwIfAborted(signal);
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const keyAt = (key: number): number => vectorOffset(b, key, Math.floor(h / group), keys, kvHeads, d);
        const attended = attendedKeys(mask, shape, b, h, row);
        const partial = emptyPartial(d);
        let count = 0;
        if (streaming) {
          count = attendPacked(partial, { q, k, v }, at, [...attended].map(keyAt), d, logit, streaming);
        } else {
          for (const key of attended) {
            addKey(partial, logit(dot(rotated.q, at, rotated.k, keyAt(key), d)), v, keyAt(key));
            count++;
          }
        }
        if (means) {
          if (row % mask.blockQ === 0) pseudo[h] = [...pseudoKeys(mask, b, h, row / mask.blockQ)];
          const kvHead = Math.floor(h / group);
          addPseudoKeys(partial, pseudo[h]!, means, { batch: b, kvHead }, (key) =>
            logit(dot(rotated.q, at, key, 0, d)),
          );
          count += pseudo[h]!.length;
        }
        finishPartial(partial, out, at);
        if (work) work.dotProducts += count;
        if (work) work.keysTouched += count;
      }
      onProgress?.((b * queries + row + 1) / (batch * queries));
    }
  }
  return out;
}

function addPseudoKeys(
  partial: PartialAttention,
  pseudo: readonly PseudoKey[],
  { keys, values }: BlockMeans,
  { batch, kvHead }: { readonly batch: number; readonly kvHead: number },
  score: (key: Float64Array) => number,
): void {
  const d = partial.out.length;
  const [key, value] = [new Float64Array(d), new Float64Array(d)];
  for (const { start, size, count } of pseudo) {
    keys.mean(key, batch, kvHead, start, size);
    values.mean(value, batch, kvHead, start, size);
    addKey(partial, score(key) + Math.log(count), value, 0);
  }
}

/** q at its rows' positions, k at 0, 1, 2…. */
export function rotateToPositions(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  tables: RotaryTables,
  positions: ArrayLike<number> | undefined,
): { readonly q: Float64Array; readonly k: Float64Array } {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const position = positionsOf(shape, positions);
  return {
    // A row at a negative position sees no key: how it turns does not matter.
    q: rotaryEmbedding(q, { batch, rows: queries, heads, headDim }, tables, (row) => Math.max(0, position(row))),
    k: rotaryEmbedding(k, { batch, rows: keys, heads: kvHeads, headDim }, tables),
  };
}

/** The attended keys at positions 0 … n−1, the query at n−1 (its own key is the last). */
function attendPacked(
  partial: PartialAttention,
  { q, k, v }: { readonly q: FloatArray; readonly k: FloatArray; readonly v: FloatArray },
  queryAt: number,
  keysAt: readonly number[],
  d: number,
  logit: (dot: number) => number,
  tables: RotaryTables,
): number {
  if (keysAt.length === 0) return 0;
  const query = new Float64Array(d);
  const key = new Float64Array(d);
  rotateVector(q, queryAt, d, keysAt.length - 1, tables, query, 0);
  keysAt.forEach((at, position) => {
    rotateVector(k, at, d, position, tables, key, 0);
    addKey(partial, logit(dot(query, 0, key, 0, d)), v, at);
  });
  return keysAt.length;
}
