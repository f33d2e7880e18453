// Checks of what callers pass in.
import { HipError, type AttentionShape, type BlockMask } from '@hip/mask-search';

/** @throws HipError `invalid-shape` */
export function checkShape(shape: AttentionShape): void {
  for (const [name, value] of Object.entries(shape) as [string, number][]) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
  const { heads, kvHeads } = shape;
  if (heads % kvHeads !== 0)
    throw new HipError('invalid-shape', `heads is ${heads}, kvHeads ${kvHeads}: heads must be a multiple of kvHeads`, {
      heads,
      kvHeads,
    });
}

/** @throws HipError `invalid-shape` on another length */
export function checkTensor(name: string, values: Float32Array, length: number): void {
  if (values.length !== length) {
    throw new HipError('invalid-shape', `${name} holds ${values.length} numbers: its shape needs ${length}`, {
      name,
      length: values.length,
      expected: length,
    });
  }
}

/** @throws HipError `invalid-shape` when the mask is for another shape */
export function checkMask(mask: BlockMask, { batch, queries, keys, heads }: AttentionShape): void {
  const fits =
    mask.batch === batch &&
    mask.queries === queries &&
    mask.keys === keys &&
    (mask.maskHeads === 1 || mask.maskHeads === heads);
  if (!fits) {
    throw new HipError(
      'invalid-shape',
      `the mask is for batch ${mask.batch}, ${mask.queries} queries, ${mask.keys} keys, ${mask.maskHeads} heads; the call has ${batch}, ${queries}, ${keys}, ${heads}`,
      {
        mask: [mask.batch, mask.queries, mask.keys, mask.maskHeads],
      },
    );
  }
}
