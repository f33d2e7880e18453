// Exact multiply-accumulates and parameters of a sub-network: closed forms, computed, never predicted.
import { headGroup, weightSlots, type ModelConfig } from '@hip/checkpoints';
import { elementCount, integerOption, positiveInteger } from '../counts.ts';
import { layerWidth, slicedShape } from './slice.ts';
import { positionLimit, textConfig } from '../model/positions.ts';
import { relativeRows } from '../model/relative.ts';
import { validateSubnet } from './space.ts';
import type { SubnetConfig } from './space.ts';

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
 * at. Per layer: N·D·d·(2h + 2h_kv) + 2·N²·d·h + (2 or 3 when gated)·N·D·f; without grouped queries that is N·4·D·d·h + ….
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
  if (subnet) validateSubnet(fullModel(config), subnet);
  const { hiddenSize: d, headSize } = config;
  const layers = subnet?.layers ?? config.layers;
  let macs = patchMacs(config);
  const relative = config.relativeAttention;
  const rows = relative ? relativeRows(relative, tokens).count : 0;
  const looks = relative ? Number(relative.contentToPosition) + Number(relative.positionToContent) : 0;
  for (let layer = 0; layer < layers; layer++) {
    const { heads, ffn } = layerWidth(config, layer, subnet);
    for (const length of sequences) {
      const projections = length * d * headSize * (2 * heads + 2 * (heads / headGroup(config)));
      const attention = 2 * length * length * headSize * heads;
      const positions = looks * rows * headSize * heads * (d + length);
      macs += projections + attention + positions + (config.gated ? 3 : 2) * length * d * ffn;
    }
  }
  return macs + headMacs(config, logitPositions);
}

/**
 * Parameters of a sub-network, tied embeddings counted once.
 *
 * @throws SupernetError `invalid-subnet`
 */
export function countParameters(config: ModelConfig, subnet?: SubnetConfig): number {
  if (subnet) validateSubnet(fullModel(config), subnet);
  const layers = subnet?.layers ?? config.layers;
  return weightSlots(config).reduce((sum, slot) => {
    if (slot.layer === undefined) return sum + elementCount(slot.shape);
    if (slot.layer >= layers) return sum;
    return sum + elementCount(slicedShape(config, slot, layerWidth(config, slot.layer, subnet)));
  }, 0);
}

/** Lengths of the sequences that are run. */
function sequenceTokens(config: ModelConfig, tokens: number | undefined): readonly number[] {
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

/** What a sub-network must fit into. Searches ask tens of thousands of times: no space is built for it. */
function fullModel(config: ModelConfig): Parameters<typeof validateSubnet>[0] {
  return {
    totalLayers: config.layers,
    fullHeads: config.heads,
    fullFfn: config.ffn,
    headGroup: headGroup(config),
    ...(config.layerHeads && { maxHeads: config.layerHeads }),
    ...(config.layerFfn && { maxFfn: config.layerFfn }),
  };
}

function patchCount({ imageSize, patchSize }: NonNullable<ModelConfig['patches']>): number {
  return Math.floor(imageSize[0] / patchSize[0]) * Math.floor(imageSize[1] / patchSize[1]);
}

function patchMacs(config: ModelConfig): number {
  if (!config.patches) return 0;
  const [height, width] = config.patches.patchSize;
  return patchCount(config.patches) * height * width * config.patches.channels * config.hiddenSize;
}

function headMacs(config: ModelConfig, positions: number): number {
  const { hiddenSize: d, head } = config;
  if (head === 'image-text-retrieval') return 2 * d * d;
  const isLanguageModel = head === 'causal-lm' || head === 'masked-lm';
  const rows = isLanguageModel || head === 'token-classification' ? positions : 1;
  const outputs = isLanguageModel ? config.vocabSize : config.labels;
  const width = config.headDense === 'wide' ? 2 * d : d;
  const dense = config.headDense === 'none' ? 0 : rows * d * width;
  const pooler = config.pooler ? d * d : 0;
  return pooler + dense + rows * width * outputs * (config.readout === 'distilled' ? 2 : 1);
}
