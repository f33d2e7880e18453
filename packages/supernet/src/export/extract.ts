// extractSubnet: a sub-network becomes a standalone checkpoint folder (safetensors, config.json, tokenizer).
import {
  canonicalBindings,
  FLOAT_DTYPES,
  fromSlots,
  optionalText,
  requireStorable,
  safetensorsChunks,
  saveFolder,
  tensorBytes,
  type Family,
  type FloatDtype,
  type TensorBinding,
  type TensorToWrite,
} from '@hip/checkpoints';
import { countParameters } from '../elastic/cost.ts';
import { canonicalSubnet, fullSubnet } from '../elastic/subnets.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import type { ElasticModel } from '../model/types.ts';
import { requireNode } from '../node-modules.ts';
import { subnetConfigJson } from './config.ts';
import type { CheckpointLayout } from './config.ts';
import { familyOf } from './family.ts';
import { travellingFiles } from './travelling-files.ts';
import { subnetModelConfig, subnetSlots, subnetValues } from './values.ts';

/** How a sentence encoder pools, and of how many channels. */
const POOLING = '1_Pooling/config.json';

/** What makes an encoder one of sentences, for sentence-transformers. */
const SENTENCE_FILES = ['modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json', POOLING];

/** Names that {@link shardFiles} gives. */
const WEIGHT_FILE = /^model(-\d{5,}-of-\d{5,})?\.safetensors$|^model\.safetensors\.index\.json$/;

