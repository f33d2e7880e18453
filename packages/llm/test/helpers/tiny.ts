// Tiny checkpoints of random weights, in memory: any configuration of any family that the checkpoints package writes names for.
import {
  findFamily,
  fromSlots,
  canonicalBindings,
  memoryFiles,
  weightSlots,
  writeSafetensors,
  type CheckpointFiles,
  type TensorBinding,
  type WeightSlot,
} from '@hip/checkpoints';

/** A small Llama; fields replace its own. */
export function tinyConfig(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: 40,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    ...fields,
  };
}

/** Numbers between −1 and 1 that depend on the seed alone. */
export function randomNumbers(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 31 - 1;
  };
}

export interface TinyModel {
  readonly files: CheckpointFiles;
  /** By canonical name, linear weights [in, out]. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** @param change edits a weight's values before they are stored */
export function tinyModel(
  fields: Readonly<Record<string, unknown>> = {},
  { seed = 1, change }: { readonly seed?: number; readonly change?: (name: string, values: Float32Array) => void } = {},
): TinyModel {
  const raw = tinyConfig(fields);
  const family = findFamily(raw);
  const config = family.readConfig(raw);
  const slots = weightSlots(config);
  const random = randomNumbers(seed);
  const weights = new Map<string, Float32Array>();
  for (const { name, shape, role } of slots) {
    const base = role === 'norm' && name.endsWith('weight') && !config.norm.offset ? 1 : 0;
    const length = shape.reduce((product, extent) => product * extent, 1);
    const scale = shape.length === 2 && role === 'linear' ? 2 / Math.sqrt(shape[0] as number) : 0.5;
    const values = Float32Array.from({ length }, () => base + scale * random());
    change?.(name, values);
    weights.set(name, values);
  }
  const bindings = canonicalBindings(family, config, slots);
  const shared = Map.groupBy(
    bindings.map((binding, at) => [binding, slots[at] as WeightSlot] as const),
    ([binding]) => binding.tensor,
  );
  const tensors = Array.from(shared, ([name, group]) => {
    const parts: TensorBinding[] = group.map(([binding]) => binding);
    const values = group.map(([, slot]) => weights.get(slot.name) as Float32Array);
    return {
      name,
      ...fromSlots(
        parts,
        values,
        group.map(([, slot]) => slot.shape),
        undefined,
      ),
    };
  });
  const files = new Map([
    ['config.json', new TextEncoder().encode(JSON.stringify(raw))],
    ['model.safetensors', writeSafetensors(tensors)],
  ]);
  return { files: memoryFiles(files), weights };
}
