// Which candidates can be measured at all: learnt from those that could and those that could not.
import { fitLogistic } from '@instatune/predictors';
import type { Space } from '../space.ts';
import type { ProposeContext } from './tactic.ts';

/** What is thought of measuring candidates. */
export interface Feasibility {
  /** Probabilities that they can be measured. */
  probabilities(batch: readonly (readonly number[])[]): Float64Array;
  /** What a proposal needs: a half, and more the more of the last rounds failed. */
  readonly needed: number;
}

/** Fewer failures than this may have been anything. */
const LEAST_FAILURES = 2;

/** What a proposal needs at most, after rounds that failed whole: the best lies at the border of what can be measured, where predictions err. */
const CERTAIN = 0.9;

/** Small: what can be measured mostly has an edge, and a soft one would be taken for room. */
const PENALTY = 1e-4;

/** What a round counts against the one after it. */
const MEMORY = 0.6;

/**
 * One column a gene where neighbouring values are alike, one a value where they are not; 0 for genes that are not used. Few, unlike a
 * predictor's: proposals gather where the classifier errs in their favour, and with a column a level there is always such a place.
 */
function columnsOf(space: Space, genes: readonly number[]): Float64Array {
  const active = space.active(genes);
  return Float64Array.from(
    space.genes.flatMap(({ ordered, lower, upper }, index) => {
      const used = Number(active[index] === true);
      const value = genes[index]!;
      if (ordered) return [upper > lower ? (used * (value - lower)) / (upper - lower) : 0];
      return Array.from({ length: upper - lower + 1 }, (_, level) => used * Number(value === lower + level));
    }),
  );
}

/**
 * Logistic regression on what the genes are: a sum over genes, which says something of candidates that are like none before, where a smooth
 * classifier would go back to what most are.
 *
 * @returns undefined where nothing, or everything, failed
 */
export function fitFeasibility({ space, trials }: ProposeContext): Feasibility | undefined {
  const failed = trials.filter(({ status }) => status === 'failed').length;
  if (failed < LEAST_FAILURES || failed === trials.length) return undefined;
  const model = fitLogistic(
    trials.map(({ genes }) => columnsOf(space, genes)),
    trials.map(({ status }) => status === 'complete'),
    { penalty: PENALTY },
  );
  return {
    needed: 0.5 + (CERTAIN - 0.5) * failureRate(trials),
    probabilities: (batch) => model.probabilities(batch.map((genes) => columnsOf(space, genes))),
  };
}

/** Share of trials that failed, the last round counting most. */
function failureRate(trials: ProposeContext['trials']): number {
  const last = trials.at(-1)!.round;
  let failures = 0;
  let total = 0;
  for (const { round, status } of trials) {
    const weight = MEMORY ** (last - round);
    total += weight;
    if (status === 'failed') failures += weight;
  }
  return failures / total;
}
