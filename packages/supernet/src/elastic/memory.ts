// Peak memory of a forward pass: weights, and the most activations that are needed at once.
import type { ModelConfig } from '@hip/checkpoints';
import { integerOption, positiveInteger } from '../counts.ts';
import { countParameters, imageTokens } from './cost.ts';
import { layerWidth } from './slice.ts';
import type { SubnetConfig } from './types.ts';

/** Options of {@link countMemory}. */
export interface MemoryOptions {
  /** Sequences or images at once. @defaultValue 1 */
  readonly batch?: number | undefined;
  /** Tokens of a sequence, those of a text and an image together; image models know theirs. @defaultValue the model's positions */
  readonly tokens?: number | undefined;
  /** Positions that get logits of a language model. @defaultValue tokens */
  readonly logitPositions?: number | undefined;
  /** Bytes of all weights, where they are not float32 (`countOnnxBytes`). @defaultValue 4 bytes a parameter */
  readonly weightBytes?: number | undefined;
}

/** Bytes of a forward pass at its peak. */
export interface MemoryCount {
  readonly weights: number;
  /** The most float32 activations that are needed at once. */
  readonly activations: number;
  readonly total: number;
}

/**
 * Bytes of a forward pass at its peak: the weights, and in the step that needs most the float32 tensors that it reads and writes and the residual
 * stream beside it, each let go of after its last use, nothing computed in place. Attention holds its T² scores (dense), and while they are
 * normalised their shares too. Inference without a cache; what a runtime keeps beside it (its own copies, pools) is not in it.
 *
 * @throws SupernetError `invalid-subnet`, `invalid-option`
 *
 * @example
 * ```ts
 * import { countMemory, smallestSubnet } from '@instatune/supernet';
 *
 * const full = countMemory(model.config, undefined, { tokens: 64 });
 * console.log(countMemory(model.config, smallestSubnet(model.space), { tokens: 64 }).total < full.total); // => true
 * ```
 */
export function countMemory(config: ModelConfig, subnet?: SubnetConfig, options: MemoryOptions = {}): MemoryCount {
  const batch = positiveInteger('batch', options.batch ?? 1);
  const tokens = positiveInteger('tokens', options.tokens ?? imageTokens(config) ?? config.maxPositions);
  const logitPositions = integerOption('logitPositions', options.logitPositions ?? tokens, 0);
  const weights = integerOption('weightBytes', options.weightBytes ?? 4 * countParameters(config, subnet), 0);
  const rows = batch * tokens;
  const stream = rows * (subnet?.hidden ?? config.hiddenSize);
  // A norm in front of a block makes a tensor of its own; one behind it takes the place of what it reads.
  const normed = config.norm.placement === 'post' ? 0 : stream;
  let most = 2 * stream;
  for (let layer = 0; layer < (subnet?.layers ?? config.layers); layer++) {
    const { heads, kvHeads, ffn } = layerWidth(config, layer, subnet);
    const [query, key] = [rows * heads * config.headSize, rows * kvHeads * config.headSize];
    const scores = batch * heads * tokens * tokens;
    const inner = rows * ffn;
    most = Math.max(
      most,
      stream + normed + query + 2 * key,
      stream + query + 2 * key + scores,
      stream + key + 2 * scores,
      stream + key + scores + query,
      stream + query + stream,
      stream + normed + (config.gated ? 2 : 1) * inner,
      stream + (config.gated ? 3 : 2) * inner,
      stream + inner + stream,
    );
  }
  const isLanguageModel = config.head === 'causal-lm' || config.head === 'masked-lm';
  if (isLanguageModel) most = Math.max(most, stream + batch * logitPositions * config.vocabSize);
  return { weights, activations: 4 * most, total: weights + 4 * most };
}
