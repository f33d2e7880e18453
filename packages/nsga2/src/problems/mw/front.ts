// Pareto fronts of MW1–14: where constraints leave the unconstrained front, the nearest feasible points behind it.
import { paretoFront } from '../../sorting/dominance.ts';
import { grid } from '../grid.ts';
import type { MwDefinition } from './definitions.ts';

/** Distances up to which a feasible point is looked for, and steps there; the nearest is then found by halving. */
const FARTHEST = 3;
const STEPS = 3000;
const HALVINGS = 40;

/** Objective vectors on the front, about `count` of them. */
export function frontOf(definition: MwDefinition, m: number, variables: number, count: number): number[][] {
  const side = Math.max(2, Math.round(count ** (1 / (m - 1))));
  const points = grid(m - 1, side).flatMap((shares) => {
    const x = Array.from({ length: variables }, () => 0);
    shares.forEach((share, i) => {
      x[i] = definition.first?.(share, variables) ?? share * (definition.upper ?? 1);
    });
    const found = nearest((g) => definition.point(x, g, m), definition);
    return found ? [found] : [];
  });
  return paretoFront(points).map((i) => points[i]!);
}

/** The feasible point of the least distance; undefined where there is none. */
function nearest(at: (g: number) => number[], { constraints }: MwDefinition): number[] | undefined {
  const isFeasible = (g: number): boolean => constraints(at(g)).every((value) => value <= 1e-12);
  if (isFeasible(1)) return at(1);
  for (let step = 1; step <= STEPS; step++) {
    let high = 1 + ((FARTHEST - 1) * step) / STEPS;
    if (!isFeasible(high)) continue;
    let low = 1 + ((FARTHEST - 1) * (step - 1)) / STEPS;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low + high) / 2;
      if (isFeasible(middle)) high = middle;
      else low = middle;
    }
    return at(high);
  }
  return undefined;
}
