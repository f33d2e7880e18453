// Shapes of the fronts of the WFG toolkit (Huband, Hingston, Barone and While 2006, table X).

/** Value of one of the M objectives, before it is scaled, at x₁ … x_{M−1}. */
export type Shape = (x: readonly number[], objective: number) => number;

/** The objectives of a simplex-like shape: a product of `inner` and, but for the first objective, one `outer`. */
function product(inner: (x: number) => number, outer: (x: number) => number): Shape {
  return (x, objective) => {
    const last = x.length - objective;
    let value = objective === 0 ? 1 : outer(x[last]!);
    for (let i = 0; i < last; i++) value *= inner(x[i]!);
    return value;
  };
}

const quarter = Math.PI / 2;

export const linear = product(
  (x) => x,
  (x) => 1 - x,
);

export const convex = product(
  (x) => 1 - Math.cos(x * quarter),
  (x) => 1 - Math.sin(x * quarter),
);

export const concave = product(
  (x) => Math.sin(x * quarter),
  (x) => Math.cos(x * quarter),
);

/** Convex and concave pieces in the last objective. */
export const mixed = (x: readonly number[], waves: number): number => {
  const angle = 2 * waves * Math.PI;
  return 1 - x[0]! - Math.cos(angle * x[0]! + quarter) / angle;
};

/** Regions with gaps between them in the last objective. */
export const disconnected = (x: readonly number[], regions: number): number =>
  1 - x[0]! * Math.cos(regions * x[0]! * Math.PI) ** 2;
