// NSGA-II survival: fronts until full, the last one by crowding; tournament by feasibility, domination, crowding.
import type { Population } from '../engine/population.ts';
import { crowdRows } from '../sorting/crowding.ts';
import { compareRows } from '../sorting/dominance.ts';
import { pruneByCrowding } from '../sorting/pruned-crowding.ts';
import { selectByFronts, type Survival } from './survival.ts';

/** `standard`: distances computed once (Deb 2002). `pruned`: recomputed after each removal (Kukkonen and Deb 2006). */
export type Crowding = 'standard' | 'pruned';

/** Survival of NSGA-II (Deb, Pratap, Agarwal and Meyarivan 2002). */
export function nsga2Survival(crowding: Crowding = 'standard'): Survival {
  const survival: Survival = {
    name: crowding === 'pruned' ? 'nsga2-pruned' : 'nsga2',
    select: (pool, size) =>
      selectByFronts(pool, size, (values, dimension, front, room, distances) =>
        cut(values, dimension, front, room, distances, crowding),
      ),
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
