// Checks of what callers pass in.
import { HipError, validateMask, type AttentionShape, type BlockMask } from '@hip/mask-search';

/** @throws HipError `invalid-shape` */
export function checkShape(shape: AttentionShape): void {
  for (const [name, value] of Object.entries(shape) as [string, number][]) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
  const { heads, kvHeads } = shape;
  if (heads % kvHeads !== 0) {
    const message = `heads is ${heads}, kvHeads ${kvHeads}: heads must be a multiple of kvHeads`;
    throw new HipError('invalid-shape', message, { heads, kvHeads });
  }
}

/** @throws HipError `invalid-shape` on another length */
export function checkTensor(name: string, values: Float32Array, length: number): void {
  if (values.length !== length) {
    const message = `${name} holds ${values.length} numbers: its shape needs ${length}`;
    throw new HipError('invalid-shape', message, { name, length: values.length, expected: length });
  }
}

/** @throws HipError `invalid-shape` for another shape's mask, `invalid-mask` when it is none, `unsupported` for positions */
export function checkMask(mask: BlockMask, { batch, queries, keys, heads }: AttentionShape): void {
  const heads1 = mask.maskHeads === 1 || mask.maskHeads === heads;
  const blocks = mask.queryBlocks === Math.ceil(queries / mask.blockQ);
  if (mask.batch !== batch || mask.queries !== queries || mask.keys !== keys || !heads1 || !blocks) {
    const is = `batch ${mask.batch}, ${mask.queries} queries, ${mask.keys} keys, ${mask.maskHeads} heads`;
    const message = `the mask is for ${is}; the call has ${batch}, ${queries}, ${keys}, ${heads}`;
    throw new HipError('invalid-shape', message, { mask: [mask.batch, mask.queries, mask.keys, mask.maskHeads] });
  }
  validateMask(mask);
  if (mask.positions?.some((position, row) => position !== row + keys - queries)) {
    const message = 'the mask has positions of its own: use blockSparseAttention of @hip/mask-search';
    throw new HipError('unsupported', message, { name: 'positions' });
  }
}
