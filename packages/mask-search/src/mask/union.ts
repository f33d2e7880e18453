// The union of two masks over the same grid.
import { blocksOf, emptyMask, setBlocks, type BlockMask } from '../block-mask.ts';
import { HipError } from '../errors.ts';
import { validateMask } from './check.ts';
import { maskShape } from './to-dense.ts';

const GRID = ['batch', 'queries', 'keys', 'blockQ', 'blockK', 'sink', 'window', 'causal'] as const;

/**
 * Every block that is in `a` or in `b`; per head unless both are shared. Cost O(mask·log mask).
 *
 * @throws HipError `invalid-shape` unless both have the same grid (rows, keys, block sizes, sink, window, causality, positions, remainder),
 * `invalid-mask` where their blocks overlap without being equal
 */
export function unionMasks(a: BlockMask, b: BlockMask): BlockMask {
  const differing = GRID.find((name) => a[name] !== b[name]);
  if (differing) {
    const message = `${differing} is ${String(a[differing])} in one mask, ${String(b[differing])} in the other: give masks over the same grid`;
    throw new HipError('invalid-shape', message, { name: differing });
  }
  if (a.positions?.join() !== b.positions?.join())
    throw new HipError('invalid-shape', 'the masks hold different positions', { name: 'positions' });
  const parts = ['block', 'most', 'tail'] as const;
  if (parts.some((part) => a.remainder?.[part] !== b.remainder?.[part]))
    throw new HipError('invalid-shape', 'the masks have different remainders', { name: 'remainder' });
  const maskHeads = Math.max(a.maskHeads, b.maskHeads);
  if ([a, b].some((mask) => mask.maskHeads !== 1 && mask.maskHeads !== maskHeads)) {
    throw new HipError('invalid-shape', `the masks have ${a.maskHeads} and ${b.maskHeads} heads`, {
      name: 'maskHeads',
    });
  }
  const shape = { ...maskShape(a), heads: maskHeads };
  const out = emptyMask(shape, { ...a, shareHeads: maskHeads === 1 }, a.capacity + b.capacity, a.positions);
  for (let batch = 0; batch < a.batch; batch++) {
    for (let head = 0; head < maskHeads; head++) {
      for (let n = 0; n < a.queryBlocks; n++) {
        const starts = new Set([...blocksOf(a, batch, head, n), ...blocksOf(b, batch, head, n)]);
        setBlocks(
          out,
          batch,
          head,
          n,
          [...starts].sort((x, y) => x - y),
        );
      }
    }
  }
  validateMask(out);
  return out;
}
