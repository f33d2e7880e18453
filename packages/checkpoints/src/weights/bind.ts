// Matches weight slots with the tensors a checkpoint really has: prefixes that may be absent, old LayerNorm names.
import { CheckpointError } from '../errors.ts';
import type { Family, NameTable, TensorBinding, TensorTransform } from '../families/family.ts';
import type { ModelConfig, WeightSlot } from '../model/config.ts';

/**
 * Bindings by slot with the names this package writes (transformers' current ones), or those of another table (GGUF's).
 *
 * @throws CheckpointError `internal` for a slot that the table lacks
 */
export function canonicalBindings(
  family: Family,
  config: ModelConfig,
  slots: readonly WeightSlot[],
  table: NameTable = family.names(config),
): TensorBinding[] {
  return slots.map((slot) => {
    const key = slot.layer === undefined ? slot.name : slot.name.replace(/^layers\.\d+\./, 'layers.{}.');
    const entry = Object.hasOwn(table, key) ? table[key] : undefined;
    if (entry === undefined) {
      throw new CheckpointError('internal', `family ${family.name} names no tensor for slot ${key}`, {
        slot: slot.name,
      });
    }
    const named = typeof entry === 'string' ? { tensor: entry } : entry;
    return {
      slot: slot.name,
      tensor: named.tensor.replace('{}', String(slot.layer)),
      transform: named.transform ?? defaultTransform(slot),
      ...(named.part && { part: named.part }),
      ...(named.rows && { rows: named.rows(slot.layer ?? 0) }),
      ...(named.paired && { paired: config.headSize }),
      ...(named.add !== undefined && { add: named.add }),
    };
  });
}

/** Bindings with the names found in a checkpoint. @throws CheckpointError `missing-weight` listing what is absent. */
export function resolveBindings(
  family: Family,
  config: ModelConfig,
  slots: readonly WeightSlot[],
  available: ReadonlySet<string>,
): TensorBinding[] {
  const missing: string[] = [];
  const bindings = canonicalBindings(family, config, slots).map((binding) => {
    const shared =
      config.tiedEmbeddings && binding.slot === 'embeddings.token.weight' ? headTensor(family, config) : [];
    const tensor = [binding.tensor, ...shared]
      .flatMap((name) => aliases(name, family.basePrefix))
      .find((name) => available.has(name));
    if (tensor === undefined) missing.push(binding.tensor);
    return { ...binding, tensor: tensor ?? binding.tensor };
  });
  requireNone(missing, family, config);
  return bindings;
}

/** Bindings with ggml's names. @throws CheckpointError `missing-weight`, `unsupported-model` for a family without GGUF */
export function ggufBindings(
  family: Family,
  config: ModelConfig,
  slots: readonly WeightSlot[],
  available: ReadonlySet<string>,
): TensorBinding[] {
  if (!family.gguf) {
    throw new CheckpointError('unsupported-model', `the ${family.name} family is not read from GGUF`, {
      family: family.name,
    });
  }
  const bindings = canonicalBindings(family, config, slots, family.gguf.names(config));
  requireNone(
    bindings.flatMap(({ tensor }) => (available.has(tensor) ? [] : [tensor])),
    family,
    config,
  );
  return bindings;
}

function requireNone(missing: readonly string[], family: Family, config: ModelConfig): void {
  if (missing.length > 0) {
    const shown = missing.slice(0, 5).join(', ');
    throw new CheckpointError(
      'missing-weight',
      `the checkpoint lacks ${missing.length} tensors of a ${family.name} ${config.head} model: ${shown}${missing.length > 5 ? ', …' : ''}`,
      { missing, family: family.name, head: config.head },
    );
  }
}

/** The head's tensor: of two tied weights some writers keep the head's name. Both are stored [vocabulary, hidden]. */
function headTensor(family: Family, config: ModelConfig): string[] {
  const entry = family.names({ ...config, tiedEmbeddings: false })['head.weight'];
  return typeof entry === 'string' ? [entry] : [];
}

/** Linear weights are stored [out, in] in PyTorch; everything else as it is. */
function defaultTransform(slot: WeightSlot): TensorTransform {
  return slot.shape.length === 2 && (slot.role === 'linear' || slot.role === 'head') ? 'transpose' : 'as-is';
}

/** Names a tensor may have in a checkpoint, the likeliest first. */
export function aliases(name: string, prefix: string): string[] {
  // A masked-LM head applies the decoder's bias where it is stored; most checkpoints have one bias beside it.
  const head = /^(cls\.predictions|lm_head)\.(?:decoder\.)?bias$/.exec(name)?.[1];
  if (head !== undefined) return [`${head}.decoder.bias`, `${head}.bias`];
  const bare = name.startsWith(prefix) ? [name, name.slice(prefix.length)] : [name];
  const old = bare.map((alias) =>
    /LayerNorm\.(weight|bias)$/.test(alias)
      ? alias.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta')
      : alias,
  );
  return [...bare, ...old];
}
