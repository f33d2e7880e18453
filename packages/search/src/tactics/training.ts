// What predictors learn from where there are many trials: a bounded number of them, so that proposing takes as long after 10,000 as after 500.
import type { Random } from '@instatune/nsga2';
import type { Space } from '../space.ts';
import type { CompleteTrial } from '../study/trial.ts';
import { bestFronts } from './ranked.ts';

/** Most rows: a Gaussian process factors their covariance, and compares every candidate with each. */
export const MOST_ROWS = 512;

/** Of these, the best fronts, where proposals are made; then the last ones, which tell where predictions erred. The rest is drawn from all. */
const BEST = 0.6;
const LAST = 0.2;

/**
 * The trials that predictors learn from: all, as long as there are few. Of more, those near the front (what is proposed lies there), the last,
 * and as many of the others, so that what is bad is known to be.
 */
export function trainingTrials(
  space: Space,
  trials: readonly CompleteTrial[],
  random: Random,
  most = MOST_ROWS,
): readonly CompleteTrial[] {
  if (trials.length <= most) return trials;
  const last = trials.slice(-Math.floor(LAST * most));
  const earlier = trials.slice(0, -last.length);
  const best = bestFronts(earlier, ({ values }) => space.minimised(values), Math.floor(BEST * most));
  const chosen = new Set([...last, ...best]);
  const rest = earlier.filter((trial) => !chosen.has(trial));
  const drawn = random.permutation(rest.length);
  for (let i = 0; chosen.size < most && i < rest.length; i++) chosen.add(rest[drawn[i]!]!);
  return [...chosen].sort((a, b) => a.number - b.number);
}