/** Options of {@link extractSubnet}. */
export interface ExtractOptions {
  /** Element type of the stored weights. @defaultValue 'F32' */
  readonly dtype?: FloatDtype | undefined;
  /** Shards above this size. @defaultValue 5e9 */
  readonly maxShardBytes?: number | undefined;
  /** @defaultValue the built-in families */
  readonly families?: readonly Family[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was written. */
export interface ExtractReport {
  /** `huggingface`: any transformers-compatible loader reads it; `per-layer`: config.json carries `instatune_layers`. */
  readonly layout: CheckpointLayout;
  /** Why the layout is what it is, in words. */
  readonly reason: string;
  readonly subnet: SubnetConfig;
  readonly parameters: number;
  /** Bytes of the weight files. */
  readonly bytes: number;
  /** Names of all files written. */
  readonly files: readonly string[];
}

/** A file of a rendered checkpoint; chunks are produced lazily. */
export interface RenderedFile {
  readonly name: string;
  readonly chunks: Iterable<Uint8Array>;
}

/**
 * The files of a standalone checkpoint without writing them anywhere (browsers, archives).
 *
 * @throws SupernetError `invalid-option`, `invalid-subnet`, `unsupported-model`, `unsupported-dtype` (a weight is too large for
 * F16), `non-finite` (a weight), `aborted`
 */
export async function renderCheckpoint(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  options: ExtractOptions = {},
): Promise<{ readonly files: readonly RenderedFile[]; readonly report: ExtractReport }> {
  const { dtype = 'F32', maxShardBytes = 5e9 } = options;
  if (!FLOAT_DTYPES.includes(dtype)) {
    const message = `dtype = ${String(dtype)}: expected ${FLOAT_DTYPES.join(', ')}`;
    throw new SupernetError('invalid-option', message, { dtype });
  }
  if (!(maxShardBytes > 0)) {
    const message = `maxShardBytes = ${maxShardBytes}: expected a positive number`;
    throw new SupernetError('invalid-option', message, { maxShardBytes });
  }
  const family = familyOf(model.config, options.families);
  const kept = canonicalSubnet(model.space, subnet);
  const names = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };
  const { json, layout, reason } = subnetConfigJson(family, model.config, kept, names[dtype]);
  const tensors = await storedTensors(family, model, kept, dtype);
  for (const { name, data } of tensors) requireStorable(name, data, dtype);
  throwIfAborted(options.signal, 'extraction');
  const weightFiles = shardFiles(tensors, maxShardBytes);
  const files: RenderedFile[] = [textFile('config.json', `${JSON.stringify(json, null, 2)}\n`), ...weightFiles];
  const isOfSentences = model.config.head === 'sentence-embedding';
  for (const [name, text] of await travellingFiles(model.source)) files.push(textFile(name, text));
  for (const name of isOfSentences ? SENTENCE_FILES : []) {
    const text = model.source && (await optionalText(model.source, name));
    if (text !== undefined) files.push(textFile(name, name === POOLING ? poolingOf(text, kept.hidden) : text));
  }
  const report: ExtractReport = {
    layout,
    reason,
    subnet: kept,
    parameters: countParameters(model.config, kept),
    bytes: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    files: files.map(({ name }) => name),
  };
  return { files, report };
}

/**
 * Writes a sub-network as a standalone checkpoint: `model.safetensors` (or shards with an index), `config.json`, and the tokenizer
 * files of the checkpoint the model came from. {@link loadCheckpoint} reads it back; `report.layout` says whether transformers does.
 * The folder is saved as one ({@link saveFolder}): a process that is killed leaves the old checkpoint or the new one.
 *
 * @throws SupernetError `file-access` (a full or read-only disk, another save under way), `invalid-subnet`, `unsupported-model`, `non-finite` (a weight), `unsupported` without Node, `aborted`.
 *
 * @example
 * ```ts
 * const { layout, parameters } = await extractSubnet(model, subnet, './out/model', { dtype: 'F16' });
 * const again = await loadCheckpoint('./out/model');
 * ```
 */
export async function extractSubnet(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  folder: string,
  options: ExtractOptions = {},
): Promise<ExtractReport> {
  requireNode('node:fs/promises', `writing to ${folder}`, 'renderCheckpoint gives the files without writing them');
  const { files, report } = await renderCheckpoint(model, subnet, options);
  // An index or a single file of an earlier, larger or smaller save would be read in place of the new weights, its shards by nobody.
  const isObsolete = (name: string): boolean => WEIGHT_FILE.test(name);
  await saveFolder(folder, files, { isObsolete, signal: options.signal }).catch((cause: unknown) => {
    const { code } = (cause as { details?: { code?: unknown } }).details ?? {};
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw cause;
    const message = `folder = ${folder}: a file is in the way, expected a folder or a path that is free`;
    throw new SupernetError('invalid-option', message, { folder }, { cause });
  });
  return report;
}

/** Saves the full model: {@link extractSubnet} with the largest sub-network. @throws SupernetError as that does */
export function saveCheckpoint(
  model: ElasticModel,
  folder: string,
  options: ExtractOptions = {},
): Promise<ExtractReport> {
  return extractSubnet(model, undefined, folder, options);
}

async function storedTensors(
  family: Family,
  model: ElasticModel,
  subnet: SubnetConfig,
  dtype: FloatDtype,
): Promise<(TensorToWrite & { readonly data: Float32Array })[]> {
  const config = subnetModelConfig(model.config, subnet);
  const slots = subnetSlots(model.config, subnet);
  const values = await subnetValues(model, subnet);
  const shapes = new Map(slots.map((slot) => [slot.name, slot.shape]));
  const byTensor = new Map<string, TensorBinding[]>();
  for (const binding of canonicalBindings(family, config, slots)) {
    byTensor.set(binding.tensor, [...(byTensor.get(binding.tensor) ?? []), binding]);
  }
  return [...byTensor].map(([name, bindings]) => {
    const { shape, data } = fromSlots(
      bindings,
      bindings.map(({ slot }) => values.get(slot) as Float32Array),
      bindings.map(({ slot }) => shapes.get(slot) as readonly number[]),
      config.patches,
    );
    return { name, shape, data, dtype };
  });
}

/** The pooling's settings for so many channels. */
function poolingOf(text: string, hidden: number | undefined): string {
  if (hidden === undefined) return text;
  const settings = JSON.parse(text) as Record<string, unknown>;
  return `${JSON.stringify({ ...settings, word_embedding_dimension: hidden }, null, 2)}\n`;
}

function shardFiles(tensors: readonly TensorToWrite[], maxBytes: number): RenderedFile[] {
  const shards: TensorToWrite[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    if (size > 0 && size + bytes > maxBytes) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)?.push(tensor);
    size += bytes;
  }
  if (shards.length === 1) return [{ name: 'model.safetensors', chunks: safetensorsChunks(tensors) }];
  const digits = (n: number) => String(n).padStart(5, '0');
  const name = (index: number) => `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
  const map = Object.fromEntries(shards.flatMap((shard, index) => shard.map((tensor) => [tensor.name, name(index)])));
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: map };
  return [
    ...shards.map((shard, i) => ({ name: name(i), chunks: safetensorsChunks(shard) })),
    textFile('model.safetensors.index.json', `${JSON.stringify(index, null, 2)}\n`),
  ];
}

function textFile(name: string, text: string): RenderedFile {
  return { name, chunks: [new TextEncoder().encode(text)] };
}
