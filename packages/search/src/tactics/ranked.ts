// Candidates in the order of their fronts, and how far apart they are.
import { nonDominatedSort } from '@instatune/nsga2';

/** The items of the best fronts, `most` of them; within a front in the order given. */
export function bestFronts<T>(
  items: readonly T[],
  minimised: (item: T) => readonly number[],
  most: number = Infinity,
): readonly T[] {
  const { ranks } = nonDominatedSort(items.map(minimised));
  return items
    .map((item, index) => ({ item, index }))
    .sort((a, b) => ranks[a.index]! - ranks[b.index]! || a.index - b.index)
    .slice(0, most)
    .map(({ item }) => item);
}

/** Genes that differ; counting stops at `enough`. */
export function differing(a: readonly number[], b: readonly number[], enough: number = Infinity): number {
  let count = 0;
  for (let i = 0; i < a.length && count < enough; i++) if (a[i] !== b[i]) count++;
  return count;
}
