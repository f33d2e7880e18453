// The shapes of q, k and v as one AttentionShape: what every tensor library's door needs.
import type { AttentionShape } from './block-mask.ts';
import { HipError } from './errors.ts';

/**
 * @throws HipError `invalid-shape` unless q is [B, Tq, H, d] and k, v are [B, Tk, Hkv, d], H a multiple of Hkv
 * @example
 * ```ts
 * import { attentionShape } from '@hip/mask-search';
 *
 * const shape = attentionShape([1, 4, 8, 64], [1, 16, 2, 64], [1, 16, 2, 64]);
 * console.log([shape.queries, shape.keys, shape.heads, shape.kvHeads]); // => [ 4, 16, 8, 2 ]
 * ```
 */
export function attentionShape(q: readonly number[], k: readonly number[], v: readonly number[]): AttentionShape {
  const wrong = (what: string): never => {
    throw new HipError('invalid-shape', `q is [${q.join()}], k [${k.join()}], v [${v.join()}]: ${what}`, { q, k, v });
  };
  if (q.length !== 4 || k.length !== 4) wrong('give q [B, Tq, H, d] and k, v [B, Tk, Hkv, d]');
  if (k.join() !== v.join()) wrong('k and v must have the same shape');
  if (q[0] !== k[0] || q[3] !== k[3]) wrong('batch and head dimension must agree');
  if (q[2]! % k[2]! !== 0) wrong('heads must be a multiple of kvHeads');
  return { batch: q[0]!, queries: q[1]!, keys: k[1]!, heads: q[2]!, kvHeads: k[2]!, headDim: q[3]! };
}
