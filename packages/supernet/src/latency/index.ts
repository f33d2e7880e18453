// Latency: public names.
export { measureLatencies, measureLatency } from './measure.ts';
export type { Latency, LatencyOptions } from './measure.ts';
export * from './table.ts';
export { measureOn } from './runner.ts';
export type { LatencyRunner, PreparedNetwork, RunnerOptions } from './runner.ts';
export { tfjsRunner } from './tfjs-runner.ts';
export { onnxRunner, pageRunner } from './onnx-runner.ts';
export type { OnnxRuntime, OnnxSession, PlainFeed } from './onnx-runner.ts';
export { checkpointRunner } from './checkpoint-runner.ts';
export type { TimedLanguageModel } from './checkpoint-runner.ts';
