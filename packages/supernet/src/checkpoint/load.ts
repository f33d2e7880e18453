// loadCheckpoint: configuration, weights and tokenizer of a Hugging Face checkpoint become an elastic model.
import {
  elementCount,
  openCheckpoint,
  readSlots,
  weightSlots,
  type CheckpointFiles,
  type ModelConfig,
  type OpenCheckpoint,
  type OpenOptions,
  type TextTokenizer,
  type WeightSlot,
} from '@hip/checkpoints';
import { backendLimits, requireFits } from '../backend/limits.ts';
import type { SpaceChoices } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import { requireComputable } from '../model/computable.ts';
import { TransformerModel } from '../model/transformer.ts';
import type { ElasticModel } from '../model/types.ts';

/** Options of {@link loadCheckpoint}. */
export interface LoadOptions extends OpenOptions {
  /** Choices of the elastic space. @defaultValue {@link createSpace}'s */
  readonly space?: SpaceChoices | undefined;
  /**
   * Weights that may be absent and are then drawn from N(0, 0.02) (biases 0, norms 1) with this seed: a new task head on a
   * pretrained body. Without it absent weights are an error.
   */
  readonly newHeadSeed?: number | undefined;
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** A loaded checkpoint. */
export interface Checkpoint {
  readonly model: ElasticModel;
  readonly config: ModelConfig;
  readonly tokenizer?: TextTokenizer;
  readonly files: CheckpointFiles;
  /** Slots that were not in the checkpoint and got new values (`newHeadSeed`). */
  readonly newWeights: readonly string[];
}

/**
 * Loads a Hugging Face checkpoint from a folder, an `http(s)://` address (range requests), the Hub (`hf://owner/name[@revision]`),
 * or any {@link CheckpointFiles} (`memoryFiles`, `hubFiles` with a token). Weights are decoded tensor by tensor.
 *
 * @throws SupernetError `file-not-found`, `invalid-config`, `unsupported-model`, `invalid-safetensors`, `missing-weight`,
 * `invalid-shape`, `network`, `out-of-memory` where the current tfjs backend cannot hold the weights, `unsupported` (a folder without Node, the Hub without its library), `aborted`.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { generate, loadCheckpoint } from '@instatune/supernet';
 *
 * const { model, tokenizer } = await loadCheckpoint('./books-lm-6m');
 * const ids = await generate(model, tokenizer!.encode('It was a dark'), { maxTokens: 16 });
 * console.log(tokenizer!.decode(ids));
 * ```
 */
export async function loadCheckpoint(
  location: string | CheckpointFiles,
  options: LoadOptions = {},
): Promise<Checkpoint> {
  await using checkpoint = await openCheckpoint(location, options);
  const { config, files } = checkpoint;
  requireComputable(config);
  requireFits(weightSlots(config), backendLimits());
  const { values, created } = await readValues(checkpoint, options);
  const tokenizer = await checkpoint.tokenizer();
  const generation = await checkpoint.generation();
  return {
    model: new TransformerModel(config, values, options.space, files, generation),
    config,
    ...(tokenizer && { tokenizer }),
    files,
    newWeights: created,
  };
}

async function readValues(
  checkpoint: OpenCheckpoint,
  options: LoadOptions,
): Promise<{ values: Map<string, Float32Array>; created: string[] }> {
  const slots = weightSlots(checkpoint.config);
  const isNew = (slot: WeightSlot) => options.newHeadSeed !== undefined && /^(head|pooler)\b/.test(slot.name);
  const missing = new Map<string, WeightSlot>();
  for (const slot of slots.filter(isNew)) {
    try {
      await readSlots(checkpoint, [slot]);
    } catch (error) {
      if (!(error instanceof SupernetError && ['missing-weight', 'invalid-shape'].includes(error.code))) throw error;
      missing.set(slot.name, slot);
    }
  }
  const present = slots.filter((slot) => !missing.has(slot.name));
  const values = await readSlots(checkpoint, present, options);
  let seed = (options.newHeadSeed ?? 0) >>> 0;
  for (const [name, slot] of missing) {
    values.set(
      name,
      newValues(slot, () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32),
    );
  }
  return { values, created: [...missing.keys()] };
}

/** Initial values of a new weight: N(0, 0.02) as the checkpoints' initializer_range, norms 1, biases 0. */
function newValues(slot: WeightSlot, random: () => number): Float32Array {
  const size = elementCount(slot.shape);
  const out = new Float32Array(size);
  if (slot.name.endsWith('.bias')) return out;
  if (slot.role === 'norm') return out.fill(1);
  for (let i = 0; i < size; i++) {
    out[i] = 0.02 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  return out;
}
