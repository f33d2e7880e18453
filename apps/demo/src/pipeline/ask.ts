// Asks models for the pass-keys of a long text, with dense and with HiP attention.
import { hipModelCache } from '@hip/attention';
import { resolveConfig, type HipConfig } from '@hip/mask-search';
import { generate, prefill, type ElasticModel, type TextTokenizer } from '@instatune/supernet';
import { countFound } from './derived.ts';
import { loadModel } from './model.ts';
import type { DemoOptions } from './options.ts';
import { hidePassKeys, NOVEL_NAME, readNovel, type PassKeyText } from './pass-key.ts';
import { CHUNK } from './prefill.ts';
import type { Answers, PassKeys, Reader } from './result.ts';
import type { RunState } from './state.ts';

/** A space and five digits, a token each in the committed tokenizer. */
const ANSWER_TOKENS = 6;
/** The novel's tokens, and about as far as the committed model finds every key. */
const MOST_TOKENS = 16_384;

export interface AskProgress {
  readonly reader: Reader['model'];
  readonly kind: 'dense' | 'hip';
  readonly tokens: number;
  readonly length: number;
}

export interface AskInputs {
  /** The chosen sub-network, loaded on its own. */
  readonly model: ElasticModel;
  readonly tokenizer: TextTokenizer;
  readonly options: DemoOptions;
  readonly state: RunState;
  /** The longest prefill: no longer text is made. */
  readonly tokens: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: AskProgress) => void;
}

/**
 * Hides pass-keys in a text (the user's document, else a novel) and asks the chosen sub-network for them; where it does not know them
 * all with dense attention, the pretrained full model too. Every reader that is done is recorded.
 *
 * @returns undefined where the text is too short to hide one
 */
export async function askPassKeys(inputs: AskInputs): Promise<PassKeys | undefined> {
  const { model, tokenizer, options, state } = inputs;
  const own = options.document === undefined ? undefined : tokenizer.decode([...state.tokens('document')]);
  const tokens = Math.min(inputs.tokens, MOST_TOKENS);
  const text = hidePassKeys(own ?? readNovel(), tokenizer, { tokens, seed: options.seed });
  const { keys, ids } = text;
  if (keys.length === 0) return undefined;
  const readers: Reader[] = [...(state.facts.readers ?? [])];
  const add = async (name: Reader['model'], asked: ElasticModel): Promise<void> => {
    readers.push(await askBoth(inputs, name, asked, text));
    state.record({ readers });
  };
  if (readers.length === 0) await add('chosen', model);
  if (readers.length === 1 && countFound(keys, readers[0]!.dense) < keys.length) {
    const pretrained = await loadModel(options.model);
    try {
      await add('pretrained', pretrained.model);
    } finally {
      pretrained.model.dispose();
    }
  }
  return { text: own === undefined ? NOVEL_NAME : state.facts.sources.document, tokens: ids.length, keys, readers };
}

async function askBoth(
  { tokenizer, options, signal, onProgress }: AskInputs,
  reader: Reader['model'],
  model: ElasticModel,
  text: PassKeyText,
): Promise<Reader> {
  const { k, denseLayers } = options.longContext;
  const both = { model, tokenizer, text, signal };
  const progress = (kind: AskProgress['kind']) => (tokens: number) =>
    onProgress({ reader, kind, tokens, length: text.ids.length });
  const dense = await ask({ ...both, onProgress: progress('dense') });
  const config = freshConfig({ k, denseLayers });
  const hip = await ask({ ...both, config, onProgress: progress('hip') });
  return { model: reader, dense, hip };
}

/** A configuration of which every stage runs for every token: an answer is a few exact digits. */
export function freshConfig(config: Partial<HipConfig>): HipConfig {
  const resolved = resolveConfig(config);
  const stages = resolved.stages?.map((stage) => ({ ...stage, refresh: 1 }));
  return { ...resolved, refreshInterval: 1, stages };
}

export interface Question {
  readonly model: ElasticModel;
  readonly tokenizer: TextTokenizer;
  readonly text: PassKeyText;
  /** What HiP searches with; absent: dense attention. */
  readonly config?: Partial<HipConfig>;
  readonly signal: AbortSignal;
  readonly onProgress: (tokens: number) => void;
}

/** Reads the text once, then asks for every key as if it were the only question: the cache is taken back after each. */
export async function ask({ model, tokenizer, text, config, signal, onProgress }: Question): Promise<Answers> {
  using cache = hipModelCache(config ? { config, dense: 'never' } : { dense: 'always' });
  const { attention } = cache;
  const options = { attention, chunkTokens: CHUNK, signal };
  const start = performance.now();
  const last = await prefill(model, text.ids, cache, { ...options, onProgress: ({ tokens }) => onProgress(tokens) });
  await last.data();
  last.dispose();
  const ms = performance.now() - start;
  const answers: string[] = [];
  for (const { question } of text.keys) {
    const ids = await generate(model, tokenizer.encode(question, { addSpecialTokens: false }), {
      ...options,
      cache,
      maxTokens: ANSWER_TOKENS,
      temperature: 0,
      stopIds: [],
    });
    cache.truncate(text.ids.length);
    const said = tokenizer.decode(ids);
    answers.push(/^\s*\d+/.exec(said)?.[0].trim() ?? said.trim());
  }
  return { ms, answers };
}
