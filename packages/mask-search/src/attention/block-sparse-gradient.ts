// Gradients of block-sparse attention in float64: the mask is held fixed, as the forward pass found it.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkInputs, checkTensor, type FloatArray } from '../inputs.ts';
import { checkMask } from '../mask/check.ts';
import { attendedKeys } from './attended-keys.ts';
import { checkScore, dot, vectorOffset, type ScoreOptions } from './score.ts';

/** Gradients with respect to q [B, Tq, H, d], k and v [B, Tk, Hkv, d]. */
export interface AttentionGradients {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
}

/**
 * Back-propagates through `blockSparseAttention` (without RoPE). Cost O(B·H·Tq·(k + window + sink)·d).
 *
 * @param gradient of the loss with respect to the output [B, Tq, H, d]
 * @throws HipError `invalid-shape`, `invalid-mask`, `invalid-config`, `non-finite`
 */
export function blockSparseAttentionGradient(
  q: FloatArray,
  k: FloatArray,
  v: FloatArray,
  gradient: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: ScoreOptions = {},
): AttentionGradients {
  checkInputs(shape, { q, k, v });
  checkMask(mask, shape);
  checkScore(options);
  checkTensor('gradient', gradient, q.length);
  const { batch, queries, keys: length, heads, kvHeads, headDim: d } = shape;
  const { scale = 1 / Math.sqrt(d), softcap } = options;
  const group = heads / kvHeads;
  const out = { q: new Float64Array(q.length), k: new Float64Array(k.length), v: new Float64Array(v.length) };
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const places: number[] = [];
        for (const key of attendedKeys(mask, shape, b, h, row))
          places.push(vectorOffset(b, key, Math.floor(h / group), length, kvHeads, d));
        if (places.length === 0) continue;
        const scaled = places.map((place) => dot(q, at, k, place, d) * scale);
        const capped = scaled.map((s) => (softcap === undefined ? s : softcap * Math.tanh(s / softcap)));
        const max = capped.reduce((a, s) => Math.max(a, s), -Infinity);
        const weights = capped.map((s) => Math.exp(s - max));
        const sum = weights.reduce((a, w) => a + w, 0);
        // dS = P ∘ (dO·Vᵀ − rowsum(P ∘ dO·Vᵀ))
        const towards = places.map((place) => dot(gradient, at, v, place, d));
        const mean = weights.reduce((a, w, i) => a + (w / sum) * towards[i]!, 0);
        places.forEach((place, i) => {
          const p = weights[i]! / sum;
          const slope = softcap === undefined ? 1 : 1 - (capped[i]! / softcap) ** 2;
          const ds = p * (towards[i]! - mean) * slope * scale;
          for (let c = 0; c < d; c++) {
            out.v[place + c]! += p * gradient[at + c]!;
            out.q[at + c]! += ds * k[place + c]!;
            out.k[place + c]! += ds * q[at + c]!;
          }
        });
      }
    }
  }
  return out;
}
