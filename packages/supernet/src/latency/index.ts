// Latency: public names.
export { measureLatencies, measureLatency } from './measure.ts';
export type { Latency, LatencyOptions } from './measure.ts';
export * from './table.ts';
export { checkpointRunner, measureOn, onnxRunner, pageRunner, tfjsRunner } from './runners.ts';
export type {
  LatencyRunner,
  OnnxRuntime,
  OnnxSession,
  PlainFeed,
  PreparedNetwork,
  RunnerOptions,
  TimedLanguageModel,
} from './runners.ts';
