// What a sub-network costs, computed: each quantity of a budget behind one function.
import { countMacs, countParameters, type ElasticModel, type SubnetConfig } from '@instatune/supernet';
import type { Quantization } from './export.ts';

/** Bytes of a weight in the exported file; quantised files keep embeddings, norms and biases in float32. */
const WEIGHT_BYTES: Readonly<Record<Quantization, number>> = { none: 4, int8: 1, q4: 0.5625 };

/** What costs are stated for. */
export interface CostShape {
  /** Tokens of a sequence; image models know theirs. */
  readonly tokens: number | undefined;
  readonly quantize: Quantization;
}

/** Multiply-accumulates of one sequence or image. */
export function macsOf({ config }: ElasticModel, subnet: SubnetConfig | undefined, { tokens }: CostShape): number {
  return countMacs(config, subnet, tokens === undefined ? {} : { tokens });
}

export const parametersOf = ({ config }: ElasticModel, subnet: SubnetConfig | undefined): number =>
  countParameters(config, subnet);

/** Bytes of the exported weights: those of layers as they are quantised, the rest as float32. */
export function bytesOf(model: ElasticModel, subnet: SubnetConfig | undefined, { quantize }: CostShape): number {
  const all = countParameters(model.config, subnet);
  const fixed = model.slots
    .filter(({ layer }) => layer === undefined)
    .reduce((sum, { shape }) => sum + shape.reduce((size, extent) => size * extent, 1), 0);
  return Math.round(4 * Math.min(fixed, all) + WEIGHT_BYTES[quantize] * Math.max(0, all - fixed));
}

/** Bytes of weights and of activations at their peak in one forward pass: a layer's input, and its attention or FFN. */
export function memoryOf(model: ElasticModel, subnet: SubnetConfig | undefined, { tokens }: CostShape): number {
  const { config } = model;
  const { hiddenSize, headSize, gated } = config;
  const length = config.patches ? config.maxPositions : (tokens ?? config.maxPositions);
  const layers = subnet?.layers ?? config.layers;
  let peak = 0;
  for (let layer = 0; layer < layers; layer++) {
    const heads = subnet?.heads[layer] ?? config.layerHeads?.[layer] ?? config.heads;
    const ffn = subnet?.ffn[layer] ?? config.layerFfn?.[layer] ?? config.ffn;
    const attention = 4 * length * heads * headSize + 2 * heads * length * length;
    peak = Math.max(peak, attention, (gated ? 3 : 2) * length * ffn);
  }
  return 4 * (countParameters(config, subnet) + 2 * length * hiddenSize + peak);
}
