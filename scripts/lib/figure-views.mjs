// Which rows and columns of each stored result the benchmarks page shows, in the order it shows them.
import { attention } from './figure-views/attention.mjs';
import { instatune } from './figure-views/instatune.mjs';
import { models } from './figure-views/models.mjs';
import { project } from './figure-views/project.mjs';
import { quality } from './figure-views/quality.mjs';
import { search } from './figure-views/search.mjs';

/** As the page shows them. */
const ORDER = [
  'demo',
  'cpu-attention',
  'mask',
  'quality',
  'frontier',
  'vote-study',
  'model-decode',
  'quality-smollm2',
  'webgpu-vote',
  'instatune-known',
  'onnx-webgpu',
  'onnx-cpu',
  'serve-soak',
  'webgpu-llm',
  'webgpu',
  'instatune',
  'adapters',
  'linas',
  'peers',
  'early-stopping',
  'search-lanes',
  'search-trials',
  'predictor-table',
  'predictors',
  'nsga2',
  'playground',
  'size',
];

const views = [...attention, ...quality, ...models, ...instatune, ...search, ...project];

export const VIEWS = ORDER.map((name) => {
  const found = views.find((view) => view.name === name);
  if (!found) throw new Error(`figure-views has no view "${name}"`);
  return found;
});
