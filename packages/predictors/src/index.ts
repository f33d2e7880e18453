// The public face of @instatune/predictors.
export { PredictorError, type PredictorErrorCode } from './errors.ts';
export {
  defineRegressor,
  type FitOptions,
  type Model,
  type Prediction,
  type Regressor,
  type SavedModel,
  type Steps,
} from './core/model.ts';
export type { Rows, Table } from './core/table.ts';
export { ridge, type RidgeModel, type RidgeOptions } from './linear/ridge.ts';
export { fitLogistic, type LogisticModel, type LogisticOptions } from './linear/logistic.ts';
export { svr, type SvrModel, type SvrOptions } from './svm/svr.ts';
export { gaussianProcess, type GaussianProcessOptions } from './gp/gaussian-process.ts';
export type { GaussianProcessModel } from './gp/posterior.ts';
export { randomForest, type RandomForestModel, type RandomForestOptions } from './trees/forest.ts';
export type { ColumnDomain } from './trees/marginals.ts';
export { boostedTrees, type BoostedTreesModel, type BoostedTreesOptions } from './trees/boosting.ts';
export {
  nearestNeighbours,
  type NearestNeighboursModel,
  type NearestNeighboursOptions,
} from './neighbours/k-nearest.ts';
export { stacking, type StackingModel, type StackingOptions } from './ensemble/stacking.ts';
export { auto, type AutoModel, type AutoOptions } from './ensemble/auto.ts';
export { loadModel } from './load.ts';
export {
  loadEncoder,
  oneHotEncoder,
  ordinalEncoder,
  thermometerEncoder,
  type Encoder,
  type Encoding,
  type Gene,
  type Mask,
  type SavedEncoder,
} from './encoders/encoder.ts';
export {
  fitStandardizer,
  loadStandardizer,
  type SavedStandardizer,
  type Standardizer,
} from './encoders/standardizer.ts';
export { mape, rmse } from './metrics/errors.ts';
export { kendallTau, spearman } from './metrics/ranks.ts';
export { kFold, type Fold, type KFoldOptions } from './validation/k-fold.ts';
export { crossValidate, type CrossValidateOptions, type CrossValidation } from './validation/cross-validate.ts';
