// A bounded or unbounded archive of the best trade-offs ever seen.
import { Nsga2Error } from './errors.ts';
import { Saved } from './saved.ts';
import { dominates } from './sorting/dominance.ts';
import { nonDominatedSort } from './sorting/non-dominated-sort.ts';
import { pruneByCrowding } from './sorting/pruned-crowding.ts';

/** A member of an archive. */
export interface ArchiveEntry {
  readonly id: number;
  readonly genes: readonly number[];
  readonly objectives: readonly number[];
}

/**
 * Keeps points that no other point offered so far dominates; of points with equal objectives, the first. A bounded
 * archive that overflows drops its most crowded member (never an extreme one while others are left). All objectives are
 * finite: others have no crowding distance and no place in JSON.
 *
 * @example
 * ```ts
 * import { ParetoArchive } from '@instatune/nsga2';
 *
 * const archive = new ParetoArchive();
 * console.log(archive.add({ id: 0, genes: [1], objectives: [1, 2] })); // => true
 * console.log(archive.add({ id: 1, genes: [2], objectives: [2, 3] })); // => false
 * console.log(archive.entries.length); // => 1
 * ```
 */
export class ParetoArchive {
  readonly capacity: number;
  private members: ArchiveEntry[] = [];

  /**
   * @param capacity most members kept. @defaultValue Infinity
   * @throws Nsga2Error `invalid-option` for a capacity below 1
   */
  constructor(capacity: number = Infinity) {
    if (!(capacity >= 1)) {
      throw new Nsga2Error('invalid-option', `archive capacity is ${capacity}: needs at least 1`, { capacity });
    }
    this.capacity = capacity;
  }

  /** Members in ascending order of the first objective. */
  get entries(): readonly ArchiveEntry[] {
    return this.members;
  }

  /**
   * @returns whether the entry is now a member
   * @throws Nsga2Error `invalid-points` where an objective is not a finite number, or there are not as many as in the others
   */
  add(entry: ArchiveEntry): boolean {
    const { members } = this;
    const objectives = entry.objectives;
    const wanted = members[0]?.objectives.length ?? Math.max(1, objectives.length);
    if (objectives.length !== wanted || !objectives.every(Number.isFinite)) {
      throw new Nsga2Error(
        'invalid-points',
        `entry ${entry.id} has objectives [${objectives.join(', ')}]: give ${wanted} finite ${wanted === 1 ? 'number' : 'numbers'}`,
        { id: entry.id, objectives },
      );
    }
    const place = this.firstAfter(objectives[0]!);
    // Only members with a first objective no larger can dominate it, and only those no smaller can be dominated.
    for (let i = place - 1; i >= 0; i--) {
      const other = members[i]!.objectives;
      if (dominates(other, objectives) || equal(other, objectives)) return false;
    }
    let start = place;
    while (start > 0 && members[start - 1]!.objectives[0] === objectives[0]) start--;
    const rest = members.slice(start).filter((member) => !dominates(objectives, member.objectives));
    const at = rest.findIndex((member) => member.objectives[0]! > objectives[0]!);
    rest.splice(at < 0 ? rest.length : at, 0, entry);
    this.members = [...members.slice(0, start), ...rest];
    if (this.members.length > this.capacity) this.shrink();
    return this.members.includes(entry);
  }

  toJSON(): { readonly capacity: number | null; readonly entries: readonly ArchiveEntry[] } {
    return { capacity: this.capacity === Infinity ? null : this.capacity, entries: this.members };
  }

  /** @throws Nsga2Error `invalid-state` naming the field, unless this is a whole archive */
  static fromJSON(state: ReturnType<ParetoArchive['toJSON']>): ParetoArchive {
    checkArchive(new Saved(state, 'the saved archive'));
    const archive = new ParetoArchive(state.capacity ?? Infinity);
    archive.members = state.entries.map(({ id, genes, objectives }) => ({
      id,
      genes: [...genes],
      objectives: [...objectives],
    }));
    return archive;
  }

  private firstAfter(first: number): number {
    let low = 0;
    let high = this.members.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.members[middle]!.objectives[0]! <= first) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private shrink(): void {
    const { members } = this;
    const dimension = members[0]!.objectives.length;
    const values = Float64Array.from(members.flatMap((member) => member.objectives));
    const rows = Int32Array.from(members, (_, index) => index);
    const kept = pruneByCrowding(values, dimension, rows, this.capacity, new Float64Array(members.length));
    this.members = Array.from(kept, (row) => members[row]!);
  }
}

/** @throws Nsga2Error `invalid-state` unless the entries are in order, and none is equal to or dominates another */
export function checkArchive(saved: Saved): void {
  const capacity = saved.field('capacity');
  const most = capacity.isNull ? Infinity : capacity.number(1);
  const entries = saved.field('entries').items();
  if (entries.length > most) saved.field('entries').fail(`a list of at most ${most}`);
  let dimension: number | undefined;
  const points = entries.map((entry) => {
    entry.field('id').number();
    entry.field('genes').numbers();
    const objectives = entry.field('objectives').numbers(dimension);
    dimension = objectives.length;
    return objectives;
  });
  if (dimension === 0) saved.field('entries').fail('a list of entries with objectives');
  const seen = new Set<string>();
  nonDominatedSort(points).ranks.forEach((rank, i) => {
    const point = points[i]!;
    const sorted = i === 0 || point[0]! >= points[i - 1]![0]!;
    if (rank === 0 && sorted && seen.size < seen.add(point.join()).size) return;
    entries[i]!.field('objectives').fail('in ascending order, equal to none and dominated by none');
  });
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.every((value, index) => value === b[index]);
}
