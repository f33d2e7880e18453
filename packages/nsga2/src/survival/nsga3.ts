// NSGA-III survival: fronts until full, the last one by niches around reference directions.
import type { Population } from '../engine/population.ts';
import { Nsga2Error } from '../errors.ts';
import type { Random } from '../random.ts';
import { rankPoints } from '../sorting/non-dominated-sort.ts';
import { Normalization, type NormalizationState } from './normalization.ts';
import { gatherObjectives, groupByRank, splitByFeasibility, type Survival } from './survival.ts';

/** `random`: feasible parents draw (NSGA-III). `niching`: parents of one niche compete (U-NSGA-III, Seada and Deb 2016). */
export type ParentSelection = 'random' | 'niching';

/** Survival of NSGA-III (Deb and Jain 2014; constraints as in Jain and Deb 2014). */
export function nsga3Survival(
  directions: readonly (readonly number[])[],
  selection: ParentSelection = 'random',
): Survival {
  const units = directions.map(unit);
  if (units.length === 0) throw new Nsga2Error('invalid-option', 'NSGA-III needs at least one direction');
  return withNormalization(directions, units, new Normalization(units[0]!.length), selection);
}

function withNormalization(
  directions: readonly (readonly number[])[],
  units: readonly Float64Array[],
  initial: Normalization,
  selection: ParentSelection,
): Survival {
  let normalization = initial;
  return {
    name: selection === 'niching' ? 'unsga3' : 'nsga3',
    select(pool, size, random) {
      const { feasible, infeasible } = splitByFeasibility(pool);
      const chosen: number[] = [];
      let fronts = 0;
      if (feasible.length > 0) {
        const values = gatherObjectives(pool, feasible);
        const sorted = rankPoints(values, feasible.length, pool.dimension);
        const groups = groupByRank(sorted.ranks, sorted.fronts);
        normalization.update(values, feasible.length, groups[0]!);
        for (const front of groups) {
          const room = size - chosen.length;
          if (room === 0) break;
          const taken = Array.from(chosen, (n) => n);
          const survivors =
            front.length <= room ? front : fillNiches(values, normalization, units, taken, front, room, random);
          for (const n of survivors) {
            pool.ranks[feasible[n]!] = fronts;
            pool.crowding[feasible[n]!] = 0;
            chosen.push(n);
          }
          fronts++;
        }
      }
      const rows = chosen.map((n) => feasible[n]!);
      for (let n = 0; n < infeasible.length && rows.length < size; n++) {
        const row = infeasible[n]!;
        pool.ranks[row] = fronts + n;
        pool.crowding[row] = 0;
        rows.push(row);
      }
      return Int32Array.from(rows);
    },
    compare(population, i, j) {
      const outcome = compareByViolation(population, i, j);
      if (outcome !== 0 || selection === 'random' || population.violations[i]! > 0) return outcome;
      return compareInNiche(population, normalization, units, i, j);
    },
    toJSON: () => ({
      directions,
      ...normalization.toJSON(),
      // Parents are compared before the next update.
      ...(selection === 'niching' && { widths: normalization.widths }),
    }),
    restore(state) {
      normalization = new Normalization(normalization.dimension, state as NormalizationState);
    },
    clone: () =>
      withNormalization(
        directions,
        units,
        new Normalization(normalization.dimension, { ...normalization.toJSON(), widths: normalization.widths }),
        selection,
      ),
  };
}

/** Members of the front that fill the emptiest niches, `room` of them. */
function fillNiches(
  values: Float64Array,
  normalization: Normalization,
  units: readonly Float64Array[],
  taken: readonly number[],
  front: Int32Array,
  room: number,
  random: Random,
): number[] {
  const counts = new Int32Array(units.length);
  for (const row of taken) counts[associate(values, row, normalization, units).niche]!++;
  const waiting: { row: number; distance: number }[][] = units.map(() => []);
  for (const row of front) {
    const { niche, distance } = associate(values, row, normalization, units);
    waiting[niche]!.push({ row, distance });
  }
  const survivors: number[] = [];
  while (survivors.length < room) {
    let least = Infinity;
    for (let j = 0; j < units.length; j++) if (waiting[j]!.length > 0 && counts[j]! < least) least = counts[j]!;
    const emptiest: number[] = [];
    for (let j = 0; j < units.length; j++) if (waiting[j]!.length > 0 && counts[j] === least) emptiest.push(j);
    random.shuffle(emptiest);
    for (const niche of emptiest) {
      if (survivors.length === room) break;
      const candidates = waiting[niche]!;
      let pick = 0;
      if (counts[niche] === 0) {
        for (let n = 1; n < candidates.length; n++) if (candidates[n]!.distance < candidates[pick]!.distance) pick = n;
      } else {
        pick = random.integer(0, candidates.length - 1);
      }
      survivors.push(candidates.splice(pick, 1)[0]!.row);
      counts[niche]!++;
    }
  }
  return survivors;
}

/** The direction nearest to a normalised point, by perpendicular distance. */
function associate(
  values: Float64Array,
  row: number,
  { ideal, widths, dimension }: Normalization,
  units: readonly Float64Array[],
): { niche: number; distance: number } {
  let niche = 0;
  let closest = Infinity;
  const point = new Float64Array(dimension);
  let norm = 0;
  for (let k = 0; k < dimension; k++) {
    const width = widths[k]!;
    point[k] = width > 0 ? (values[row * dimension + k]! - ideal[k]!) / width : 0;
    norm += point[k]! * point[k]!;
  }
  for (let j = 0; j < units.length; j++) {
    const direction = units[j]!;
    let along = 0;
    for (let k = 0; k < dimension; k++) along += point[k]! * direction[k]!;
    const squared = norm - along * along;
    if (squared < closest) {
      closest = squared;
      niche = j;
    }
  }
  return { niche, distance: closest };
}

function unit(direction: readonly number[]): Float64Array {
  const length = Math.hypot(...direction);
  if (!(length > 0) || direction.some((value) => !(value >= 0))) {
    throw new Nsga2Error(
      'invalid-option',
      `direction [${direction.join(', ')}]: needs non-negative values, not all 0`,
      {
        direction,
      },
    );
  }
  return Float64Array.from(direction, (value) => value / length);
}

/** Smaller violation wins; feasible ones draw. */
function compareByViolation({ violations }: Population, i: number, j: number): number {
  const a = violations[i]!;
  const b = violations[j]!;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Of one niche the better front wins, then the nearer to the direction; those of two niches draw (Seada and Deb 2016, algorithm 2). */
function compareInNiche(
  { objectives, ranks }: Population,
  normalization: Normalization,
  units: readonly Float64Array[],
  i: number,
  j: number,
): number {
  const a = associate(objectives, i, normalization, units);
  const b = associate(objectives, j, normalization, units);
  if (a.niche !== b.niche) return 0;
  return ranks[i]! - ranks[j]! || a.distance - b.distance;
}
