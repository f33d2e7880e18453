// loadLanguageModel: a checkpoint, wherever it is, as a model that answers.
import {
  openCheckpoint,
  type ChatTemplate,
  type CheckpointFiles,
  type OpenCheckpoint,
  type OpenOptions,
} from '@hip/checkpoints';
import { loadEngine } from '../engine/load.ts';
import { planEngine } from '../engine/plan.ts';
import type { EngineOptions } from '../engine/types.ts';
import { DraftLength } from '../speculative/draft-length.ts';
import { requireSameTokens, type DraftParts } from '../speculative/load-draft.ts';
import { LanguageModel } from './language-model.ts';
import type { ModelParts } from './parts.ts';

/** Options of {@link loadLanguageModel}: how the checkpoint's files are found and kept (`cache`), and the engine's. */
export interface LoadOptions extends OpenOptions, Omit<EngineOptions, 'cache' | 'signal'> {
  /** Type of keys and values in the cache. @defaultValue 'f16' */
  readonly cacheType?: EngineOptions['cache'];
  /** @defaultValue the checkpoint's */
  readonly template?: ChatTemplate | undefined;
  /**
   * A smaller model of the same tokenizer that proposes tokens, which one step then checks together: a sub-network of this one, a smaller
   * model of its family, or one that is loaded already and stays the caller's. It is loaded with the options of this one. Texts are what they
   * are without it; whether they come sooner depends on the machine: see the guide.
   *
   * @defaultValue none
   */
  readonly draft?: string | CheckpointFiles | OpenCheckpoint | LanguageModel | undefined;
}

/**
 * Loads a language model: weights into memory as they are stored, tokenizer, chat template and the advice of its makers.
 *
 * @param source - a folder, a GGUF file, an `http(s)://` address, `hf://owner/name`; files; an open checkpoint, which stays open
 * @throws CheckpointError where the files are not what they should be; LlmError `unsupported-model`, `invalid-input`, `out-of-memory`
 * (before anything is allocated), `aborted`. Nothing is left behind
 *
 * @example
 * ```ts
 * import { loadLanguageModel } from '@hip/llm';
 *
 * using model = await loadLanguageModel('./SmolLM2-135M-Instruct.Q4_1.gguf', { contextTokens: 2048 });
 * const prompt = model.tokenizer.encode('The capital of France is');
 * const ids = await model.generate(prompt, { maxTokens: 2, temperature: 0 });
 * console.log(model.tokenizer.decode(ids).trim()); // => Paris.
 * ```
 */
export async function loadLanguageModel(
  source: string | CheckpointFiles | OpenCheckpoint,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  if (isOpen(source)) return fromCheckpoint(source, options);
  await using checkpoint = await openCheckpoint(source, options);
  return await fromCheckpoint(checkpoint, options);
}

async function fromCheckpoint(checkpoint: OpenCheckpoint, options: LoadOptions): Promise<LanguageModel> {
  // Small files first: what is wrong with them is said before the weights are read.
  const [tokenizer, template, defaults] = await Promise.all([
    checkpoint.tokenizer(),
    options.template ?? checkpoint.chatTemplate(),
    checkpoint.generation(),
  ]);
  const { cacheType: cache, weights, contextTokens, attention, threads, signal, onProgress } = options;
  const { backend, device, memoryLimit, cacheTokens, conversations, offload } = options;
  const placed = { backend, device, memoryLimit, cacheTokens, conversations, offload, threads };
  const engineOptions: EngineOptions = { ...placed, cache, weights, contextTokens, attention, signal, onProgress };
  const engine = await loadEngine(checkpoint, engineOptions);
  const draft = await draftFor({ engine, tokenizer }, options).catch((error: unknown) => {
    engine.close();
    throw error;
  });
  const plan = (tokens: number) => planEngine(checkpoint, { ...engineOptions, contextTokens: tokens });
  return new LanguageModel({ engine, tokenizer, template, defaults: defaults ?? {}, draft }, plan);
}

/** @throws LlmError `invalid-input` for other tokens; what loading throws */
async function draftFor(model: DraftParts, { draft, ...options }: LoadOptions): Promise<ModelParts['draft']> {
  if (draft === undefined) return undefined;
  const isOwn = !(draft instanceof LanguageModel);
  // It attends as the model does, and to as long a text.
  const { contextTokens } = model.engine;
  const loaded = isOwn ? await loadLanguageModel(draft, { ...options, contextTokens, onProgress: undefined }) : draft;
  try {
    requireSameTokens(model, loaded.draftParts);
    return { engine: loaded.draftParts.engine, isOwn, length: new DraftLength() };
  } catch (error) {
    if (isOwn) loaded.close();
    throw error;
  }
}

function isOpen(source: string | CheckpointFiles | OpenCheckpoint): source is OpenCheckpoint {
  return typeof source === 'object' && 'weights' in source;
}
