// The front of a population.
import { rankPoints } from '../sorting/non-dominated-sort.ts';
import type { Individual, Population } from './population.ts';

/** Feasible rows that none dominates; of equal rows (genes and objectives alike in effect) the first. */
export function frontOf(population: Population): Individual[] {
  const feasible = Array.from({ length: population.size }, (_, row) => row).filter(
    (row) => population.violations[row]! <= 0,
  );
  const { dimension, objectives } = population;
  const values = new Float64Array(feasible.length * dimension);
  feasible.forEach((row, n) => values.set(objectives.subarray(row * dimension, (row + 1) * dimension), n * dimension));
  const { ranks } = rankPoints(values, feasible.length, dimension, 1);
  const seen = new Set<string>();
  return feasible
    .filter((_, n) => ranks[n] === 0)
    .map((row) => population.individual(row))
    .filter(({ objectives: point }) => {
      const key = point.join();
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    })
    .sort((a, b) => a.objectives[0]! - b.objectives[0]! || a.id - b.id);
}
