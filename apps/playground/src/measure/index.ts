// `@hip/playground/measure`: what the benchmarks measure with, too.
export { normals } from './inputs.ts';
