// Latency: public names.
export { measureLatencies, measureLatency } from './measure.ts';
export type { Latency, LatencyOptions } from './measure.ts';
export * from './table.ts';
