// loadCheckpoint: config.json, weights and tokenizer of a Hugging Face checkpoint become an elastic model.
import { elementCount } from '../counts.ts';
import type { SpaceChoices } from '../elastic/space.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import type { Family } from '../families/family.ts';
import { families as builtinFamilies, findFamily } from '../families/index.ts';
import { TransformerModel } from '../model/transformer.ts';
import { weightSlots } from '../model/slots.ts';
import type { ElasticModel, ModelConfig, WeightSlot } from '../model/types.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import type { TextTokenizer } from '../tokenizer/tokenizer.ts';
import { aliases, canonicalBindings, resolveBindings } from './bind.ts';
import type { HttpSourceOptions } from './byte-source.ts';
import type { CheckpointFiles } from './files.ts';
import { folderFiles, httpFiles, readJson } from './files.ts';
import { hubFiles } from './hub.ts';
import { toSlot } from './transforms.ts';
import { openWeights } from './weights.ts';
import type { CheckpointWeights } from './weights.ts';

/** Tensors read at once: hides the latency of remote files. */
const PARALLEL_READS = 8;

/** Options of {@link loadCheckpoint}. */
export interface LoadOptions extends HttpSourceOptions {
  /** Choices of the elastic space. @defaultValue {@link createSpace}'s */
  readonly space?: SpaceChoices | undefined;
  /** Families to choose from. @defaultValue the built-in ones */
  readonly families?: readonly Family[] | undefined;
  /** Fields that replace those of config.json, e.g. `{ num_labels: 2, architectures: ['BertForSequenceClassification'] }`. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
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
 * `invalid-shape`, `network`, `unsupported` (a folder without Node, the Hub without its library), `aborted`.
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
  const files = typeof location === 'string' ? filesAt(location, options) : location;
  const raw = await readJson(files, 'config.json');
  if (!raw) {
    const there = (await files.exists?.()) ?? true;
    const message = there
      ? `${files.location} has no config.json`
      : `there is no folder ${files.location}: give the one that holds the checkpoint's config.json and *.safetensors`;
    throw new SupernetError('file-not-found', message, { path: files.location });
  }
  const family = findFamily(raw, options.families ?? builtinFamilies);
  const read = family.readConfig({ ...raw, ...options.config });
  const weights = await openWeights(files);
  try {
    const config = { ...read, tiedEmbeddings: read.tiedEmbeddings && !(await hasOwnHead(family, read, weights)) };
    const { values, created } = await readValues(family, config, weights, options);
    const tokenizer = await loadTokenizer(files);
    return {
      model: new TransformerModel(config, values, options.space, files),
      config,
      ...(tokenizer && { tokenizer }),
      files,
      newWeights: created,
    };
  } finally {
    await weights.close();
  }
}

function filesAt(location: string, options: LoadOptions): CheckpointFiles {
  const hub = /^hf:\/\/([^@]+)(?:@(.+))?$/.exec(location);
  if (hub) return hubFiles(hub[1] as string, { ...options, ...(hub[2] !== undefined && { revision: hub[2] }) });
  return /^https?:\/\//.test(location) ? httpFiles(location, options) : folderFiles(location);
}

/** Whether a checkpoint whose configuration ties head and embeddings stores another head: transformers 5 then uses that. */
async function hasOwnHead(family: Family, config: ModelConfig, weights: CheckpointWeights): Promise<boolean> {
  const untied = { ...config, tiedEmbeddings: false };
  if (!Object.hasOwn(family.names(untied), 'head.weight')) return false;
  const slots = weightSlots(untied).filter(({ name }) => ['embeddings.token.weight', 'head.weight'].includes(name));
  const names = canonicalBindings(family, untied, slots).map(({ tensor }) =>
    aliases(tensor, family.basePrefix).find((name) => weights.names.has(name)),
  );
  const [table, head] = names;
  if (table === undefined || head === undefined) return false;
  const [a, b] = await Promise.all([weights.read(table), weights.read(head)]);
  return a.data.length !== b.data.length || a.data.some((value, i) => value !== b.data[i]);
}

async function readValues(
  family: Family,
  config: ModelConfig,
  weights: CheckpointWeights,
  options: LoadOptions,
): Promise<{ values: Map<string, Float32Array>; created: string[] }> {
  const slots = weightSlots(config);
  const bySlot = new Map(slots.map((slot) => [slot.name, slot]));
  const isNew = (slot: WeightSlot) => options.newHeadSeed !== undefined && /^(head|pooler)\b/.test(slot.name);
  const missing = new Set<string>();
  for (const slot of slots.filter(isNew)) {
    try {
      const [binding] = resolveBindings(family, config, [slot], weights.names);
      const stored = await weights.read((binding as { tensor: string }).tensor);
      toSlot(binding!, stored as { shape: readonly number[]; data: Float32Array }, slot.shape, config.patches);
    } catch (error) {
      if (!(error instanceof SupernetError && ['missing-weight', 'invalid-shape'].includes(error.code))) throw error;
      missing.add(slot.name);
    }
  }
  const bindings = resolveBindings(
    family,
    config,
    slots.filter((slot) => !missing.has(slot.name)),
    weights.names,
  );
  // Slots that share a stored tensor (GPT-2's fused qkv) read it once.
  const groups = Map.groupBy(bindings, ({ tensor }) => tensor);
  const values = new Map<string, Float32Array>();
  const readGroup = async ([tensor, members]: [string, typeof bindings]): Promise<void> => {
    const stored = await weights.read(tensor);
    if (!(stored.data instanceof Float32Array)) {
      throw new SupernetError('unsupported-dtype', `tensor ${tensor} holds integers, expected floats`, { tensor });
    }
    for (const binding of members) {
      const slot = bySlot.get(binding.slot) as WeightSlot;
      values.set(slot.name, toSlot(binding, { shape: stored.shape, data: stored.data }, slot.shape, config.patches));
    }
    options.onProgress?.({ loaded: values.size, total: bindings.length });
  };
  const pending = [...groups];
  while (pending.length > 0) {
    throwIfAborted(options.signal, 'loadCheckpoint');
    await Promise.all(pending.splice(0, PARALLEL_READS).map(readGroup));
  }
  let seed = (options.newHeadSeed ?? 0) >>> 0;
  for (const name of missing) {
    const slot = bySlot.get(name) as WeightSlot;
    values.set(
      name,
      newValues(slot, () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32),
    );
  }
  return { values, created: [...missing] };
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
