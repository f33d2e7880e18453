// The modules of a network in peft's sense: stored linear layers, one product each, or several fused in one (GPT-2, Phi-3, ModernBERT).
import {
  canonicalBindings,
  type Family,
  type ModelConfig,
  type TensorBinding,
  type WeightSlot,
} from '@hip/checkpoints';
import { adaptableSlots } from '../slots.ts';

/** What peft puts before a module's name in the file. */
export const PEFT_PREFIX = 'base_model.model.';

/** A product's outputs among those of its module. */
export interface ModulePart {
  /** The weight's, of the network that the module is of. */
  readonly slot: WeightSlot;
  readonly start: number;
}

/** A linear layer as it is stored. */
export interface LinearModule {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly parts: readonly ModulePart[];
  /** Stored [in, out] (transformers' Conv1D). */
  readonly isConv1d: boolean;
}

/** Modules that adapters may be on, by name, in the order of the layers. */
export function linearModules(family: Family, config: ModelConfig): ReadonlyMap<string, LinearModule> {
  const slots = new Map(adaptableSlots(config).map((slot) => [slot.name, slot]));
  const modules = new Map<string, LinearModule>();
  for (const binding of canonicalBindings(family, config, [...slots.values()])) {
    const slot = slots.get(binding.slot) as WeightSlot;
    const name = binding.tensor.replace(/\.weight$/, '');
    const part: ModulePart = { slot, start: startOf(binding, slot) };
    const module = modules.get(name);
    modules.set(name, {
      name,
      inputs: slot.shape[0] as number,
      outputs: binding.rows?.of ?? (slot.shape[1] as number) * (binding.part?.of ?? 1),
      parts: [...(module?.parts ?? []), part],
      isConv1d: binding.transform === 'as-is',
    });
  }
  return modules;
}

function startOf({ rows, part }: TensorBinding, { shape }: WeightSlot): number {
  return rows?.start ?? (part?.index ?? 0) * (shape[1] as number);
}

/** The same name with or without the prefix of a bare model (`bert.`), as checkpoints and models of one family have it. */
export function namesOf(name: string, { basePrefix }: Family): readonly string[] {
  return name.startsWith(basePrefix) ? [name, name.slice(basePrefix.length)] : [name, basePrefix + name];
}
