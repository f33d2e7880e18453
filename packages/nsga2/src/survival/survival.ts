// What a survival does: choose who lives, and say who wins a tournament.
import type { Population } from '../engine/population.ts';
import type { Random } from '../random.ts';
import { rankPoints } from '../sorting/non-dominated-sort.ts';

/** Environmental selection of one algorithm. */
export interface Survival {
  readonly name: string;
  /**
   * Chooses up to `size` rows of the pool (parents ∪ offspring) and writes rank and crowding of the chosen rows.
   * Feasible individuals come first, infeasible ones follow by violation.
   */
  select(pool: Population, size: number, random: Random): Int32Array;
  /** Negative when row i wins a tournament against row j, positive when it loses, 0 for a draw (decided by a coin). */
  compare(population: Population, i: number, j: number): number;
  /** What must be kept between generations, as JSON; undefined when nothing. */
  toJSON(): unknown;
  /** Takes back what `toJSON` gave. */
  restore(state: unknown): void;
  /** A copy that can select without changing this one. */
  clone(): Survival;
}

/** Splits the pool: feasible rows in order, infeasible rows by violation (ties: earlier first). */
export function splitByFeasibility(pool: Population): { feasible: Int32Array; infeasible: Int32Array } {
  const { violations, size } = pool;
  let count = 0;
  for (let i = 0; i < size; i++) if (violations[i]! <= 0) count++;
  const feasible = new Int32Array(count);
  const infeasible = new Int32Array(size - count);
  let f = 0;
  let g = 0;
  for (let i = 0; i < size; i++) {
    if (violations[i]! <= 0) feasible[f++] = i;
    else infeasible[g++] = i;
  }
  infeasible.sort((i, j) => (violations[i] === violations[j] ? i - j : violations[i]! - violations[j]!));
  return { feasible, infeasible };
}

/** Objectives of the rows, packed. */
export function gatherObjectives(pool: Population, rows: Int32Array): Float64Array {
  const { dimension, objectives } = pool;
  const values = new Float64Array(rows.length * dimension);
  for (let n = 0; n < rows.length; n++) {
    const from = rows[n]! * dimension;
    for (let k = 0; k < dimension; k++) values[n * dimension + k] = objectives[from + k]!;
  }
  return values;
}

/** Members of each front, best first, from ranks. */
export function groupByRank(ranks: Int32Array, fronts: number): Int32Array[] {
  const sizes = new Int32Array(fronts);
  for (const rank of ranks) sizes[rank]!++;
  const groups = Array.from(sizes, (size) => new Int32Array(size));
  const filled = new Int32Array(fronts);
  for (let i = 0; i < ranks.length; i++) {
    const rank = ranks[i]!;
    groups[rank]![filled[rank]!++] = i;
  }
  return groups;
}

/**
 * Members of a front that survive, `room` of them where it has more.
 *
 * @param distances crowding of each member, written where the algorithm has one
 */
export type Cut = (
  values: Float64Array,
  dimension: number,
  front: Int32Array,
  room: number,
  distances: Float64Array,
) => Int32Array;

/** The feasible front by front, the last one cut; then the infeasible by violation. Writes rank and crowding of those chosen. */
export function selectByFronts(pool: Population, size: number, cut: Cut): Int32Array {
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
      for (const n of cut(values, pool.dimension, front, room, distances)) {
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
}
