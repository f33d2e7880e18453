// What an adapter file holds, without its numbers: tensors by name and shape, module by module.
import { canonicalBindings, safetensorsByteLength, storedShape, type Family, type FloatDtype } from '@hip/checkpoints';
import { fullSubnet } from '../../elastic/subnets.ts';
import type { SubnetConfig } from '../../elastic/types.ts';
import { familyOf } from '../../export/family.ts';
import { subnetModelConfig, subnetSlots } from '../../export/values.ts';
import { modelSpace } from '../../model/space.ts';
import { keptAdapters, type AdaptedShape, type KeptAdapter } from '../count.ts';
import { PEFT_PREFIX, linearModules, type LinearModule } from './modules.ts';

/** A module with adapters: of several fused products those that have one. */
export interface FileModule {
  readonly module: LinearModule;
  /** By the slot of each product, in order. */
  readonly adapters: readonly KeptAdapter[];
  /** Of all of them together. */
  readonly rank: number;
}

/** A slot with values of its own beside the adapters. */
export interface FileSlot {
  readonly slot: string;
  readonly tensor: string;
  readonly shape: readonly number[];
}

/** Everything in an adapter file. */
export interface AdapterFile {
  readonly modules: readonly FileModule[];
  readonly replaced: readonly FileSlot[];
}

/** @throws SupernetError `invalid-subnet`, `unsupported-model` (a family that is not given) */
export function adapterFile(model: AdaptedShape, subnet?: SubnetConfig, families?: readonly Family[]): AdapterFile {
  const { config, adapters } = model;
  const family = familyOf(config, families);
  const whole = subnet ?? fullSubnet(modelSpace(config, {}));
  const small = subnetModelConfig(config, whole);
  const bySlot = new Map(keptAdapters(model, subnet).map((adapter) => [adapter.slot.name, adapter]));
  const modules = [...linearModules(family, small).values()].flatMap((module): FileModule[] => {
    const own = module.parts.flatMap(({ slot }) => bySlot.get(slot.name) ?? []);
    return own.length > 0 ? [{ module, adapters: own, rank: own.reduce((sum, { rank }) => sum + rank, 0) }] : [];
  });
  const slots = subnetSlots(config, whole).filter(({ name }) => adapters?.replaced.includes(name));
  const replaced = canonicalBindings(family, small, slots).map((binding, i) => {
    const shape = storedShape(binding, slots[i]!.shape, small.patches);
    return { slot: binding.slot, tensor: binding.tensor, shape };
  });
  return { modules, replaced };
}

/** Names and shapes of the tensors, in the order of the file. */
export function fileTensors({ modules, replaced }: AdapterFile): { name: string; shape: readonly number[] }[] {
  return [
    ...modules.flatMap(({ module: { name, inputs, outputs }, rank }) => [
      { name: `${PEFT_PREFIX}${name}.lora_A.weight`, shape: [rank, inputs] },
      { name: `${PEFT_PREFIX}${name}.lora_B.weight`, shape: [outputs, rank] },
    ]),
    ...replaced.map(({ tensor, shape }) => ({ name: `${PEFT_PREFIX}${tensor}`, shape })),
  ];
}

/** Options of {@link countAdapterBytes}. */
export interface AdapterBytesOptions {
  /** @defaultValue 'F32' */
  readonly dtype?: FloatDtype | undefined;
  /** @defaultValue the built-in families */
  readonly families?: readonly Family[] | undefined;
}

/**
 * Bytes of `adapter_model.safetensors` of a sub-network, as `saveAdapters` writes it: what each of many adapters over one base takes.
 *
 * @throws SupernetError `invalid-subnet`, `unsupported-model` (a family that is not given)
 *
 * @example
 * ```ts
 * import { addAdapters, countAdapterBytes, countCheckpointBytes } from '@instatune/supernet';
 *
 * const adapted = addAdapters(model, { rank: 8 });
 * console.log(countAdapterBytes(adapted, undefined, { dtype: 'F16' }) < 0.1 * countCheckpointBytes(model.config)); // => true
 * ```
 */
export function countAdapterBytes(
  model: AdaptedShape,
  subnet?: SubnetConfig,
  { dtype, families }: AdapterBytesOptions = {},
): number {
  const tensors = fileTensors(adapterFile(model, subnet, families));
  return safetensorsByteLength(tensors.map((tensor) => ({ ...tensor, ...(dtype && { dtype }) })));
}
