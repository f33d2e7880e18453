// How many of the truly best keys a mask holds.
import { attendedKeys, rowExtent } from '../attention/attended-keys.ts';
import { dot, vectorOffset } from '../attention/score.ts';
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkInputs, checkRows, type FloatArray } from '../inputs.ts';
import { HipError } from '../errors.ts';
import { checkMask } from '../mask/check.ts';
import { selectLargest } from '../search/select.ts';

export interface TopKRecallOptions {
  /** The best `k` keys of each row are looked for (all, where it sees fewer). */
  readonly k: number;
  /** Rows to average over. @defaultValue all */
  readonly rows?: readonly number[] | undefined;
}

/**
 * Mean over rows and heads of |mask's keys ∩ exact top-k| / k: sinks and window count like any key, each once.
 * Cost O(B·H·rows·Tk·d).
 *
 * @param q [B, Tq, H, d] @param k [B, Tk, Hkv, d]
 * @returns 0 to 1; 1 where no row sees a key
 * @throws HipError `invalid-shape`, `invalid-mask`, `invalid-config`, `non-finite`
 */
export function topKRecall(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: TopKRecallOptions,
): number {
  checkInputs(shape, { q, k });
  checkMask(mask, shape);
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const rows = options.rows ?? Array.from({ length: queries }, (_, row) => row);
  checkRows(rows, queries);
  if (!Number.isSafeInteger(options.k) || options.k < 1)
    throw new HipError('invalid-config', `k is ${options.k}: give an integer >= 1`, { name: 'k', value: options.k });
  let [total, count] = [0, 0];
  for (let b = 0; b < batch; b++) {
    for (const row of rows) {
      const { visible } = rowExtent(mask, row);
      if (visible === 0) continue;
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        const kvHead = Math.floor((h * kvHeads) / heads);
        const scores = Array.from({ length: visible }, (_, key) =>
          dot(q, at, k, vectorOffset(b, key, kvHead, keys, kvHeads, d), d),
        );
        const best = selectLargest(scores, options.k);
        const held = new Set(attendedKeys(mask, shape, b, h, row));
        total += best.filter((key) => held.has(key)).length / best.length;
        count++;
      }
    }
  }
  return count === 0 ? 1 : total / count;
}
