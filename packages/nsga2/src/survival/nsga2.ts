// NSGA-II survival: fronts until full, the last one by crowding; tournament by feasibility, domination, crowding.
import type { Population } from '../engine/population.ts';
import { crowdRows } from '../sorting/crowding.ts';
import { compareRows } from '../sorting/dominance.ts';
import { rankPoints } from '../sorting/non-dominated-sort.ts';
import { pruneByCrowding } from '../sorting/pruned-crowding.ts';
import { gatherObjectives, groupByRank, splitByFeasibility, type Survival } from './survival.ts';

/** `standard`: distances computed once (Deb 2002). `pruned`: recomputed after each removal (Kukkonen and Deb 2006). */
export type Crowding = 'standard' | 'pruned';

/** Survival of NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002). */
export function nsga2Survival(crowding: Crowding = 'standard'): Survival {
  const survival: Survival = {
    name: crowding === 'pruned' ? 'nsga2-pruned' : 'nsga2',
    select(pool, size) {
      const { feasible, infeasible } = splitByFeasibility(pool);
      const chosen = new Int32Array(Math.min(size, pool.size));
      let filled = 0;
      let fronts = 0;
      if (feasible.length > 0) {
        const values = gatherObjectives(pool, feasible);
        const sorted = rankPoints(values, feasible.length, pool.dimension);
        const distances = new Float64Array(feasible.length);
        for (const front of groupByRank(sorted.ranks, sorted.fronts)) {
          const room = chosen.length - filled;
          if (room === 0) break;
          const survivors = cut(values, pool.dimension, front, room, distances, crowding);
          for (const n of survivors) {
            const row = feasible[n]!;
            pool.ranks[row] = fronts;
            pool.crowding[row] = distances[n]!;
            chosen[filled++] = row;
          }
          fronts++;
        }
      }
      for (let n = 0; filled < chosen.length; n++) {
        const row = infeasible[n]!;
        pool.ranks[row] = fronts + n;
        pool.crowding[row] = 0;
        chosen[filled++] = row;
      }
      return chosen;
    },
    compare: compareByDomination,
    toJSON: () => undefined,
    restore: () => undefined,
    clone: () => survival,
  };
  return survival;
}

/** The `room` members that survive, with their distances written. */
function cut(
  values: Float64Array,
  dimension: number,
  front: Int32Array,
  room: number,
  distances: Float64Array,
  crowding: Crowding,
): Int32Array {
  if (front.length > room && crowding === 'pruned') return pruneByCrowding(values, dimension, front, room, distances);
  crowdRows(values, dimension, front, distances);
  if (front.length <= room) return front;
  const order = front.slice().sort((i, j) => {
    const a = distances[i]!;
    const b = distances[j]!;
    return a > b ? -1 : a < b ? 1 : i - j;
  });
  return order.subarray(0, room);
}

/** Feasibility (smaller violation), then domination, then crowding. */
export function compareByDomination(population: Population, i: number, j: number): number {
  const { violations, crowding } = population;
  const a = violations[i]!;
  const b = violations[j]!;
  if (a > 0 || b > 0) return a < b ? -1 : a > b ? 1 : 0;
  const relation = compareRows(population.objectives, population.dimension, i, j);
  if (relation !== 0) return -relation;
  return crowding[i]! > crowding[j]! ? -1 : crowding[i]! < crowding[j]! ? 1 : 0;
}
