// Values of weight slots out of an open checkpoint: stored tensors decoded, transposed, split, one at a time.
import { CheckpointError, throwIfAborted } from '../errors.ts';
import type { TensorBinding } from '../families/family.ts';
import type { ModelConfig, WeightSlot } from '../model/config.ts';
import { toSlot } from './transforms.ts';
import type { CheckpointWeights } from './weights.ts';

/** Tensors read at once: hides the latency of remote files. */
const PARALLEL_READS = 8;

/** Options of {@link readSlots}. */
export interface ReadSlotsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Slots read so far, of how many. */
  readonly onProgress?: ((progress: { readonly loaded: number; readonly total: number }) => void) | undefined;
}

/** What {@link readSlots} reads from: the part of an open checkpoint that it needs. */
export interface SlotSource {
  readonly config: ModelConfig;
  readonly weights: CheckpointWeights;
  /** Which stored tensor fills each slot, and how. @throws CheckpointError `missing-weight` naming those that are absent */
  bind(slots: readonly WeightSlot[]): TensorBinding[];
}

/**
 * Values of slots as float32, in the slots' shapes: linear weights [in, out].
 *
 * @returns values by canonical name
 * @throws CheckpointError `missing-weight`, `invalid-shape`, `unsupported-dtype`, `aborted`, and what reading throws
 *
 * @example
 * ```ts
 * import { openCheckpoint, readSlots, weightSlots } from '@hip/checkpoints';
 *
 * await using checkpoint = await openCheckpoint('./books-lm-6m');
 * const values = await readSlots(checkpoint, weightSlots(checkpoint.config).filter(({ role }) => role === 'norm'));
 * console.log(values.get('norm.weight')!.length); // => 256
 * ```
 */
export async function readSlots(
  source: SlotSource,
  slots: readonly WeightSlot[],
  options: ReadSlotsOptions = {},
): Promise<Map<string, Float32Array>> {
  const { config, weights } = source;
  const bySlot = new Map(slots.map((slot) => [slot.name, slot]));
  const bindings = source.bind(slots);
  // Slots that share a stored tensor (GPT-2's fused qkv) read it once.
  // Map.groupBy is not in Node 20.
  const groups = new Map<string, (typeof bindings)[number][]>();
  for (const binding of bindings) {
    const group = groups.get(binding.tensor);
    if (group) group.push(binding);
    else groups.set(binding.tensor, [binding]);
  }
  const values = new Map<string, Float32Array>();
  const readGroup = async ([tensor, members]: [string, typeof bindings]): Promise<void> => {
    const stored = await weights.read(tensor);
    if (!(stored.data instanceof Float32Array)) {
      throw new CheckpointError('unsupported-dtype', `tensor ${tensor} holds integers, expected floats`, { tensor });
    }
    for (const binding of members) {
      const slot = bySlot.get(binding.slot) as WeightSlot;
      values.set(slot.name, toSlot(binding, { shape: stored.shape, data: stored.data }, slot.shape, config.patches));
    }
    options.onProgress?.({ loaded: values.size, total: bindings.length });
  };
  const names = [...groups.keys()];
  const ordered = (await weights.inFileOrder?.(names)) ?? names;
  const pending = ordered.map((name) => [name, groups.get(name) as typeof bindings] as [string, typeof bindings]);
  while (pending.length > 0) {
    throwIfAborted(options.signal, 'reading the weights');
    await Promise.all(pending.splice(0, PARALLEL_READS).map(readGroup));
  }
  return values;
}
