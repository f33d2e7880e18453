// Candidates on the edges of the space: where predictions improve towards a bound, the best lies on it, and no operator of the inner search ends there.
import { Breath } from '@instatune/nsga2';
import type { Space } from '../space.ts';
import type { Predicted } from './inner.ts';
import { bestFronts } from './ranked.ts';

/** Candidates whose real values are moved: the best fronts by predictions. */
const POOL = 100;

/** Share of a value's range (on a log scale of its logarithm's) within which it is near a bound. */
const NEAR = 0.05;

/**
 * The best candidates, each with all real values that are near a bound on it. Polynomial mutation and simulated binary crossover (Deb and
 * Agrawal 1995) come near a bound but next to never onto it, which is far where objectives are steep.
 *
 * @returns canonical candidates, once each, none of them in `predicted`; none where no value is real (steps are reached without)
 */
export async function edgeCandidates(
  space: Space,
  predicted: readonly Predicted[],
  breath: Breath = new Breath(),
): Promise<readonly (readonly number[])[]> {
  const onto = space.genes.map(toNearBound);
  if (onto.every((move) => move === undefined)) return [];
  const known = new Set(predicted.map(({ key }) => key));
  const found = new Map<string, readonly number[]>();
  const feasible = predicted.filter(({ violation }) => violation === 0);
  for (const { genes } of bestFronts(feasible, ({ objectives }) => objectives, POOL)) {
    const moved = space.canonical(genes.map((value, index) => onto[index]?.(value) ?? value));
    const key = space.key(moved);
    if (!known.has(key)) found.set(key, moved);
    await breath.take();
  }
  return [...found.values()];
}

/** What brings a real value that is near a bound onto it, and leaves others; undefined for genes that are not real. */
function toNearBound({ kind, lower, upper, axis }: Space['genes'][number]): ((value: number) => number) | undefined {
  if (kind !== 'real' || axis?.whole || lower === upper) return undefined;
  const place = (value: number): number => axis?.place(value) ?? value;
  const [low, high] = [place(lower), place(upper)];
  const least = NEAR * (high - low);
  return (value) => {
    if (place(value) - low < least) return lower;
    return high - place(value) < least ? upper : value;
  };
}
