// Masks of single sequences as the mask of a batch.
import type { BlockMask } from '@hip/mask-search';

/** One mask of all, in order. @param masks at least one, alike in all but what they hold */
export function combineMasks(masks: readonly BlockMask[]): BlockMask {
  const [first] = masks as readonly [BlockMask, ...BlockMask[]];
  if (masks.length === 1) return first;
  const join = (part: 'starts' | 'counts'): Int32Array => {
    const all = new Int32Array(masks.length * first[part].length);
    masks.forEach((mask, i) => all.set(mask[part], i * first[part].length));
    return all;
  };
  return { ...first, batch: masks.length, starts: join('starts'), counts: join('counts') };
}
