// How much of dense attention's probability mass a mask keeps, each key counted once.
import { attendedKeys, rowExtent } from '../attention/attended-keys.ts';
import { dot, logitOf, vectorOffset, type ScoreOptions } from '../attention/score.ts';
import type { AttentionShape, BlockMask } from '../block-mask.ts';
import { checkInputs, checkRows, type FloatArray } from '../inputs.ts';
import { checkMask } from '../mask/check.ts';

export interface MassRecallOptions extends ScoreOptions {
  /** Rows to average over. @defaultValue all */
  readonly rows?: readonly number[] | undefined;
}

/**
 * Mean over rows and heads of Σ softmax over the mask's keys (1 = nothing lost); what pseudo-keys stand for counts as lost. Cost O(rows·Tk·d).
 *
 * @throws HipError `invalid-shape`, `invalid-mask`, `invalid-config`, `non-finite`
 */
export function massRecall(
  q: FloatArray,
  k: FloatArray,
  shape: AttentionShape,
  mask: BlockMask,
  options: MassRecallOptions = {},
): number {
  checkInputs(shape, { q, k });
  checkMask(mask, shape);
  const { batch, queries, keys, heads, kvHeads, headDim: d } = shape;
  const group = heads / kvHeads;
  const logit = logitOf(d, options);
  const rows = options.rows ?? Array.from({ length: queries }, (_, row) => row);
  checkRows(rows, queries);
  const logits = new Float64Array(keys);
  let total = 0;
  let count = 0;
  for (let b = 0; b < batch; b++) {
    for (const row of rows) {
      const { visible } = rowExtent(mask, row);
      if (visible === 0) continue;
      for (let h = 0; h < heads; h++) {
        const at = vectorOffset(b, row, h, queries, heads, d);
        let max = -Infinity;
        for (let key = 0; key < visible; key++) {
          const s = logit(dot(q, at, k, vectorOffset(b, key, Math.floor(h / group), keys, kvHeads, d), d));
          logits[key] = s;
          if (s > max) max = s;
        }
        let sum = 0;
        for (let key = 0; key < visible; key++) sum += logits[key] = Math.exp(logits[key]! - max);
        let kept = 0;
        for (const key of attendedKeys(mask, shape, b, h, row)) kept += logits[key]!;
        total += kept / sum;
        count++;
      }
    }
  }
  return count === 0 ? 1 : total / count;
}
