// What a sub-network costs, computed: each quantity of a budget behind one function.
import { countMacs, countParameters, type ElasticModel, type SubnetConfig } from '@instatune/supernet';
import type { Quantization } from './export.ts';

/** Bytes of a weight in the exported file: 4 bits come with a float32 scale and half a byte of zero point for 32 of them. */
const WEIGHT_BYTES: Readonly<Record<Quantization, number>> = { none: 4, int8: 1, q4: 0.5 + 4.5 / 32 };

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

/** Bytes of the exported weights, matrices and tables as they are quantised. */
export function bytesOf({ config }: ElasticModel, subnet: SubnetConfig | undefined, { quantize }: CostShape): number {
  return Math.round(WEIGHT_BYTES[quantize] * countParameters(config, subnet));
}

/** Bytes of weights and of activations at their peak in one forward pass: a layer's input, and its attention or FFN. */
export function memoryOf(model: ElasticModel, subnet: SubnetConfig | undefined, { tokens }: CostShape): number {
  const { config } = model;
  const { headSize, gated } = config;
  const hiddenSize = subnet?.hidden ?? config.hiddenSize;
  const length = config.patches ? config.maxPositions : (tokens ?? config.maxPositions);
  const layers = subnet?.layers ?? config.layers;
  let peak = 0;
  for (let layer = 0; layer < layers; layer++) {
    const heads = subnet?.skipAttention?.[layer]
      ? 0
      : (subnet?.heads[layer] ?? config.layerHeads?.[layer] ?? config.heads);
    const ffn = subnet?.skipFfn?.[layer] ? 0 : (subnet?.ffn[layer] ?? config.layerFfn?.[layer] ?? config.ffn);
    const attention = 4 * length * heads * headSize + 2 * heads * length * length;
    peak = Math.max(peak, attention, (gated ? 3 : 2) * length * ffn);
  }
  return 4 * (countParameters(config, subnet) + 2 * length * hiddenSize + peak);
}
