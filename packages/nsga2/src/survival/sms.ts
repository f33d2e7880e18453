// SMS-EMOA survival: fronts until full, the last one without those that add least to its hypervolume.
import { Exclusive } from '../indicators/volume/exclusive.ts';
import { shareOf } from '../range.ts';
import { compareByDomination } from './nsga2.ts';
import { selectByFronts, type Survival } from './survival.ts';

/**
 * Survival of SMS-EMOA (Beume, Naujoks and Emmerich 2007): of the last front that fits, the point with the least exclusive
 * hypervolume goes, until it fits. The reference lies as far beyond the front's worst values as the front is wide, so that nothing
 * depends on units (the paper adds 1 to objectives of that order).
 */
export function smsSurvival(): Survival {
  const survival: Survival = {
    name: 'sms-emoa',
    select: (pool, size) =>
      selectByFronts(pool, size, (values, dimension, front, room) =>
        front.length <= room ? front : largest(values, dimension, front, room),
      ),
    compare: compareByDomination,
    toJSON: () => undefined,
    restore: () => undefined,
    clone: () => survival,
  };
  return survival;
}

/** The front without those that, one after the other, add least. */
function largest(values: Float64Array, dimension: number, front: Int32Array, room: number): Int32Array {
  const gains = frontGains(values, dimension, front);
  const exclusive = new Exclusive(gains, front.length, dimension);
  const live = new Uint8Array(front.length).fill(1);
  // Without a point the others can only add more: what was computed before is a lower bound, and most need not be computed again.
  const bounds = Float64Array.from(front, (_, row) => exclusive.of(row, live));
  const exact = new Uint8Array(front.length).fill(1);
  for (let left = front.length; left > room;) {
    let least = -1;
    // Of equals the later goes.
    for (let row = 0; row < front.length; row++) {
      if (live[row] && (least < 0 || bounds[row]! <= bounds[least]!)) least = row;
    }
    if (exact[least]) {
      live[least] = 0;
      left--;
      exact.fill(0);
    } else {
      bounds[least] = exclusive.of(least, live);
      exact[least] = 1;
    }
  }
  return front.filter((_, row) => live[row] === 1);
}

/** Gains over the reference, in units of the front's width: 1 for the worst value of an objective, 2 for the best. */
function frontGains(values: Float64Array, dimension: number, front: Int32Array): Float64Array {
  const gains = new Float64Array(front.length * dimension);
  for (let k = 0; k < dimension; k++) {
    let lowest = Infinity;
    let highest = -Infinity;
    for (const row of front) {
      const value = values[row * dimension + k]!;
      if (value < lowest) lowest = value;
      if (value > highest) highest = value;
    }
    front.forEach((row, n) => {
      gains[n * dimension + k] = 1 + shareOf(values[row * dimension + k]!, highest, lowest, highest);
    });
  }
  return gains;
}
