// Which candidates can be measured at all: learnt from those that could and those that could not.
import { fitLogistic, type LogisticModel } from '@instatune/predictors';
import { totalViolation, type Bound } from '../constraints.ts';
import { isConstraintBound } from '../given/constraint-values.ts';
import type { Space } from '../space.ts';
import type { Trial } from '../study/trial.ts';
import type { Surrogate } from './surrogate.ts';
import type { ProposeContext } from './tactic.ts';

/** What is thought of measuring candidates. */
export interface Feasibility {
  /** Probabilities that they can be measured. */
  probabilities(batch: readonly (readonly number[])[]): Float64Array;
  /** What proposals are sought at, rising: some are to be likely, some to find out where the border is. */
  readonly levels: readonly number[];
  /** Share of a round that may be below the highest level: the less, the more of the last round failed. */
  readonly bold: number;
}

/** With fewer failures than this nothing is known. */
const LEAST_FAILURES = 1;

/** Share of a round that may be bold after one in which nothing failed. */
const MOST_BOLD = 0.5;

/**
 * The best lies at the border of what can be measured: at it, just inside, and well inside, should the border be nearer than it seems. Each level
 * is a likelihood, or what so large a share of the measured trials does not reach, where few failures leave the classifier unsure of all.
 */
const LEVELS = [
  { likelihood: 0.5, share: 0.1 },
  { likelihood: 0.7, share: 0.3 },
  { likelihood: 0.9, share: 0.5 },
] as const;

/** Small: what can be measured mostly has an edge, and a soft one would be taken for room. */
const PENALTY = 1e-4;

/** Most that a classifier is taken to overrate its likelihoods by, in logits. */
const MOST_SHIFT = 4;

/**
 * One column a gene where neighbouring values are alike, one a value where they are not; 0 for genes that are not used. Few, unlike a
 * predictor's: proposals gather where the classifier errs in their favour, and with a column a level there is always such a place. Then what is
 * known of a candidate's values: what cannot be measured is often what is too large, or promises too much.
 */
function columnsOf(space: Space, genes: readonly number[], values: Readonly<Record<string, number>>): Float64Array {
  const active = space.active(genes);
  const columns = space.genes.flatMap(({ ordered, lower, upper }, index) => {
    const used = Number(active[index] === true);
    const value = genes[index]!;
    if (ordered) return [upper > lower ? (used * (value - lower)) / (upper - lower) : 0];
    return Array.from({ length: upper - lower + 1 }, (_, level) => used * Number(value === lower + level));
  });
  return Float64Array.from([...columns, ...Object.values(values)]);
}

/** Columns of candidates: their genes, what is computed of them, and what is predicted, which is often what a failure goes with. */
type Columns = (batch: readonly (readonly number[])[]) => readonly Float64Array[];

function columnsFor(space: Space, surrogate: Pick<Surrogate, 'values'>): Columns {
  return (batch) => {
    const values = surrogate.values(batch);
    return batch.map((genes, index) => columnsOf(space, genes, values[index]!));
  };
}

/**
 * Logistic regression on what the genes are, averaged over what its coefficients may be: a sum over genes, which says something of candidates
 * that are like none before, and is unsure of them. What it overrated of the last round (learnt from those before) is taken off.
 *
 * @returns undefined where nothing, or everything, failed
 */
export function fitFeasibility(
  { space, trials, bounds }: Pick<ProposeContext, 'space' | 'trials' | 'bounds'>,
  surrogate: Pick<Surrogate, 'values'>,
): Feasibility | undefined {
  const isFailed = failureBy(bounds);
  if (!trials.some(isFailed)) return undefined;
  const columns = columnsFor(space, surrogate);
  const model = fitOn(columns, trials, isFailed);
  if (!model) return undefined;
  const shift = overrating(columns, trials, isFailed);
  const probabilities = (batch: readonly (readonly number[])[]): Float64Array =>
    model.expectedProbabilities(columns(batch)).map((p) => 1 / (1 + Math.exp(shift) * (1 / p - 1)));
  const worked = probabilities(trials.filter((trial) => !isFailed(trial)).map(({ genes }) => genes)).sort();
  const last = lastRounds(trials).flatMap((round) => trials.filter((trial) => trial.round === round));
  return {
    probabilities,
    bold: MOST_BOLD * (1 - last.filter(isFailed).length / last.length) ** 2,
    levels: LEVELS.map(({ likelihood, share }) => Math.min(likelihood, worked[Math.floor(share * worked.length)]!)),
  };
}

/** Trials that a classifier learns from: the last, which are those near the border. */
const MOST_TRIALS = 600;

function fitOn(columns: Columns, all: readonly Trial[], isFailed: IsFailed): LogisticModel | undefined {
  const trials = all.slice(-MOST_TRIALS);
  const failed = trials.filter(isFailed).length;
  if (failed < LEAST_FAILURES || failed === trials.length) return undefined;
  return fitLogistic(
    columns(trials.map(({ genes }) => genes)),
    trials.map((trial) => !isFailed(trial)),
    { penalty: PENALTY },
  );
}

type IsFailed = (trial: Trial) => boolean;

/**
 * What has no values failed, and so did what oversteps a constraint that is known of measurements from elsewhere only: no predictor says where it is
 * kept. Those that every trial measures have one, which tells by how much: with it alone LINAS has .89 of the hypervolume of TNK at 50 measurements, with
 * the classifier, too, .49, and with that alone .29.
 */
function failureBy(bounds: readonly Bound[]): IsFailed {
  const measured = bounds.filter((bound) => isConstraintBound(bound) && bound.optional);
  return ({ status, values = {} }) =>
    status === 'failed' || (status === 'complete' && totalViolation(measured, values) > 0);
}

const logit = (p: number): number => Math.log(p / (1 - p));

/** Rounds that tell how good a classifier is: one alone swings from too bold to too careful and back. */
const TELLING_ROUNDS = 3;

function lastRounds(trials: readonly Trial[]): readonly number[] {
  return [...new Set(trials.map(({ round }) => round))].slice(-TELLING_ROUNDS);
}

/**
 * By how much, in logits, the last rounds went worse than classifiers that knew those before each expected; 0 where they went better. As if
 * one trial more had failed and one had not: rounds are small.
 */
function overrating(columns: Columns, trials: readonly Trial[], isFailed: IsFailed): number {
  let expected = 0;
  let worked = 0;
  let count = 0;
  for (const round of lastRounds(trials)) {
    const own = trials.filter((trial) => trial.round === round);
    const model = fitOn(
      columns,
      trials.filter((trial) => trial.round < round),
      isFailed,
    );
    if (!model) continue;
    const likely = model.expectedProbabilities(columns(own.map(({ genes }) => genes)));
    expected += likely.reduce((a, b) => a + b, 0);
    worked += own.filter((trial) => !isFailed(trial)).length;
    count += own.length;
  }
  if (count === 0) return 0;
  const mean = Math.min(0.99, Math.max(0.01, expected / count));
  return Math.min(MOST_SHIFT, Math.max(0, logit(mean) - logit((worked + 1) / (count + 2))));
}
