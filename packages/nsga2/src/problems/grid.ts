// Regular grids, from which fronts are sampled.

/** All points of a regular grid of the unit cube. */
export function grid(dimension: number, side: number): number[][] {
  let points: number[][] = [[]];
  for (let k = 0; k < dimension; k++) {
    points = points.flatMap((point) => Array.from({ length: side }, (_, i) => [...point, i / (side - 1)]));
  }
  return points;
}
