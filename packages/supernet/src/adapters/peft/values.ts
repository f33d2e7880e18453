// The numbers of an adapter file: A and B as peft has them, of fused products side by side.
import { canonicalBindings, fromSlots, type Family } from '@hip/checkpoints';
import type { SubnetConfig } from '../../elastic/types.ts';
import { subnetModelConfig, subnetSlots, subnetValue } from '../../export/values.ts';
import type { ElasticModel } from '../../model/types.ts';
import { adapterValues } from '../values.ts';
import type { FileModule } from './layout.ts';

/** A [rank, in] and B [out, rank] of a module, and what their product is scaled by. */
export interface ModuleValues {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly scale: number;
}

/**
 * Of a fused module A has the rows of every product's adapter, B each one's columns at its own outputs and zeros elsewhere; where their
 * scales differ the first one's holds and the others' B make up for it. @throws SupernetError `non-finite`
 */
export async function moduleValues(
  model: ElasticModel,
  subnet: SubnetConfig,
  { module, adapters, rank }: FileModule,
): Promise<ModuleValues> {
  const { scale } = adapters[0]!.product;
  const a = new Float32Array(rank * module.inputs);
  const b = new Float32Array(module.outputs * rank);
  let first = 0;
  for (const adapter of adapters) {
    const own = await adapterValues(model, subnet, adapter.slot, adapter.product, adapter.rank);
    const { start } = module.parts.find(({ slot }) => slot.name === adapter.slot.name)!;
    const factor = adapter.product.scale / scale;
    for (let r = 0; r < adapter.rank; r++) {
      for (let i = 0; i < module.inputs; i++) a[(first + r) * module.inputs + i] = own.a[i * adapter.rank + r]!;
      for (let o = 0; o < own.outputs; o++) b[(start + o) * rank + first + r] = factor * own.b[r * own.outputs + o]!;
    }
    first += adapter.rank;
  }
  return { a, b, scale };
}

/** Values of slots of a model's own, by the tensor that each is stored as. */
export async function replacedValues(
  model: ElasticModel,
  subnet: SubnetConfig,
  family: Family,
): Promise<ReadonlyMap<string, Float32Array>> {
  const { config, adapters } = model;
  const small = subnetModelConfig(config, subnet);
  const slots = subnetSlots(config, subnet).filter(({ name }) => adapters?.replaced.includes(name));
  const full = new Map(model.slots.map((slot) => [slot.name, slot]));
  const stored = new Map<string, Float32Array>();
  for (const [i, binding] of canonicalBindings(family, small, slots).entries()) {
    const values = await subnetValue(model, subnet, full.get(binding.slot)!);
    stored.set(binding.tensor, fromSlots([binding], [values], [slots[i]!.shape], small.patches).data);
  }
  return stored;
}
