// openCheckpoint: what the model is, its weights open for reading one by one, the tokenizer at hand; from a folder or a GGUF alike.
import type { BrowserCache } from './cache/browser-cache.ts';
import { loadChatTemplate } from './chat/load.ts';
import type { ChatMessage, ChatTemplate, RenderOptions } from './chat/template.ts';
import { CheckpointError } from './errors.ts';
import type { Family, TensorBinding } from './families/family.ts';
import { families as builtinFamilies } from './families/index.ts';
import { openContents } from './contents.ts';
import type { Contents } from './contents.ts';
import type { HttpSourceOptions } from './files/http-source.ts';
import type { CheckpointFiles } from './files/files.ts';
import { locate } from './files/location.ts';
import { loadGenerationConfig } from './generation/generation-config.ts';
import type { GenerationDefaults } from './generation/generation-config.ts';
import type { GgufMetadata } from './gguf/header.ts';
import type { ModelConfig, WeightSlot } from './model/config.ts';
import { extendContext, type ContextExtension } from './model/context.ts';
import { requireLayers, requireWithinLimits } from './model/limits.ts';
import { problemType } from './model/labels.ts';
import { withSentenceLayout } from './model/sentence.ts';
import { weightSlots } from './model/slots.ts';
import { createTokenizer, loadTokenizer } from './tokenizer/tokenizer.ts';
import type { TextTokenizer } from './tokenizer/tokenizer.ts';
import { aliases, canonicalBindings, ggufBindings, resolveBindings } from './weights/bind.ts';
import type { CheckpointWeights } from './weights/weights.ts';

/** Options of {@link openCheckpoint}. */
export interface OpenOptions extends HttpSourceOptions {
  /** Families to choose from. @defaultValue the built-in ones */
  readonly families?: readonly Family[] | undefined;
  /** Keeps the files for the next visit; for places on the network. @defaultValue none */
  readonly cache?: BrowserCache | undefined;
  /** Name of the GGUF file to open among {@link CheckpointFiles}. @defaultValue the only one, where there are no safetensors */
  readonly gguf?: string | undefined;
  /** Fields that replace those of config.json, e.g. `{ num_labels: 2, architectures: ['BertForSequenceClassification'] }`. */
  readonly config?: Readonly<Record<string, unknown>> | undefined;
  /** Stretches the rotation, for texts beyond the trained length: see {@link extendContext}. @defaultValue as trained */
  readonly context?: ContextExtension | undefined;
}

/** An open checkpoint: nothing but its configuration and the list of its tensors is in memory. */
export interface OpenCheckpoint extends AsyncDisposable {
  readonly files: CheckpointFiles;
  readonly family: Family;
  /** What the model is; `tiedEmbeddings` says what the weights say. */
  readonly config: ModelConfig;
  readonly format: 'safetensors' | 'gguf';
  /** Metadata of the GGUF file that the weights are in. */
  readonly metadata?: GgufMetadata;
  /** The tensors under their stored names; {@link readSlots} gives them under canonical ones. */
  readonly weights: CheckpointWeights;
  /** Which stored tensor fills each slot, and how. @throws CheckpointError `missing-weight` naming those that are absent */
  bind(slots: readonly WeightSlot[]): TensorBinding[];
  /** The tokenizer, read once; undefined when there is none. @throws CheckpointError `tokenizer`, `invalid-config` */
  tokenizer(): Promise<TextTokenizer | undefined>;
  /** The chat template, read once; undefined when there is none. @throws CheckpointError `chat-template`, `invalid-config` */
  chatTemplate(): Promise<ChatTemplate | undefined>;
  /**
   * A conversation as the text that the model was trained on. Special tokens are in it: encode it with `addSpecialTokens: false`.
   *
   * @throws CheckpointError `chat-template` when there is none, or it refuses the messages
   */
  renderChat(messages: readonly ChatMessage[], options?: RenderOptions): Promise<string>;
  /** What generation_config.json advises; undefined without one. @throws CheckpointError `invalid-config` */
  generation(): Promise<GenerationDefaults | undefined>;
  close(): Promise<void>;
}

