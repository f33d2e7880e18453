// Lengths of the sequences that a network is run on, which costs are stated for.
import type { ModelConfig } from '@hip/checkpoints';
import { integerOption, positiveInteger } from '../counts.ts';
import { positionLimit, textConfig } from '../model/positions.ts';

/** Lengths of the sequences that are run. */
export function sequenceTokens(config: ModelConfig, tokens: number | undefined): readonly number[] {
  const image = imageTokens(config);
  if (!config.multiway || image === undefined) {
    return [positiveInteger('tokens', tokens ?? image ?? config.maxPositions)];
  }
  const text = integerOption('tokens', tokens ?? positionLimit(textConfig(config)), 0);
  return config.head === 'image-text-retrieval' && text > 0 ? [image, text] : [image + text];
}

/** Tokens of an image model: patches and prefix tokens. */
export function imageTokens(config: ModelConfig): number | undefined {
  return config.patches && patchCount(config.patches) + config.patches.prefixTokens;
}

/** Patches of an image. */
export function patchCount({ imageSize, patchSize }: NonNullable<ModelConfig['patches']>): number {
  return Math.floor(imageSize[0] / patchSize[0]) * Math.floor(imageSize[1] / patchSize[1]);
}
