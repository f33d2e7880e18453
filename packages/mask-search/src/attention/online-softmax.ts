// Softmax-weighted sums that never hold a row of scores: add keys one at a time, merge parts, divide at the end (flash attention).
import type { FloatArray } from '../inputs.ts';

/**
 * One row's attention over some of its keys, before the division: out = Σ exp(s − max)·v. Parts over disjoint keys merge, which is
 * how decode splits a long cache over workers (flash-decoding).
 */
export interface PartialAttention {
  /** Largest logit so far; −Infinity before the first key. */
  max: number;
  /** Σ exp(s − max). */
  sum: number;
  /** [d]. */
  readonly out: Float64Array;
}

/** No key yet. */
export function emptyPartial(headDim: number): PartialAttention {
  return { max: -Infinity, sum: 0, out: new Float64Array(headDim) };
}

function raiseMax(partial: PartialAttention, max: number): void {
  const shrink = partial.max === -Infinity ? 0 : Math.exp(partial.max - max);
  partial.sum *= shrink;
  for (let i = 0; i < partial.out.length; i++) partial.out[i]! *= shrink;
  partial.max = max;
}

/** Adds a key of the given logit whose value starts at v[at]. A logit of −Infinity adds nothing. Cost O(d). */
export function addKey(partial: PartialAttention, logit: number, v: FloatArray, at: number): void {
  if (logit === -Infinity) return;
  if (logit > partial.max) raiseMax(partial, logit);
  const weight = Math.exp(logit - partial.max);
  partial.sum += weight;
  for (let i = 0; i < partial.out.length; i++) partial.out[i]! += weight * v[at + i]!;
}

/** Adds `other`, over keys that `into` has not seen, to `into`. Cost O(d). */
export function mergePartials(into: PartialAttention, other: PartialAttention): void {
  if (other.max === -Infinity) return;
  if (other.max > into.max) raiseMax(into, other.max);
  const weight = Math.exp(other.max - into.max);
  into.sum += weight * other.sum;
  for (let i = 0; i < into.out.length; i++) into.out[i]! += weight * other.out[i]!;
}

/** Writes the softmax-weighted mean to out[at]; zeros where no key was added. */
export function finishPartial({ sum, out: weighted }: PartialAttention, out: Float64Array, at: number): void {
  for (let i = 0; i < weighted.length; i++) out[at + i] = sum > 0 ? weighted[i]! / sum : 0;
}
