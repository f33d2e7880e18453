// Keys a head from curves of mass: one threshold a layer (docs/specification/hip.md §8.2).
import type { MassCurve } from './mass-curves.ts';

export interface BudgetOptions {
  /** Mean keys a head, a multiple of `blockK`. */
  readonly k: number;
  readonly blockK: number;
  /** Fewest blocks of a head. */
  readonly minBlocks: number;
}

/**
 * Gives the layer's blocks one by one to the head whose next one holds most mass, until k·H keys are spent. Every head has `minBlocks`
 * first (or k, where that is less). Ties: the head with fewer blocks, then the lower one. Nobody gets more blocks than its curve has
 * entries.
 *
 * @returns keys by head, multiples of `blockK`; k·H together unless the curves are too short
 */
export function budgetsOf(curves: readonly MassCurve[], { k, blockK, minBlocks }: BudgetOptions): number[] {
  const total = Math.round(k / blockK) * curves.length;
  const least = Math.min(minBlocks, Math.round(k / blockK));
  const blocks = curves.map((curve) => Math.min(least, curve.length));
  const rest = curves
    .flatMap((curve, head) => Array.from(curve.subarray(blocks[head]), (mass, i) => ({ head, mass, rank: i })))
    .sort((a, b) => b.mass - a.mass || a.rank - b.rank || a.head - b.head);
  // Curves do not increase, so that a head's blocks come in order.
  for (const { head } of rest.slice(0, Math.max(0, total - least * curves.length))) blocks[head]!++;
  return blocks.map((count) => count * blockK);
}

/** Mass that a budget holds, as the curve has it. */
export function massOf(curve: MassCurve, keys: number, blockK: number): number {
  return curve.subarray(0, Math.floor(keys / blockK)).reduce((sum, mass) => sum + mass, 0);
}
