// Checks of what callers pass in.
import {
  checkSearch,
  HipError,
  resolveConfig,
  suitableConfig,
  validateMask,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
} from '@hip/mask-search';
import type { CacheType } from '../plan/layout.ts';

/** @throws HipError `unsupported` unless the numbers are float32, which other arrays would be read as without a word */
function checkFloats(name: string, values: Float32Array): void {
  // By tag: an array of another realm (a frame, a test runner) is no instance of this one's class.
  const tag = Object.prototype.toString.call(values).slice('[object '.length, -1);
  if (tag !== 'Float32Array')
    throw new HipError('unsupported', `${name} is of type ${tag}: give a Float32Array`, { name, type: tag });
}

/** @throws HipError `unsupported` for other numbers than float32, `invalid-shape` on another length */
export function checkTensor(name: string, values: Float32Array, length: number): void {
  checkFloats(name, values);
  if (values.length !== length) {
    const message = `${name} holds ${values.length} numbers: its shape needs ${length}`;
    throw new HipError('invalid-shape', message, { name, length: values.length, expected: length });
  }
}

/** Rows of unknown number. @throws HipError `unsupported`, `invalid-shape` unless there is a whole number of them */
export function countRows(name: string, values: Float32Array, row: number, what: string): number {
  checkFloats(name, values);
  const rows = values.length / row;
  if (!Number.isInteger(rows)) {
    const message = `${name} holds ${values.length} numbers: give a multiple of ${what} = ${row}`;
    throw new HipError('invalid-shape', message, { name, length: values.length, multiple: row });
  }
  return rows;
}

/** A whole configuration for these heads. @throws HipError `invalid-config` */
export function runnableConfig(
  config: Partial<HipConfig>,
  shape: Pick<AttentionShape, 'heads' | 'headDim'>,
): HipConfig {
  const resolved = suitableConfig(resolveConfig(config), shape);
  checkSearch(resolved, shape);
  return resolved;
}

/** @throws HipError `invalid-config` */
export function checkCacheType(type: CacheType): void {
  if (type !== 'f32' && type !== 'f16')
    throw new HipError('invalid-config', `type is ${String(type)}: give f32 or f16`, { name: 'type', value: type });
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
