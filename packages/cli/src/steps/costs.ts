// What a sub-network costs, computed: each quantity of a budget behind one function.
import {
  countMacs,
  countMemory,
  countOnnxBytes,
  countParameters,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import { onnxOptions, type Quantization } from './export.ts';

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

/** Bytes of the ONNX file, as it is quantised: to the byte, for which its graph is built (some milliseconds). */
export function bytesOf({ config }: ElasticModel, subnet: SubnetConfig | undefined, { quantize }: CostShape): number {
  return countOnnxBytes(config, subnet, onnxOptions(config, quantize));
}

/** Bytes of float32 weights and of activations at their peak in one forward pass. */
export function memoryOf({ config }: ElasticModel, subnet: SubnetConfig | undefined, { tokens }: CostShape): number {
  return countMemory(config, subnet, tokens === undefined ? {} : { tokens }).total;
}
