// How far points miss bounds, and the one that misses a budget least.
import type { Bound, FrontPoint } from '@instatune/search';

export interface Nearest {
  readonly point: FrontPoint;
  readonly values: Readonly<Record<string, number>>;
}

/** Of all points, the one whose bounds are overstepped least in sum. The front has one point at least: the full network. */
export function chooseNearest(front: readonly FrontPoint[], bounds: readonly Bound[]): Nearest {
  const missed = ({ values }: FrontPoint) => bounds.reduce((sum, each) => sum + Math.max(0, missOf(each, values)), 0);
  const point = front.reduce((best, other) => (missed(other) < missed(best) ? other : best));
  return { point, values: point.values };
}

/** How far a bound is overstepped, relative to its size; 0 or less where it holds. */
export function missOf({ name, relation, bound }: Bound, values: Readonly<Record<string, number>>): number {
  const value = values[name];
  if (value === undefined || !Number.isFinite(value)) return Number.POSITIVE_INFINITY;
  const over = relation === '<=' ? value - bound : bound - value;
  // Values go through text and back: what was computed equal is equal.
  return Math.abs(over) <= 1e-9 * Math.abs(bound) ? 0 : over / (Math.abs(bound) || 1);
}
