// `@instatune/search/node`: study files, worker threads and problem modules (Node only).
export { createStudy, listStudies, openStudy, readStudy, type OpenOptions } from './study/sqlite.ts';
export { readCandidates, readMeasurements, type ReadMeasurementsOptions } from './study/read-measurements.ts';
export { APPLICATION_ID, SCHEMA_VERSION } from './study/schema.ts';
export { workerPool, type WorkerPoolOptions } from './evaluate/worker-pool.ts';
export { processPool, type ProcessPoolOptions } from './evaluate/process-pool.ts';
export type { PoolOptions } from './evaluate/pool.ts';
export { isBuiltIn, loadProblem, moduleOf, problemSpecifier, type ProblemModule } from './evaluate/load-problem.ts';
