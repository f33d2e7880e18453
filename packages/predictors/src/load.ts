// Saved models back to models.
import { SAVE_VERSION, type Model } from './core/model.ts';
import { SavedState } from './core/saved.ts';
import { loadAuto } from './ensemble/auto.ts';
import { loadStacking } from './ensemble/stacking.ts';
import { loadGaussianProcess } from './gp/posterior.ts';
import { loadRidge } from './linear/ridge.ts';
import { loadNearestNeighbours } from './neighbours/k-nearest.ts';
import { loadSvr } from './svm/svr.ts';
import { loadBoostedTrees } from './trees/boosting.ts';
import { loadRandomForest } from './trees/forest.ts';

const LOADERS: ReadonlyMap<string, (state: SavedState, features: number) => Model> = new Map<
  string,
  (state: SavedState, features: number) => Model
>([
  ['ridge', loadRidge],
  ['svr', loadSvr],
  ['gaussian-process', loadGaussianProcess],
  ['random-forest', loadRandomForest],
  ['boosted-trees', loadBoostedTrees],
  ['nearest-neighbours', loadNearestNeighbours],
  ['stacking', (state, features) => loadStacking(state, features, loadModel)],
  ['auto', (state, features) => loadAuto(state, features, loadModel)],
]);

/**
 * The model that was saved: its predictions are equal to the bit.
 *
 * @param saved what `JSON.parse` gave
 * @throws PredictorError `invalid-state` where it is damaged or of a kind this package has not; `unsupported-version` where a newer package saved it
 *
 * @example
 * ```ts
 * import { loadModel, ridge } from '@instatune/predictors';
 *
 * const model = ridge().fit([[0], [1], [2]], [1, 3, 5]);
 * const again = loadModel(JSON.parse(JSON.stringify(model)));
 * console.log(again.predict([[7]])[0] === model.predict([[7]])[0]); // => true
 * ```
 */
export function loadModel(saved: unknown): Model {
  const envelope = new SavedState('model', saved).header('instatune-model', SAVE_VERSION);
  const kind = envelope.get('kind');
  const load = typeof kind === 'string' ? LOADERS.get(kind) : undefined;
  if (!load) return envelope.fail('kind', `one of ${[...LOADERS.keys()].join(', ')}`);
  return load(new SavedState(kind as string, envelope.get('state')), envelope.integer('features', 1));
}
