// Reference directions of NSGA-III: points spread evenly over the unit simplex.
import { count } from '../operators/check.ts';

/**
 * Das–Dennis directions (Das and Dennis 1998): all points of the unit simplex whose coordinates are multiples of
 * 1/partitions. There are C(partitions + objectives − 1, objectives − 1) of them.
 *
 * @example
 * ```ts
 * import { dasDennis } from '@instatune/nsga2';
 * dasDennis(3, 12).length; // 91
 * ```
 */
export function dasDennis(objectives: number, partitions: number): number[][] {
  count('dasDennis objectives', objectives);
  count('dasDennis partitions', partitions);
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
 */
export function twoLayerDirections(objectives: number, outer: number, inner: number, scale: number = 0.5): number[][] {
  const centre = (1 - scale) / objectives;
  return [
    ...dasDennis(objectives, outer),
    ...dasDennis(objectives, inner).map((direction) => direction.map((value) => value * scale + centre)),
  ];
}

/** The largest number of partitions that gives at most `limit` directions, and at least 1. */
export function partitionsFor(objectives: number, limit: number): number {
  if (objectives === 1) return 1;
  let partitions = 1;
  while (directionCount(objectives, partitions + 1) <= limit) partitions++;
  return partitions;
}

function directionCount(objectives: number, partitions: number): number {
  let combinations = 1;
  for (let k = 1; k < objectives; k++) combinations = (combinations * (partitions + k)) / k;
  return Math.round(combinations);
}