/**
 * Opens a checkpoint in a folder, at an `http(s)://` address (range requests), on the Hub (`hf://owner/name[@revision]`), or in any
 * {@link CheckpointFiles} (`memoryFiles`, `hubFiles` with a token): in Hugging Face's layout, or as a GGUF file (`…/model.gguf`,
 * `hf://owner/name/model.gguf`), which holds everything itself. A GGUF in a folder that has its `config.json` and `tokenizer.json` but no
 * safetensors is read with those. Close it when the weights are read.
 *
 * @throws CheckpointError `file-not-found`, `invalid-config`, `unsupported-model`, `invalid-safetensors`, `invalid-gguf`, `network`,
 * `unsupported` (a folder without Node, the Hub without its library), `aborted`
 *
 * @example
 * ```ts
 * import { openCheckpoint, readSlots, weightSlots } from '@hip/checkpoints';
 *
 * await using checkpoint = await openCheckpoint('./books-lm-6m');
 * const [table] = weightSlots(checkpoint.config);
 * const values = await readSlots(checkpoint, [table!]);
 * console.log(table!.name, table!.shape, values.get(table!.name)!.length); // => embeddings.token.weight [ 4096, 256 ] 1048576
 * ```
 */
export async function openCheckpoint(
  location: string | CheckpointFiles,
  options: OpenOptions = {},
): Promise<OpenCheckpoint> {
  const place = typeof location === 'string' ? locate(location, options) : { files: location };
  const { gguf = options.gguf } = place;
  const files = options.cache?.files(place.files, { signal: options.signal }) ?? place.files;
  const contents = await openContents(files, gguf, options.families ?? builtinFamilies, options.config);
  const { family, weights } = contents;
  try {
    const { layers } = family.configKeys;
    requireLayers(layers, contents.json[layers], weights.names.size);
    const bare = family.readConfig(contents.json);
    const read = contents.gguf ? bare : await withSentenceLayout(bare, contents.files);
    problemType(read);
    requireWithinLimits(read, weights.byteLength);
    const tiedEmbeddings = read.tiedEmbeddings && !(await hasOwnHead(contents, read));
    const trained = { ...read, tiedEmbeddings };
    const config = options.context ? extendContext(trained, options.context) : trained;
    let tokenizer: Promise<TextTokenizer | undefined> | undefined;
    let template: Promise<ChatTemplate | undefined> | undefined;
    const chatTemplate = () => (template ??= loadChatTemplate(contents.files));
    return {
      files: contents.files,
      family,
      config,
      format: contents.gguf ? 'gguf' : 'safetensors',
      ...(contents.gguf && { metadata: contents.gguf.metadata }),
      weights,
      bind: (slots) => (contents.gguf ? ggufBindings : resolveBindings)(family, config, slots, weights.names),
      tokenizer: () => (tokenizer ??= openTokenizer(contents)),
      chatTemplate,
      renderChat: async (messages, options) => {
        const found = await chatTemplate();
        if (found) return found.render(messages, options);
        const message = `${files.location} has no chat template (chat_template.jinja, tokenizer_config.json): give one to createChatTemplate`;
        throw new CheckpointError('chat-template', message, { path: files.location });
      },
      generation: () => loadGenerationConfig(contents.files),
      close: () => weights.close(),
      [Symbol.asyncDispose]: () => weights.close(),
    };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** What a GGUF holds is not written as JSON to be parsed again. */
async function openTokenizer(contents: Contents): Promise<TextTokenizer | undefined> {
  const own = await contents.ownTokenizer?.();
  return own ? createTokenizer(own.json, own.config) : loadTokenizer(contents.files);
}

/** Whether a checkpoint whose configuration ties head and embeddings stores another head: transformers 5 then uses that. */
async function hasOwnHead({ family, weights, gguf }: Contents, config: ModelConfig): Promise<boolean> {
  const untied = { ...config, tiedEmbeddings: false };
  const slots = weightSlots(untied).filter(({ name }) => ['embeddings.token.weight', 'head.weight'].includes(name));
  if (gguf) {
    // ggml stores a head where there is one.
    const head = family.gguf?.names(untied)['head.weight'];
    return typeof head === 'string' && weights.names.has(head);
  }
  if (!Object.hasOwn(family.names(untied), 'head.weight')) return false;
  const names = canonicalBindings(family, untied, slots).map(({ tensor }) =>
    aliases(tensor, family.basePrefix).find((name) => weights.names.has(name)),
  );
  const [table, head] = names;
  if (table === undefined || head === undefined) return false;
  const [a, b] = await Promise.all([weights.read(table), weights.read(head)]);
  return a.data.length !== b.data.length || a.data.some((value, i) => value !== b.data[i]);
}
