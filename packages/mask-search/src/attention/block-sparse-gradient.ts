// Gradients of block-sparse attention in float64: the mask is held fixed, as the forward pass found it.
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkInputs, checkTensor, type FloatArray } from '../inputs.ts';
import { checkMask } from '../mask/check.ts';
import { blockMeansOf } from '../remainder/block-sums.ts';
import { pseudoKeys, type PseudoKey } from '../remainder/pseudo-keys.ts';
import { attendedKeys } from './attended-keys.ts';
import { MeanGradients } from './mean-gradients.ts';
import { checkScore, dot, vectorOffset, type ScoreOptions } from './score.ts';

/** Gradients with respect to q [B, Tq, H, d], k and v [B, Tk, Hkv, d]. */
export interface AttentionGradients {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
}

/** A key or pseudo-key of a row: where its vectors and their gradients lie, and what is added to its logit. */
interface Attended {
  readonly k: FloatArray;
  readonly v: FloatArray;
  readonly at: number;
  readonly dk: Float64Array;
  readonly dv: Float64Array;
  readonly bias: number;
}

/**
 * Back-propagates through `blockSparseAttention` (without RoPE). A pseudo-key's gradients spread evenly over its block's keys and
 * values; how many keys it stands for is constant. Cost O(B·H·Tq·(k + window + sink + pseudo-keys)·d).
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
  const { sink, remainder } = mask;
  const means = remainder && new MeanGradients(blockMeansOf(k, v, shape, { sink, block: remainder.block }), shape);
  const pseudo: PseudoKey[][] = [];
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < queries; row++) {
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const kvHead = Math.floor(h / group);
        const attended: Attended[] = [];
        for (const key of attendedKeys(mask, shape, b, h, row))
          attended.push({ k, v, at: vectorOffset(b, key, kvHead, length, kvHeads, d), dk: out.k, dv: out.v, bias: 0 });
        if (means) {
          if (row % mask.blockQ === 0) pseudo[h] = [...pseudoKeys(mask, b, h, row / mask.blockQ)];
          for (const { start, size, count } of pseudo[h]!)
            attended.push({ ...means.of(b, kvHead, start, size), at: 0, bias: Math.log(count) });
        }
        if (attended.length === 0) continue;
        const scaled = attended.map((key) => dot(q, at, key.k, key.at, d) * scale);
        const capped = scaled.map((s) => (softcap === undefined ? s : softcap * Math.tanh(s / softcap)));
        const logits = capped.map((s, i) => s + attended[i]!.bias);
        const max = logits.reduce((a, s) => Math.max(a, s), -Infinity);
        const weights = logits.map((s) => Math.exp(s - max));
        const sum = weights.reduce((a, w) => a + w, 0);
        // dS = P ∘ (dO·Vᵀ − rowsum(P ∘ dO·Vᵀ))
        const towards = attended.map((key) => dot(gradient, at, key.v, key.at, d));
        const mean = weights.reduce((a, w, i) => a + (w / sum) * towards[i]!, 0);
        attended.forEach((key, i) => {
          const p = weights[i]! / sum;
          const slope = softcap === undefined ? 1 : 1 - (capped[i]! / softcap) ** 2;
          const ds = p * (towards[i]! - mean) * slope * scale;
          for (let c = 0; c < d; c++) {
            key.dv[key.at + c]! += p * gradient[at + c]!;
            out.q[at + c]! += ds * key.k[key.at + c]!;
            key.dk[key.at + c]! += ds * q[at + c]!;
          }
        });
      }
    }
  }
  means?.spread(out);
  return out;
}
