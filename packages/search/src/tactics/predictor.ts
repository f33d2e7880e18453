// Which predictor learns a measured objective: by name, so that a study can be resumed from its file, or a regressor of one's own.
import { auto, boostedTrees, gaussianProcess, randomForest, ridge, svr, type Regressor } from '@instatune/predictors';
import { SearchError } from '../errors.ts';

const BUILDERS = {
  'gaussian-process': gaussianProcess,
  ridge,
  svr,
  'random-forest': randomForest,
  'boosted-trees': boostedTrees,
  auto,
} as const;

/** Predictors that a study's file can name: those of @instatune/predictors, and `auto`, their cross-validated choice. */
export type PredictorName = keyof typeof BUILDERS;

export const PREDICTOR_NAMES = Object.keys(BUILDERS) as readonly PredictorName[];

/** A name, or a regressor (then `resume` needs the tactic object again). */
export type PredictorChoice = PredictorName | Regressor;

/** What a study remembers of the choice. */
export function predictorSetting(choice: PredictorChoice): string {
  return typeof choice === 'string' ? choice : 'custom';
}

/**
 * @param groups gene of each feature column: one length scale a gene
 * @param trend whether a Gaussian process has a trend: for whole fronts, which reach far from what is measured
 * @throws SearchError `invalid-option` for an unknown name
 */
export function regressorOf(choice: PredictorChoice, groups: readonly number[], trend = false): Regressor {
  if (typeof choice !== 'string') return choice;
  // Columns are 0 or 1 already; one length scale a gene beats one for all (BERT-synth at 100 measurements: .982 against .974 of the exact hypervolume).
  if (choice === 'gaussian-process') return gaussianProcess({ ard: groups, standardize: false, trend });
  return BUILDERS[choice]();
}

/** @throws SearchError `invalid-option` where a study's settings name a predictor that is not built in */
export function checkPredictor(choice: PredictorChoice): PredictorChoice {
  if (typeof choice === 'string' ? Object.hasOwn(BUILDERS, choice) : typeof choice?.fit === 'function') return choice;
  throw new SearchError(
    'invalid-option',
    `no predictor ${JSON.stringify(choice)}: use ${PREDICTOR_NAMES.join(', ')}, or pass the tactic with a regressor of your own`,
    { predictor: choice },
  );
}
