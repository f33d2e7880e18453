// Exact multiply-accumulates and parameters of a sub-network: closed forms, computed, never predicted.
import { headGroup, weightSlots, type ModelConfig } from '@hip/checkpoints';
import { elementCount, integerOption } from '../counts.ts';
import { keepsSlot, layerWidth, slicedShape, slotWidth } from './slice.ts';
import { relativeRows } from '../model/relative.ts';
import { patchCount, sequenceTokens } from './sequence-tokens.ts';
import { validateSubnet } from './validate.ts';
import type { SubnetBounds } from './types.ts';
import type { SubnetConfig } from './types.ts';

export { imageTokens } from './sequence-tokens.ts';

/** Options of {@link countMacs}. */
export interface MacsOptions {
  /** Tokens of the sequence; image models know theirs. Of a multiway model those of the text; 0: an image alone. */
  readonly tokens?: number | undefined;
  /** Positions that get logits of a language model. @defaultValue tokens */
  readonly logitPositions?: number | undefined;
}

/**
 * Multiply-accumulates of one sequence through a sub-network: matrix products only (embeddings look up, norms and activations are
 * not counted). Attention counts the full N² rectangle also for causal models, as dense kernels compute it.
 * Image-text retrieval counts an image and a text. Relative positions (DeBERTa) add the projections and products of the R rows that N tokens look
 * at. Per layer: N·D·d·(2h + 2h_kv) + 2·N²·d·h + (2 or 3 when gated)·N·D·f; without grouped queries that is N·4·D·d·h + …. D is
 * the sub-network's hidden size; a block that is left out costs nothing.
 *
 * @throws SupernetError `invalid-subnet`, `invalid-option`
 *
 * @example
 * ```ts
 * import { families } from '@hip/checkpoints';
 * import { countMacs } from '@instatune/supernet';
 *
 * const bert = families.find((family) => family.name === 'bert')!.readConfig({
 *   architectures: ['BertForSequenceClassification'], model_type: 'bert', hidden_size: 768,
 *   num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072, vocab_size: 30522,
 * });
 * console.log(countMacs(bert, undefined, { tokens: 128 })); // => 11174217216
 * ```
 */
export function countMacs(config: ModelConfig, subnet?: SubnetConfig, options: MacsOptions = {}): number {
  const sequences = sequenceTokens(config, options.tokens);
  const tokens = Math.max(...sequences);
  const logitPositions = integerOption('logitPositions', options.logitPositions ?? tokens, 0);
  if (subnet) validateSubnet(subnetBounds(config), subnet);
  const { headSize } = config;
  const d = subnet?.hidden ?? config.hiddenSize;
  const layers = subnet?.layers ?? config.layers;
  let macs = patchMacs(config, d);
  const relative = config.relativeAttention;
  const rows = relative ? relativeRows(relative, tokens).count : 0;
  const looks = relative ? Number(relative.contentToPosition) + Number(relative.positionToContent) : 0;
  for (let layer = 0; layer < layers; layer++) {
    const { heads, kvHeads, ffn } = layerWidth(config, layer, subnet);
    for (const length of sequences) {
      const projections = length * d * headSize * (2 * heads + 2 * kvHeads);
      const attention = 2 * length * length * headSize * heads;
      const positions = looks * rows * headSize * heads * (d + length);
      macs += projections + attention + positions + (config.gated ? 3 : 2) * length * d * ffn;
    }
  }
  return macs + headMacs(config, d, logitPositions);
}

/**
 * Parameters of a sub-network, tied embeddings counted once.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function countParameters(config: ModelConfig, subnet?: SubnetConfig): number {
  if (subnet) validateSubnet(subnetBounds(config), subnet);
  return weightSlots(config).reduce((sum, slot) => {
    if (!keepsSlot(config, slot, subnet)) return sum;
    return sum + elementCount(slicedShape(config, slot, slotWidth(config, slot, subnet)));
  }, 0);
}

/** What a sub-network must fit into. Searches ask tens of thousands of times: no space is built for it. */
export function subnetBounds(config: ModelConfig): SubnetBounds {
  return {
    totalLayers: config.layers,
    fullHeads: config.heads,
    fullFfn: config.ffn,
    headGroup: headGroup(config),
    fullHidden: config.hiddenSize,
    // Adapters are not the network's: whatever ranks they have, it costs the same.
    fullRank: Infinity,
    ...(config.layerHeads && { maxHeads: config.layerHeads }),
    ...(config.layerFfn && { maxFfn: config.layerFfn }),
    ...(config.layerKvHeads && { maxKvHeads: config.layerKvHeads }),
  };
}

function patchMacs(config: ModelConfig, d: number): number {
  if (!config.patches) return 0;
  const [height, width] = config.patches.patchSize;
  return patchCount(config.patches) * height * width * config.patches.channels * d;
}

function headMacs(config: ModelConfig, d: number, positions: number): number {
  const { head } = config;
  if (head === 'image-text-retrieval') return 2 * d * d;
  const isLanguageModel = head === 'causal-lm' || head === 'masked-lm';
  const rows = isLanguageModel || head === 'token-classification' ? positions : 1;
  const outputs = isLanguageModel ? config.vocabSize : config.labels;
  const width = config.headDense === 'wide' ? 2 * d : d;
  const dense = config.headDense === 'none' ? 0 : rows * d * width;
  const pooler = config.pooler ? d * d : 0;
  return pooler + dense + rows * width * outputs * (config.readout === 'distilled' ? 2 : 1);
}
