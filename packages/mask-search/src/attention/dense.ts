// Dense attention in float64: the oracle every kernel is tested against.
import type { AttentionShape } from '../block-mask.ts';
import { checkShape, checkTensor, positionOf, sizes, type FloatArray } from '../inputs.ts';

export interface ScoreOptions {
  /** Factor on q·k. @defaultValue 1/√headDim */
  readonly scale?: number | undefined;
  /** Logit soft-cap c: s → c·tanh(s/c). @defaultValue none */
  readonly softcap?: number | undefined;
}

export interface DenseOptions extends ScoreOptions {
  /** Key j is visible to row i iff j <= i + (Tk − Tq). @defaultValue true */
  readonly causal?: boolean;
}

/** The score transform of {@link ScoreOptions}: raw dot product → logit. */
export function logitOf(headDim: number, { scale = 1 / Math.sqrt(headDim), softcap }: ScoreOptions): (dot: number) => number {
  return softcap === undefined ? (dot) => dot * scale : (dot) => softcap * Math.tanh((dot * scale) / softcap);
}

/** Row-major offsets of one (batch, row, head) vector. */
export function vectorOffset(batch: number, row: number, head: number, rows: number, heads: number, headDim: number): number {
  return ((batch * rows + row) * heads + head) * headDim;
}

/** Dot product of two d-vectors. */
export function dot(a: FloatArray, aStart: number, b: FloatArray, bStart: number, d: number): number {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += a[aStart + i]! * b[bStart + i]!;
  return sum;
}

/**
 * softmax over the given keys of one row, times their values; a row without keys gives 0.
 *
 * @param keys visible key indices, each once
 */
export function attendRow(
  q: FloatArray,
  qStart: number,
  k: FloatArray,
  v: FloatArray,
  keyStart: (key: number) => number,
  keys: Iterable<number>,
  d: number,
  logit: (dot: number) => number,
  out: Float64Array,
  outStart: number,
): void {
  let max = -Infinity;
  let sum = 0;
  for (const key of keys) {
    const at = keyStart(key);
    const s = logit(dot(q, qStart, k, at, d));
    if (s > max) {
      const shrink = max === -Infinity ? 0 : Math.exp(max - s);
      sum *= shrink;
      for (let i = 0; i < d; i++) out[outStart + i]! *= shrink;
      max = s;
    }
    const weight = Math.exp(s - max);
    sum += weight;
    for (let i = 0; i < d; i++) out[outStart + i]! += weight * v[at + i]!;
  }
  if (sum > 0) for (let i = 0; i < d; i++) out[outStart + i]! /= sum;
}

/** Keys a row may see: [0, returned). */
export function visibleKeys(row: number, shape: AttentionShape, causal: boolean): number {
  return causal ? Math.max(0, Math.min(shape.keys, positionOf(row, shape) + 1)) : shape.keys;
}

function* range(start: number, end: number): Generator<number> {
  for (let i = start; i < end; i++) yield i;
}

/**
 * softmax(scale·q·kᵀ)·v over all visible keys. Cost O(Tq·Tk·d) time, O(1) extra memory.
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d] @param v [B, Tk, Hkv, d]
 * @returns [B, Tq, H, d]
 * @throws HipError `invalid-shape`, `non-finite`
 */
export function denseAttention(q: FloatArray, k: FloatArray, v: FloatArray, shape: AttentionShape, options: DenseOptions = {}): Float64Array {
  checkShape(shape);
  const size = sizes(shape);
  checkTensor('q', q, size.query);
  checkTensor('k', k, size.key);
  checkTensor('v', v, size.key);
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const group = heads / kvHeads;
  const logit = logitOf(d, options);
  const out = new Float64Array(size.query);
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      const visible = visibleKeys(row, shape, options.causal ?? true);
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const keyStart = (key: number): number => vectorOffset(b, key, Math.floor(h / group), keys, kvHeads, d);
        attendRow(q, at, k, v, keyStart, range(0, visible), d, logit, out, at);
      }
    }
  }
  return out;
}
