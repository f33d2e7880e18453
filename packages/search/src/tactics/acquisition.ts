// Acquisition rules over the same predictors: what to measure for what it promises, for what it may be, and for what it would teach.
import type { Random } from '@instatune/nsga2';
import type { Bound } from '../constraints.ts';
import type { Space } from '../space.ts';
import type { Trial } from '../study/trial.ts';
import { chooseBatch } from './batch.ts';
import type { Prior } from './credits.ts';
import type { Predicted } from './inner.ts';
import { bestFronts, differing } from './ranked.ts';
import type { Surrogate } from './surrogate.ts';

/**
 * Origins of trials, and what is thought of the rules at first: the predicted front (what LINAS is), the front as it may be a deviation
 * better, fronts drawn from the predictions (Thompson 1933), the farthest from everything measured among the promising.
 */
export const RULES: readonly Prior[] = [
  { rule: 'linas', entered: 12, of: 15 },
  { rule: 'optimistic', entered: 2, of: 10 },
  { rule: 'thompson', entered: 2, of: 10 },
  { rule: 'farthest', entered: 1, of: 10 },
];

/** Candidates whose deviations are computed: the best fronts by means. */
const POOL = 1000;

export interface AcquisitionOptions {
  readonly space: Space;
  readonly trials: readonly Trial[];
  /** What is being measured: as if it had what is predicted for it (Kriging believer, Ginsbourger 2010). */
  readonly pending?: readonly Trial[] | undefined;
  readonly bounds: readonly Bound[];
  readonly surrogate: Surrogate;
  readonly predicted: readonly Predicted[];
  /** How many each rule proposes. */
  readonly shares: Readonly<Record<string, number>>;
  readonly random: Random;
  /** Keys to avoid; grows by the keys chosen. */
  readonly seen: Set<string>;
}

/** Candidates by rule; the predicted front first, which makes up for what the others cannot give. */
export function acquire(
  options: AcquisitionOptions,
): readonly { readonly genes: readonly number[]; readonly origin: string }[] {
  const { space, trials, pending = [], bounds, surrogate, predicted, shares, random, seen } = options;
  const believed = surrogate.values(pending.map(({ genes }) => genes));
  const count = (rule: string): number => shares[rule] ?? 0;
  const total = Object.values(shares).reduce((a, b) => a + b, 0);
  const chosen: { genes: readonly number[]; origin: string }[] = [];
  const take = (candidates: readonly Predicted[], origin: string): void => {
    for (const { genes } of candidates) chosen.push({ genes, origin });
  };
  const batch = (pool: readonly Predicted[], wanted: number): readonly Predicted[] =>
    chooseBatch({ space, trials, believed, bounds, predicted: pool, count: wanted, seen });
  take(batch(predicted, count('linas')), 'linas');
  const pool = promising(predicted.filter(({ key }) => !seen.has(key)));
  const deviations =
    total > count('linas') && pool.length > 0 ? surrogate.deviations(pool.map(({ genes }) => genes)) : undefined;
  if (deviations) {
    const shifted = (shift: () => number): readonly Predicted[] =>
      pool.map((candidate, index) => ({
        ...candidate,
        objectives: candidate.objectives.map((value, k) => value + shift() * deviations[index]![k]!),
      }));
    take(
      batch(
        shifted(() => -1),
        count('optimistic'),
      ),
      'optimistic',
    );
    take(
      batch(
        shifted(() => random.normal()),
        count('thompson'),
      ),
      'thompson',
    );
  }
  take(farthest(pool, [...trials, ...pending], count('farthest'), seen), 'farthest');
  if (chosen.length < total) take(batch(predicted, total - chosen.length), 'linas');
  return chosen;
}

/** The best fronts by means, inside the bounds. */
function promising(fresh: readonly Predicted[]): readonly Predicted[] {
  const feasible = fresh.filter(({ violation }) => violation === 0);
  if (feasible.length <= POOL) return feasible;
  return bestFronts(feasible, ({ objectives }) => objectives, POOL);
}

/** Of the better half of the pool, one after the other the candidate that differs from everything measured and chosen in most genes. */
function farthest(
  pool: readonly Predicted[],
  trials: readonly Trial[],
  count: number,
  seen: Set<string>,
): readonly Predicted[] {
  const open = pool.slice(0, Math.max(count, Math.ceil(pool.length / 2))).filter(({ key }) => !seen.has(key));
  const distances = open.map(({ genes }) =>
    trials.reduce((least, trial) => Math.min(least, differing(genes, trial.genes, least)), Infinity),
  );
  const chosen: Predicted[] = [];
  while (chosen.length < count && chosen.length < open.length) {
    let best = 0;
    for (let i = 1; i < open.length; i++) if (distances[i]! > distances[best]!) best = i;
    if (distances[best] === -1) break;
    const next = open[best]!;
    chosen.push(next);
    seen.add(next.key);
    distances[best] = -1;
    open.forEach(({ genes }, i) => {
      if (distances[i]! >= 0) distances[i] = Math.min(distances[i]!, differing(genes, next.genes, distances[i]!));
    });
  }
  return chosen;
}
