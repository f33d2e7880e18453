// The volume of the union of boxes from the origin to each of some points, by the way that suits their dimension.
import { LocalBounds } from './local-bounds.ts';
import { hypervolume2, hypervolume3, hypervolume4 } from './sweeps.ts';
import { Wfg, WFG_BASE } from './wfg.ts';

/** @param gains [size, dimension], all positive @returns 0 for no points */
export function volumeOf(gains: Float64Array, size: number, dimension: number): number {
  if (size === 0) return 0;
  if (dimension === 1) return gains.subarray(0, size).reduce((a, b) => Math.max(a, b));
  if (dimension === 2) return hypervolume2(gains, size);
  if (dimension === 3) return hypervolume3(gains, size);
  if (dimension === 4) return hypervolume4(gains, size);
  if (dimension <= WFG_BASE) return new LocalBounds(dimension - 1, size).volume(gains, size);
  return new Wfg(size, dimension).volume(gains, size, dimension);
}
