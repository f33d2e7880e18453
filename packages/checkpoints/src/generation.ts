// `@hip/checkpoints/generation`: choosing tokens from logits; pure functions over numbers, for every engine.
export {
  candidateLogProbabilities,
  candidatesOf,
  penalizeCandidates,
  type Candidates,
} from './generation/candidates.ts';
export type { GenerationDefaults } from './generation/generation-config.ts';
export * from './generation/log-probabilities.ts';
export * from './generation/penalty.ts';
export * from './generation/random.ts';
export * from './generation/sampling.ts';
export * from './generation/settings.ts';
