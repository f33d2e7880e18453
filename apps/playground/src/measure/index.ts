// `@hip/playground/measure`: what the benchmarks measure with, too.
export { groupQueryModel, type GroupQueryOptions } from './attention-model.ts';
export { normals } from './inputs.ts';
