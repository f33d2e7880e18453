// LINAS (arXiv 2205.10358), done right: predictors of the measured objectives, an inner search on them, the best of it measured next.
import { checkPredictor, predictorSetting, type PredictorChoice } from './predictor.ts';
import { acquire, RULES } from './acquisition.ts';
import { sharesOf, successRates } from './credits.ts';
import { fitFeasibility } from './feasibility.ts';
import { innerSearch } from './inner.ts';
import { fitSurrogate } from './surrogate.ts';
import { randomCandidates, seenKeys } from './sampling.ts';
import { checkSettings } from './settings.ts';
import type { Tactic } from './tactic.ts';

export interface LinasOptions {
  /** Candidates a round, the random first one included. @defaultValue 50 */
  readonly population?: number;
  /** Evaluations of the inner search, on predictors. @defaultValue 20000 */
  readonly innerEvaluations?: number;
  /** Survivors of the inner search's generations. @defaultValue 100 */
  readonly innerPopulation?: number;
  /** What learns the measured objectives, one for each: a name, or a regressor of @instatune/predictors. @defaultValue 'gaussian-process' */
  readonly predictor?: PredictorChoice;
}

/**
 * Each round: fit one predictor per measured objective on everything measured so far (genes as masked level features), run NSGA-II on predictors and
 * exact objectives, measure the candidates that promise the most hypervolume beyond what is measured. Differs from DyNAS-T in that nothing equal
 * is measured twice, the last batch is measured, and the result is the non-dominated set of measurements, not of predictions. Part of a round is
 * proposed for what it may be and for what it teaches, the more of it the more that paid; candidates that can hardly be measured (others like
 * them failed) are left out.
 */
export function linas(options: LinasOptions = {}): Tactic {
  const settings = checkSettings(
    'linas',
    options,
    ['population', 'innerEvaluations', 'innerPopulation', 'predictor'],
    ['population', 'innerEvaluations', 'innerPopulation'],
  );
  const {
    population = 50,
    innerEvaluations = 20_000,
    innerPopulation = 100,
    predictor = 'gaussian-process',
  } = settings;
  checkPredictor(predictor);
  return {
    name: 'linas',
    settings: { population, innerEvaluations, innerPopulation, predictor: predictorSetting(predictor) },
    population,
    async propose(context) {
      const { space, limit, random, signal, bounds, trials, pending } = context;
      const seen = seenKeys(context);
      const surrogate = await fitSurrogate(context, predictor);
      if (!surrogate)
        return {
          candidates: randomCandidates(context, limit, 'random', seen),
          info: { fallback: 'too few complete trials to fit predictors' },
        };
      const feasibility = fitFeasibility(context);
      const predicted = await innerSearch({
        space,
        surrogate,
        bounds,
        feasibility,
        evaluations: innerEvaluations,
        population: innerPopulation,
        seed: random.uint32(),
        initial: [],
        signal,
      });
      const rates = successRates(space, trials, bounds, RULES);
      const shares = sharesOf(rates, limit);
      const open = predicted.filter(({ key, risky = false }) => !risky && !seen.has(key));
      const candidates = [
        ...acquire({ space, trials, pending, bounds, surrogate, predicted: open, shares, random, seen }),
      ];
      if (candidates.length < limit)
        candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
      return { candidates, info: { ...surrogate.info, inner: predicted.length, shares, rates } };
    },
  };
}
