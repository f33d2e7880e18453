// What the forward pass computes: configurations that ask for more are refused in words, before a weight is read.
import type { ModelConfig } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';

/** What a configuration asks for that is not computed here; empty where all is. */
export function missingFeatures(config: ModelConfig): readonly string[] {
  const { norm, rope, ropeLocal } = config;
  const isPartial = (one: typeof rope) => one !== undefined && 2 * one.inverseFrequencies.length !== config.headSize;
  const features: Readonly<Record<string, boolean>> = {
    'norms on the output of attention and FFN': norm.placement === 'output' || norm.placement === 'sandwich',
    'norms with an offset': (norm.offset ?? 0) !== 0,
    'query and key norms over all heads': config.qkNorm && config.qkNormSpan === 'all-heads',
    'layers without rotation': config.rotatedLayers?.includes(false) ?? false,
    'partial rotation': isPartial(rope) || isPartial(ropeLocal),
    longrope: rope?.long !== undefined,
    'soft-caps of attention scores': config.attentionSoftcap !== undefined,
    'soft-caps of logits': config.logitSoftcap !== undefined,
    'scaled embeddings': (config.embeddingScale ?? 1) !== 1,
    'scaled residuals': (config.residualScale ?? 1) !== 1,
    'scaled logits': (config.logitScale ?? 1) !== 1,
  };
  return Object.keys(features).filter((name) => features[name]);
}

/** @throws SupernetError `unsupported-model` naming what the model needs and this package does not compute */
export function requireComputable(config: ModelConfig): void {
  const features = missingFeatures(config);
  if (features.length === 0) return;
  throw new SupernetError(
    'unsupported-model',
    `a ${config.family} model needs what this package does not compute: ${features.join(', ')}. @hip/checkpoints reads it all the same`,
    { family: config.family, features },
  );
}
