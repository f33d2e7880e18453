// What to measure where predictors cannot tell good from bad: corners of the space, which teach a trend most.
import { kendallTau, kFold } from '@instatune/predictors';
import { totalViolation } from '../constraints.ts';
import type { Space } from '../space.ts';
import { isComplete, type Candidate, type CompleteTrial } from '../study/trial.ts';
import { encoderOf, featuresOf } from './features.ts';
import { regressorOf, type PredictorChoice } from './predictor.ts';
import { bestFronts } from './ranked.ts';
import { exactBounds } from './sampling.ts';
import type { ProposeContext } from './tactic.ts';

/** Fewer trials say nothing of how well predictors rank; with more, what is good is known from the trials themselves. */
const LEAST_TRIALS = 25;
const MOST_TRIALS = 150;

/**
 * Kendall's τ of predictions that rank, of few trials and of more: the good and the bad lie apart by then, which is no merit. On WFG9 the best τ is
 * .2 to .35 at 30 trials and .35 to .6 at 50 to 100; on ZDT, DTLZ, WFG4 and networks' tables it is .5 to 1 and .7 to 1.
 */
const RANKS = [
  { trials: 40, tau: 0.6 },
  { trials: 0, tau: 0.45 },
] as const;

const FOLDS = 5;

/**
 * Whether any objective's predictor ranks what is measured, by cross-validation. Taken for granted where corners are no way out: without real
 * values, and where some candidates are to be stayed away from (failures, measured constraints).
 */
export async function canRank(context: ProposeContext, choice: PredictorChoice): Promise<boolean> {
  const { space, trials, bounds, warm, seed, signal } = context;
  const known = trials.filter(isComplete);
  const isAsked = known.length >= LEAST_TRIALS && known.length < MOST_TRIALS && space.genes.some(isReal);
  if (warm || !isAsked || known.length < trials.length || exactBounds(context).length < bounds.length) return true;
  const { tau: least } = RANKS.find(({ trials: from }) => known.length >= from)!;
  const X = known.map(({ genes }) => featuresOf(space, genes));
  const regressor = regressorOf(choice, encoderOf(space).groups, true);
  for (const { name } of space.measured) {
    const y = known.map(({ values }) => values[name]!);
    const predicted = new Float64Array(y.length);
    for (const { train, test } of kFold(y.length, { folds: FOLDS, seed })) {
      const part = { X: Array.from(train, (i) => X[i]!), y: Array.from(train, (i) => y[i]!) };
      const model = await regressor.fitAsync(part.X, part.y, { seed, ...(signal ? { signal } : {}) });
      const values = model.predict(Array.from(test, (i) => X[i]!));
      test.forEach((row, i) => (predicted[row] = values[i]!));
    }
    if (kendallTau(predicted, y) >= least) return true;
  }
  return false;
}

/** Share of the candidates that are made of a good one, and of their real values that are put on a bound. */
const OF_GOOD = 0.5;
const ON_BOUNDS = 0.6;

/** Parents: the best fronts. */
const PARENTS = 10;

const DRAWS = 50;

/**
 * Random candidates and measured good ones, most of their real values on a bound of either side: the points of two-level designs (Plackett and Burman
 * 1946), at which the variance of a fitted trend is least (D-optimality), and where the best lies of objectives that fall towards a bound.
 *
 * @param seen keys to avoid; grows by the keys returned
 */
export function cornerCandidates(context: ProposeContext, count: number, seen: Set<string>): Candidate[] {
  const { space, trials, random } = context;
  const exact = exactBounds(context);
  const pointOf = ({ values }: CompleteTrial): readonly number[] => space.minimised(values);
  const good = bestFronts(trials.filter(isComplete), pointOf, PARENTS);
  const found: Candidate[] = [];
  for (let draw = 0; found.length < count && draw < DRAWS * count; draw++) {
    const parent = random.next() < OF_GOOD ? good[random.integer(0, good.length - 1)]?.genes : undefined;
    const genes = space.canonical(
      (parent ?? space.sample(random)).map((value, index) => {
        const gene = space.genes[index]!;
        if (!isReal(gene) || random.next() >= ON_BOUNDS) return value;
        return random.next() < 0.5 ? gene.lower : gene.upper;
      }),
    );
    const key = space.key(genes);
    if (seen.has(key) || totalViolation(exact, space.exact(genes)) > 0) continue;
    seen.add(key);
    found.push({ genes, origin: 'corners' });
  }
  return found;
}

const isReal = ({ kind, axis, lower, upper }: Space['genes'][number]): boolean =>
  kind === 'real' && !axis?.whole && lower < upper;
