// Genes as numbers a predictor learns from: one column per level, and nothing at all for genes that are not used.
import type { Space } from '../space.ts';

/**
 * Features of a candidate. Categories become one-hot columns, integers thermometer columns (column k is 1 where the value is at least the
 * k-th; the same span as one-hot, but near values look near), reals one scaled column. All columns of an unused gene are 0.
 */
export function featuresOf(space: Space, genes: readonly number[]): number[] {
  const active = space.active(genes);
  const columns: number[] = [];
  space.genes.forEach(({ lower, upper, kind, ordered }, index) => {
    const used = active[index]!;
    const value = genes[index]!;
    if (kind === 'real') {
      columns.push(used && upper > lower ? (value - lower) / (upper - lower) : 0);
      return;
    }
    if (upper - lower + 1 > MAX_LEVELS) {
      columns.push(used ? (value - lower + 1) / (upper - lower + 1) : 0);
      return;
    }
    for (let level = lower; level <= upper; level++) columns.push(used && (ordered ? value >= level : value === level) ? 1 : 0);
  });
  return columns;
}

/** An integer with more values than this is one scaled column. */
const MAX_LEVELS = 64;
