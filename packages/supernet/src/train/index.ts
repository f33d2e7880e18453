// Training: public names.
export { AdamW } from './adamw.ts';
export type { AdamWOptions, MomentArrays } from './adamw.ts';
export type { AverageOptions } from './average.ts';
export * from './evaluate.ts';
export { fineTune, fineTuneSteps } from './fine-tune.ts';
export type { GradientSet } from './gradients.ts';
export {
  createTargets,
  crossEntropyRows,
  disposeTargets,
  disposeTeacher,
  objectiveLoss,
  teacherDistribution,
} from './losses.ts';
export type { LossTerms, OutputKind, Targets, TeacherDistribution } from './losses.ts';
export { compareEmbeddings, embed } from './embeddings.ts';
export type { CompareOptions, EmbedOptions, EmbeddingComparison } from './embeddings.ts';
export * from './metrics.ts';
export { batchTargets, outputKind, outputRows } from './outputs.ts';
export type { CheckpointOptions, FineTuneOptions, Precision } from './options.ts';
export type { FineTuneProgress, FineTuneResult, LossPoint } from './progress.ts';
export type { RecordingEvent, RecordingOptions, RecordingStatistics } from '../webgpu/recording-report.ts';
export { SeededRandom, deriveSeed, shuffledIndices } from './random.ts';
export type { RandomState } from './random.ts';
export * from './schedule.ts';
export * from './store.ts';
export { planStep } from './strategy.ts';
export type { ObjectiveOptions, PassPlan, SoftSource, Strategy } from './strategy.ts';
export { askTeacher } from './teacher.ts';
export type { Teacher, TeacherContext } from './teacher.ts';
export { TeacherCache } from './teacher-cache.ts';
export type { TeacherCacheOptions, TeacherCacheStatistics } from './teacher-cache.ts';
