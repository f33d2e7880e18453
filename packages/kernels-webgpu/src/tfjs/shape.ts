// q, k, v tensors → AttentionShape.
import { HipError, type AttentionShape } from '@hip/mask-search';

/** @throws HipError `invalid-shape` unless q is [B, Tq, H, d] and k, v are [B, Tk, Hkv, d] */
export function shapeOf(q: readonly number[], k: readonly number[], v: readonly number[]): AttentionShape {
  const wrong = (what: string): never => {
    throw new HipError('invalid-shape', `q is [${q.join()}], k [${k.join()}], v [${v.join()}]: ${what}`, { q, k, v });
  };
  if (q.length !== 4 || k.length !== 4) wrong('give q [B, Tq, H, d] and k, v [B, Tk, Hkv, d]');
  if (k.join() !== v.join()) wrong('k and v must have the same shape');
  if (q[0] !== k[0] || q[3] !== k[3]) wrong('batch and head dimension must agree');
  if (q[2]! % k[2]! !== 0) wrong('the heads of q must be a multiple of those of k');
  return { batch: q[0]!, queries: q[1]!, keys: k[1]!, heads: q[2]!, kvHeads: k[2]!, headDim: q[3]! };
}
