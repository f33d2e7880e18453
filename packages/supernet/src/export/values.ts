// The weights of a sub-network as arrays: prefixes of the full weights.
import { addAdapter } from '../adapters/merge.ts';
import { keepsSlot, keptAxes, layerWidth, sliceArray, slotWidth } from '../elastic/slice.ts';
import { fullSubnet } from '../elastic/subnets.ts';
import { validateSubnet } from '../elastic/validate.ts';
import type { SpaceChoices, SubnetConfig } from '../elastic/types.ts';
import { weightSlots, type ModelConfig, type WeightSlot } from '@hip/checkpoints';
import { requireFinite } from '../model/finite.ts';
import { TransformerModel } from '../model/transformer.ts';
import type { ElasticModel } from '../model/types.ts';

/** Configuration of a sub-network as a model of its own. */
export function subnetModelConfig(config: ModelConfig, subnet: SubnetConfig): ModelConfig {
  const widths = Array.from({ length: subnet.layers }, (_, layer) => layerWidth(config, layer, subnet));
  const heads = widths.map((width) => width.heads);
  const ffn = widths.map((width) => width.ffn);
  const kvHeads = widths.map((width) => width.kvHeads);
  // Query heads per key/value head, of the layers that have any.
  const groups = new Set(heads.flatMap((count, layer) => (count > 0 ? [count / (kvHeads[layer] as number)] : [])));
  const isGrouped = groups.size <= 1;
  const maxHeads = Math.max(...heads) || config.heads;
  const maxFfn = Math.max(...ffn) || config.ffn;
  const unequal = (values: readonly number[], most: number): boolean => values.some((value) => value !== most);
  const { layerHeads: _heads, layerFfn: _ffn, layerKvHeads: _kv, slidingWindows, ...rest } = config;
  return {
    ...rest,
    hiddenSize: subnet.hidden ?? config.hiddenSize,
    layers: subnet.layers,
    heads: isGrouped ? maxHeads : config.heads,
    kvHeads: isGrouped && groups.size > 0 ? Math.max(...kvHeads) : config.kvHeads,
    ffn: maxFfn,
    ...((!isGrouped || unequal(heads, maxHeads)) && { layerHeads: heads }),
    ...(!isGrouped && { layerKvHeads: kvHeads }),
    ...(unequal(ffn, maxFfn) && { layerFfn: ffn }),
    ...(slidingWindows && { slidingWindows: slidingWindows.slice(0, subnet.layers) }),
  };
}

/** Values of a slot in the sub-network's shape, adapters merged into them. @throws SupernetError `non-finite` (a weight) */
export async function subnetValue(model: ElasticModel, subnet: SubnetConfig, slot: WeightSlot): Promise<Float32Array> {
  const variable = model.weights.get(slot.name);
  const data = (await variable!.data()) as Float32Array;
  const kept = sliceArray(data, keptAxes(model.config, slot, slotWidth(model.config, slot, subnet)));
  await addAdapter(model, subnet, slot, kept);
  requireFinite(slot.name, kept);
  return kept;
}

/**
 * Values of every slot the sub-network keeps, in the sub-network's shapes, adapters merged into them.
 *
 * @throws SupernetError `invalid-subnet`, `non-finite` (a weight)
 */
export async function subnetValues(model: ElasticModel, subnet: SubnetConfig): Promise<Map<string, Float32Array>> {
  validateSubnet(model.space, subnet);
  const values = new Map<string, Float32Array>();
  for (const slot of model.slots) {
    if (!keepsSlot(model.config, slot, subnet)) continue;
    values.set(slot.name, await subnetValue(model, subnet, slot));
  }
  return values;
}

/**
 * A sub-network as a model of its own, in memory: no slicing at run time, so it is what to time and to deploy. Adapters are merged into it.
 * The caller disposes it; the original is untouched.
 *
 * @throws SupernetError `invalid-subnet`, `non-finite` (a weight)
 *
 * @example
 * ```ts
 * const small = await extractModel(model, smallestSubnet(model.space));
 * ```
 */
export async function extractModel(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  choices: SpaceChoices = {},
): Promise<ElasticModel> {
  const config = subnetModelConfig(model.config, subnet);
  return new TransformerModel(config, await subnetValues(model, subnet), choices, model.source, model.generation);
}

/** Slots of a sub-network as a model of its own. */
export function subnetSlots(config: ModelConfig, subnet: SubnetConfig): ReturnType<typeof weightSlots> {
  return weightSlots(subnetModelConfig(config, subnet));
}
