// Objective vectors as one flat array: the form every inner loop works on.
import { Nsga2Error } from '../errors.ts';

/** A set of objective vectors, each of the same length. */
export type Points = readonly ArrayLike<number>[];

/** `count` vectors of `dimension` numbers, one after the other. */
export interface FlatPoints {
  readonly values: Float64Array;
  readonly count: number;
  readonly dimension: number;
}

/** What {@link flatten} takes: `ordered`: ±Infinity too; `finite`: nothing a distance could not be computed from. */
export type Allowed = 'ordered' | 'finite';

/** Checks and copies. @throws Nsga2Error `invalid-points` on ragged vectors, NaN, or ±Infinity where only finite values are allowed */
export function flatten(
  points: Points,
  dimension: number = points[0]?.length ?? 0,
  allowed: Allowed = 'ordered',
): FlatPoints {
  const values = new Float64Array(points.length * dimension);
  let offset = 0;
  for (let i = 0; i < points.length; i++) {
    const point = points[i]!;
    if (point.length !== dimension) {
      throw new Nsga2Error('invalid-points', `point ${i} has ${point.length} values, expected ${dimension}`, {
        index: i,
        expected: dimension,
        actual: point.length,
      });
    }
    for (let j = 0; j < dimension; j++) {
      const value = point[j]!;
      if (Number.isNaN(value))
        throw new Nsga2Error('invalid-points', `point ${i} has NaN at ${j}`, { index: i, objective: j });
      if (allowed === 'finite' && !Number.isFinite(value)) {
        throw new Nsga2Error('invalid-points', `point ${i} has ${value} at ${j}: give finite values, or leave it out`, {
          index: i,
          objective: j,
        });
      }
      values[offset++] = value;
    }
  }
  return { values, count: points.length, dimension };
}
