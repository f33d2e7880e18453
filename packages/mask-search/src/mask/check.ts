// Is a block mask what it says: sizes that agree, blocks sorted, disjoint and in range, made for this call?
import { cellIndex, type AttentionShape, type BlockMask } from '../block-mask.ts';
import { resolveRemainder, type Remainder } from '../config/remainder.ts';
import { HipError } from '../errors.ts';

const MINIMUM = { blockQ: 1, blockK: 1, sink: 0, window: 0 } as const;

/**
 * Block sizes, sink and window counts; blocks ascending and disjoint (so that no key counts twice), in [0, keys), unused slots −1. Cost O(mask).
 *
 * @throws HipError `invalid-mask` naming the place
 */
export function validateMask(mask: BlockMask): void {
  const { batch, maskHeads, queryBlocks, capacity, blockK, keys, starts, counts } = mask;
  for (const [name, minimum] of Object.entries(MINIMUM) as [keyof typeof MINIMUM, number][]) {
    const value = mask[name];
    if (!Number.isSafeInteger(value) || value < minimum || value >= 2 ** 31) {
      const message = `${name} is ${value}: give an integer from ${minimum} to 2147483647`;
      throw new HipError('invalid-mask', message, { name, value });
    }
  }
  if (mask.remainder) checkRemainder(mask.remainder);
  const cells = batch * maskHeads * queryBlocks;
  const lengths = { counts: [counts.length, cells], starts: [starts.length, cells * capacity] };
  for (const [name, [length, expected]] of Object.entries(lengths)) {
    if (length !== expected)
      throw new HipError('invalid-mask', `${name} holds ${length} numbers: the mask needs ${expected}`, {
        name,
        length,
        expected,
      });
  }
  if (mask.positions && mask.positions.length !== mask.queries) {
    throw new HipError('invalid-mask', `positions holds ${mask.positions.length} numbers for ${mask.queries} rows`, {
      name: 'positions',
    });
  }
  for (let cell = 0; cell < cells; cell++) {
    const count = counts[cell]!;
    if (!(count >= 0 && count <= capacity)) {
      throw new HipError('invalid-mask', `counts[${cell}] is ${count}: the mask has ${capacity} slots`, {
        name: 'counts',
        cell,
        count,
      });
    }
    for (let slot = 0; slot < capacity; slot++) {
      const start = starts[cell * capacity + slot]!;
      const before = slot === 0 ? -blockK : starts[cell * capacity + slot - 1]!;
      const good = slot < count ? start >= 0 && start < keys && start >= before + blockK : start === -1;
      if (!good) {
        const message = `starts[${cell}, ${slot}] is ${start} after ${before}: blocks ascend by at least blockK = ${blockK} in [0, ${keys}), unused slots hold −1`;
        throw new HipError('invalid-mask', message, { name: 'starts', cell, slot, start });
      }
    }
  }
}

function checkRemainder(remainder: Remainder): void {
  const fail = (message: string, details: Readonly<Record<string, unknown>>): never => {
    throw new HipError('invalid-mask', message, details);
  };
  for (const name of ['block', 'most', 'tail'] as const)
    if (remainder[name] === undefined) fail(`remainder.${name} is undefined: give block, most and tail`, { name });
  try {
    resolveRemainder(remainder);
  } catch (error) {
    if (error instanceof HipError) fail(error.message, error.details);
    throw error;
  }
}

/** @throws HipError `invalid-shape` when a mask was made for another shape, `invalid-mask` when it is none */
export function checkMask(mask: BlockMask, shape: AttentionShape): void {
  const expected = {
    batch: shape.batch,
    queries: shape.queries,
    keys: shape.keys,
    queryBlocks: Math.ceil(shape.queries / mask.blockQ),
  } as const;
  for (const [name, value] of Object.entries(expected) as [keyof typeof expected, number][]) {
    if (mask[name] !== value) {
      const message = `the mask's ${name} is ${mask[name]}, the call's ${value}: search the mask with the same shape`;
      throw new HipError('invalid-shape', message, { name, mask: mask[name], expected: value });
    }
  }
  if (mask.maskHeads !== 1 && mask.maskHeads !== shape.heads) {
    const message = `the mask has ${mask.maskHeads} heads: it needs 1 or ${shape.heads}`;
    throw new HipError('invalid-shape', message, { maskHeads: mask.maskHeads, heads: shape.heads });
  }
  validateMask(mask);
}

/** @throws HipError `invalid-shape` when a mask has no such batch element or head */
export function checkCell(mask: BlockMask, batch: number, head: number): void {
  const inside = Number.isSafeInteger(cellIndex(mask, batch, head, 0)) && batch >= 0 && batch < mask.batch && head >= 0;
  if (!inside || (mask.maskHeads > 1 && head >= mask.maskHeads)) {
    const message = `batch ${batch}, head ${head}: the mask has ${mask.batch} batches and ${mask.maskHeads} heads`;
    throw new HipError('invalid-shape', message, { batch, head });
  }
}
