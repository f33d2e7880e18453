// Bytes of the files that a sub-network is exported as, to the byte, without reading a weight.
import {
  canonicalBindings,
  safetensorsByteLength,
  storedShape,
  type Family,
  type FloatDtype,
  type ModelConfig,
} from '@hip/checkpoints';
import { onnxByteLength } from '@hip/onnx/model';
import { subnetBounds } from '../elastic/cost.ts';
import { validateSubnet } from '../elastic/validate.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { familyOf } from './family.ts';
import { buildExport, type OnnxOptions } from './onnx.ts';
import { subnetModelConfig, subnetSlots } from './values.ts';

/** What a checkpoint file is written as. */
export interface CheckpointBytesOptions {
  /** @defaultValue 'F32' */
  readonly dtype?: FloatDtype | undefined;
  /** @defaultValue the built-in families */
  readonly families?: readonly Family[] | undefined;
}

/**
 * Bytes of the ONNX model of a sub-network, as `exportOnnx` writes it (one file, or a model and its data files less their padding): an
 * exact objective for searches, of every dtype.
 *
 * @param options - as of `exportOnnx`; what it writes into a folder has `cache: true` where the model is a causal language model. Whether
 * weights lie on a grid is not seen here: `minima: 'auto'` counts as false
 * @throws SupernetError `invalid-subnet`, `invalid-option`
 *
 * @example
 * ```ts
 * import { countOnnxBytes, exportOnnx } from '@instatune/supernet';
 *
 * const file = await exportOnnx(model, subnet, { dtype: 'q8' });
 * console.log(countOnnxBytes(model.config, subnet, { dtype: 'q8' }) === file.byteLength); // => true
 * ```
 */
export function countOnnxBytes(config: ModelConfig, subnet?: SubnetConfig, options: OnnxOptions = {}): number {
  return onnxByteLength(buildExport(smaller(config, subnet), options));
}

/**
 * Bytes of `model.safetensors` of a sub-network, as `extractSubnet` writes it in one file.
 *
 * @throws SupernetError `invalid-subnet`, `unsupported-model` (a family that is not given)
 *
 * @example
 * ```ts
 * import { countCheckpointBytes, smallestSubnet } from '@instatune/supernet';
 *
 * const bytes = countCheckpointBytes(model.config, smallestSubnet(model.space), { dtype: 'F16' });
 * console.log(bytes < countCheckpointBytes(model.config)); // => true
 * ```
 */
export function countCheckpointBytes(
  config: ModelConfig,
  subnet?: SubnetConfig,
  options: CheckpointBytesOptions = {},
): number {
  const family = familyOf(config, options.families);
  const small = smaller(config, subnet);
  const slots = subnetSlots(config, subnet ?? fullOf(config));
  const shapes = new Map(slots.map(({ name, shape }) => [name, shape]));
  const tensors = new Map<string, readonly number[]>();
  for (const binding of canonicalBindings(family, small, slots)) {
    // Slots that share a tensor give its whole shape each.
    if (!tensors.has(binding.tensor)) {
      tensors.set(binding.tensor, storedShape(binding, shapes.get(binding.slot)!, small.patches));
    }
  }
  const { dtype } = options;
  return safetensorsByteLength([...tensors].map(([name, shape]) => ({ name, shape, ...(dtype && { dtype }) })));
}

function smaller(config: ModelConfig, subnet: SubnetConfig | undefined): ModelConfig {
  if (!subnet) return config;
  validateSubnet(subnetBounds(config), subnet);
  return subnetModelConfig(config, subnet);
}

function fullOf(config: ModelConfig): SubnetConfig {
  const widths = (full: number, each?: readonly number[]) =>
    Array.from({ length: config.layers }, (_, layer) => each?.[layer] ?? full);
  return {
    layers: config.layers,
    heads: widths(config.heads, config.layerHeads),
    ffn: widths(config.ffn, config.layerFfn),
    ...(config.layerKvHeads && { kvHeads: config.layerKvHeads }),
  };
}
