// openCheckpoint: config.json read and understood, weights open for reading one by one, the tokenizer at hand.
import { CheckpointError } from './errors.ts';
import { findFamily, families as builtinFamilies } from './families/index.ts';
import type { Family } from './families/family.ts';
import type { HttpSourceOptions } from './files/byte-source.ts';
import type { CheckpointFiles } from './files/files.ts';
import { readJson } from './files/files.ts';
import { filesAt } from './files/location.ts';
import type { ModelConfig } from './model/config.ts';
import { weightSlots } from './model/slots.ts';
import { loadTokenizer } from './tokenizer/tokenizer.ts';
import type { TextTokenizer } from './tokenizer/tokenizer.ts';
import { aliases, canonicalBindings } from './weights/bind.ts';
import { openWeights } from './weights/weights.ts';
import type { CheckpointWeights } from './weights/weights.ts';

/** Options of {@link openCheckpoint}. */
export interface OpenOptions extends HttpSourceOptions {
  /** Families to choose from. @defaultValue the built-in ones */
  readonly families?: readonly Family[] | undefined;
  /** Fields that replace those of config.json, e.g. `{ num_labels: 2, architectures: ['BertForSequenceClassification'] }`. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
}

/** An open checkpoint: nothing but its configuration and the list of its tensors is in memory. */
export interface OpenCheckpoint extends AsyncDisposable {
  readonly files: CheckpointFiles;
  readonly family: Family;
  /** What the model is; `tiedEmbeddings` says what the weights say. */
  readonly config: ModelConfig;
  /** The tensors under their stored names; {@link readSlots} gives them under canonical ones. */
  readonly weights: CheckpointWeights;
  /** The tokenizer, read once; undefined when there is none. @throws CheckpointError `tokenizer`, `invalid-config` */
  tokenizer(): Promise<TextTokenizer | undefined>;
  close(): Promise<void>;
}

/**
 * Opens a Hugging Face checkpoint in a folder, at an `http(s)://` address (range requests), on the Hub (`hf://owner/name[@revision]`),
 * or in any {@link CheckpointFiles} (`memoryFiles`, `hubFiles` with a token). Close it when the weights are read.
 *
 * @throws CheckpointError `file-not-found`, `invalid-config`, `unsupported-model`, `invalid-safetensors`, `network`, `unsupported`
 * (a folder without Node, the Hub without its library), `aborted`
 *
 * @example
 * ```ts
 * import { openCheckpoint, readSlots, weightSlots } from '@hip/checkpoints';
 *
 * await using checkpoint = await openCheckpoint('./books-lm-6m');
 * const [table] = weightSlots(checkpoint.config);
 * const values = await readSlots(checkpoint, [table!]);
 * console.log(table!.name, table!.shape, values.get(table!.name)!.length); // embeddings.token.weight [ 4096, 256 ] 1048576
 * ```
 */
export async function openCheckpoint(
  location: string | CheckpointFiles,
  options: OpenOptions = {},
): Promise<OpenCheckpoint> {
  const files = typeof location === 'string' ? filesAt(location, options) : location;
  const raw = await readJson(files, 'config.json');
  if (!raw) {
    const there = (await files.exists?.()) ?? true;
    const message = there
      ? `${files.location} has no config.json`
      : `there is no folder ${files.location}: give the one that holds the checkpoint's config.json and *.safetensors`;
    throw new CheckpointError('file-not-found', message, { path: files.location });
  }
  const json = { ...raw, ...options.config };
  const family = findFamily(json, options.families ?? builtinFamilies);
  const read = family.readConfig(json);
  const weights = await openWeights(files);
  try {
    const config = { ...read, tiedEmbeddings: read.tiedEmbeddings && !(await hasOwnHead(family, read, weights)) };
    let tokenizer: Promise<TextTokenizer | undefined> | undefined;
    return {
      files,
      family,
      config,
      weights,
      tokenizer: () => (tokenizer ??= loadTokenizer(files)),
      close: () => weights.close(),
      [Symbol.asyncDispose]: () => weights.close(),
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
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
