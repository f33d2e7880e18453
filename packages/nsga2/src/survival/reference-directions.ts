// Reference directions of NSGA-III: points spread evenly over the unit simplex.
import { Nsga2Error } from '../errors.ts';
import { count } from '../operators/check.ts';

/** Numbers that all directions together may have: more are a mistake, and would end the process by memory. */
const MOST_NUMBERS = 10_000_000;

/**
 * Das–Dennis directions (Das and Dennis 1998): all points of the unit simplex whose coordinates are multiples of
 * 1/partitions. There are C(partitions + objectives − 1, objectives − 1) of them.
 *
 * @throws Nsga2Error `invalid-option` for counts that are not whole and positive, or for more than 10 million numbers
 *
 * @example
 * ```ts
 * import { dasDennis } from '@instatune/nsga2';
 * console.log(dasDennis(3, 12).length); // => 91
 * ```
 */
export function dasDennis(objectives: number, partitions: number): number[][] {
  count('dasDennis objectives', objectives);
  count('dasDennis partitions', partitions);
  const total = directionCount(objectives, partitions);
  if (total * objectives > MOST_NUMBERS) {
    throw new Nsga2Error(
      'invalid-option',
      `dasDennis(${objectives}, ${partitions}) has ${total} directions of ${objectives} numbers: use fewer partitions (partitionsFor), or twoLayerDirections`,
      { objectives, partitions, directions: total },
    );
  }
  const directions: number[][] = [];
  const direction = Array.from({ length: objectives }, () => 0);
  const fill = (position: number, left: number): void => {
    if (position === objectives - 1) {
      direction[position] = left / partitions;
      directions.push([...direction]);
      return;
    }
    for (let units = 0; units <= left; units++) {
      direction[position] = units / partitions;
      fill(position + 1, left - units);
    }
  };
  fill(0, partitions);
  return directions;
}

/**
 * Two layers of Das–Dennis directions, the second shrunk towards the centre: the customary choice for more than five
 * objectives, where one layer of few partitions has no interior points.
 *
 * @throws Nsga2Error `invalid-option` for counts that {@link dasDennis} refuses
 */
export function twoLayerDirections(objectives: number, outer: number, inner: number, scale: number = 0.5): number[][] {
  const centre = (1 - scale) / objectives;
  return [
    ...dasDennis(objectives, outer),
    ...dasDennis(objectives, inner).map((direction) => direction.map((value) => value * scale + centre)),
  ];
}

/**
 * The largest number of partitions that gives at most `limit` directions, and at least 1.
 *
 * @throws Nsga2Error `invalid-option` for counts that are not whole and positive
 */
export function partitionsFor(objectives: number, limit: number): number {
  count('partitionsFor objectives', objectives);
  count('partitionsFor limit', limit);
  if (objectives === 1) return 1;
  let partitions = 1;
  while (directionCount(objectives, partitions + 1) <= limit) partitions++;
  return partitions;
}

function directionCount(objectives: number, partitions: number): number {
  const fewer = Math.min(objectives - 1, partitions);
  const more = Math.max(objectives - 1, partitions);
  let combinations = 1;
  for (let k = 1; k <= fewer && combinations < Infinity; k++) combinations = (combinations * (more + k)) / k;
  return Math.round(combinations);
}
