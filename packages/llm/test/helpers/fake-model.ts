// A model whose tokens are bytes, and whose answers are what a test says.
import { createChatTemplate, createTokenizer, type GenerationDefaults, type TextTokenizer } from '@hip/checkpoints';
import { DraftLength } from '../../src/speculative/draft-length.ts';
import { LanguageModel } from '../../src/model/language-model.ts';
import { FakeEngine, type FakeOptions, type Follow } from './fake-engine.ts';

/** Bytes that ByteLevel writes as they are. */
const PRINTED = [...range(33, 126), ...range(161, 172), ...range(174, 255)];

export const START = 256;
export const END = 257;
export const VOCABULARY = 258;

/** Token id = byte; <|im_start|> and <|im_end|> behind them. */
export function byteTokenizer(): TextTokenizer {
  return createTokenizer(byteTokenizerJson());
}

/** As tokenizer.json. */
export function byteTokenizerJson(): object {
  const others = range(0, 255).filter((byte) => !PRINTED.includes(byte));
  const letter = (byte: number) => String.fromCodePoint(PRINTED.includes(byte) ? byte : 256 + others.indexOf(byte));
  const vocab = Object.fromEntries(range(0, 255).map((byte) => [letter(byte), byte]));
  const added = ['<|im_start|>', '<|im_end|>'].map((content, i) => ({
    id: START + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab, merges: [] },
  };
}

export const TEMPLATE =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

export interface FakeModel {
  readonly model: LanguageModel;
  readonly engine: FakeEngine;
  readonly tokenizer: TextTokenizer;
}

export async function fakeModel(
  options: Partial<FakeOptions> & {
    readonly defaults?: GenerationDefaults;
    readonly template?: string;
    /** What a draft says. */
    readonly draft?: Follow;
  } = {},
): Promise<FakeModel> {
  const engine = new FakeEngine({ follow: hashed, vocabulary: VOCABULARY, ...options });
  const tokenizer = byteTokenizer();
  const template = await createChatTemplate(options.template ?? TEMPLATE);
  const defaults = { stopIds: [END], ...options.defaults };
  const draft = options.draft && {
    engine: new FakeEngine({ vocabulary: VOCABULARY, ...options, follow: options.draft }),
    isOwn: true,
    length: new DraftLength(),
  };
  const plan = async (contextTokens: number) => ({ ...engine.memory, backend: engine.backend, contextTokens });
  return { model: new LanguageModel({ engine, tokenizer, template, defaults, draft }, plan), engine, tokenizer };
}

/** Answers every prompt with these bytes, then a stop. */
export function saying(bytes: ArrayLike<number>): (ids: readonly number[]) => number {
  return (ids) => {
    // The answer begins behind "<|im_start|>assistant\n".
    const from = ids.lastIndexOf(START) + 1 + 'assistant\n'.length;
    return bytes[ids.length - from] ?? END;
  };
}

/** A letter that depends on all ids before it, and an end every tenth time: two conversations that differ answer differently. */
export function hashed(ids: readonly number[]): number {
  let hash = 2166136261;
  for (const id of ids) hash = Math.imul(hash ^ id, 16777619);
  hash ^= hash >>> 15;
  const letter = (hash >>> 3) % 26;
  return (hash >>> 9) % 10 === 0 ? END : 97 + letter;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
