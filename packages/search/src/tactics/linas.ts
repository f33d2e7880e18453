// LINAS (arXiv 2205.10358), done right: predictors of the measured objectives, an inner search on them, the best of it measured next.
import { Breath } from '@instatune/nsga2';
import { checkPredictor, predictorSetting, type PredictorChoice } from './predictor.ts';
import { acquire, RULES } from './acquisition.ts';
import { canRank, cornerCandidates } from './corners.ts';
import { gainRates, sharesOf } from './credits.ts';
import { edgeCandidates } from './edges.ts';
import { fitFeasibility } from './feasibility.ts';
import { innerSearch, predict, type Predicted } from './inner.ts';
import { parzenCandidates } from './parzen.ts';
import { fitSurrogate } from './surrogate.ts';
import { randomCandidates, seenKeys } from './sampling.ts';
import { checkSettings } from './settings.ts';
import { feasibleTrials } from '../run/front.ts';
import { bestFronts } from './ranked.ts';
import type { ProposeContext, Tactic } from './tactic.ts';

export interface LinasOptions {
  /**
   * Candidates a round, the random first one included. @defaultValue 20 at first, then a tenth of what is measured, 5 to 50: predictors of few
   * trials are better than none, and each round knows more
   */
  readonly population?: number;
  /** Evaluations of the inner search, on predictors. @defaultValue 10000 */
  readonly innerEvaluations?: number;
  /** Survivors of the inner search's generations. @defaultValue 100 */
  readonly innerPopulation?: number;
  /** What learns the measured objectives, one for each: a name, or a regressor of @instatune/predictors. @defaultValue 'gaussian-process' */
  readonly predictor?: PredictorChoice;
}

/** Genes of the best fronts that were measured. */
function bestKnown({ space, trials, bounds }: ProposeContext): readonly (readonly number[])[] {
  return bestFronts(feasibleTrials(trials, bounds), ({ values }) => space.minimised(values)).map(({ genes }) => genes);
}

/** Candidates near what is good, of which the predictors choose one. */
const NEAR = 20;

/** Predicted in one go. */
const AT_ONCE = 100;

const distinct = (predicted: readonly Predicted[]): readonly Predicted[] => [
  ...new Map(predicted.map((one) => [one.key, one])).values(),
];

/** Candidates of the first round, and least and most of the others. */
const FIRST = 20;
const LEAST = 5;
const MOST = 50;

const sizeAfter = (trials: number): number =>
  trials === 0 ? FIRST : Math.min(MOST, Math.max(LEAST, Math.ceil(trials / 10)));

/**
 * Each round: fit one predictor per measured objective on everything measured so far (genes as masked level features), run NSGA-II on predictors and
 * exact objectives, measure the candidates that promise the most hypervolume beyond what is measured, some of them moved onto the bounds of real
 * variables. Differs from DyNAS-T in that nothing equal is measured twice, the last batch is measured, and the result is the non-dominated set of
 * measurements, not of predictions. Once what is predicted to be on the front no longer is, part of a round is proposed for what it may be and
 * for what it teaches, the more of it the more that paid. What can hardly be measured (others like it failed) is weighed by how likely it can.
 * Where no predictor ranks what is measured, corners of the space are.
 */
export function linas(options: LinasOptions = {}): Tactic {
  const settings = checkSettings(
    'linas',
    options,
    ['population', 'innerEvaluations', 'innerPopulation', 'predictor'],
    ['population', 'innerEvaluations', 'innerPopulation'],
  );
  const { population, innerEvaluations = 10_000, innerPopulation = 100, predictor = 'gaussian-process' } = settings;
  checkPredictor(predictor);
  return {
    name: 'linas',
    settings: {
      ...(population === undefined ? {} : { population }),
      innerEvaluations,
      innerPopulation,
      predictor: predictorSetting(predictor),
    },
    population: population ?? MOST,
    ...(population === undefined ? { sizeAfter } : {}),
    async propose(context) {
      const { space, limit, random, signal, bounds, trials, pending, effort = 1 } = context;
      const seen = seenKeys(context);
      if (!(await canRank(context, predictor))) {
        const corners = cornerCandidates(context, limit, seen);
        return {
          candidates: [...corners, ...randomCandidates(context, limit - corners.length, 'random', seen)],
          info: { corners: corners.length },
        };
      }
      const surrogate = await fitSurrogate(context, predictor, { trend: true });
      if (!surrogate)
        return {
          candidates: randomCandidates(context, limit, 'random', seen),
          info: { fallback: 'too few complete trials to fit predictors' },
        };
      const feasibility = fitFeasibility(context, surrogate);
      const predicted = await innerSearch({
        space,
        surrogate,
        bounds,
        feasibility,
        evaluations: Math.max(innerPopulation, Math.round(effort * innerEvaluations)),
        population: innerPopulation,
        seed: random.uint32(),
        // At the border of what can be measured the best is found from what is known to be inside.
        initial: feasibility ? bestKnown(context).slice(0, innerPopulation / 2) : [],
        signal,
      });
      const rates = gainRates(space, trials, bounds, RULES);
      const shares = sharesOf(rates, limit);
      const breath = new Breath({ signal });
      const near = await parzenCandidates(space, trials, bounds, random, NEAR * shares['local']!, breath);
      const thoughtOf = async (batch: readonly (readonly number[])[]): Promise<readonly Predicted[]> => {
        const thought: Predicted[] = [];
        for (let start = 0; start < batch.length; start += AT_ONCE) {
          thought.push(...predict({ space, surrogate, bounds, feasibility }, batch.slice(start, start + AT_ONCE)));
          await breath.take();
        }
        return distinct(thought).filter(({ level = 1 }) => level > 0);
      };
      const local = await thoughtOf(near);
      // First: a predicted front of real values is longer than what a batch is chosen from.
      const edges = await thoughtOf(await edgeCandidates(space, predicted, breath));
      const open = [...edges, ...predicted].filter(({ key }) => !seen.has(key));
      const candidates = [
        ...(await acquire({
          space,
          trials,
          pending,
          bounds,
          surrogate,
          predicted: open,
          local,
          bold: feasibility?.bold,
          shares,
          random,
          seen,
          breath,
        })),
      ];
      if (candidates.length < limit)
        candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
      return { candidates, info: { ...surrogate.info, inner: predicted.length, shares, rates } };
    },
  };
}
