// The tokenizer inside a GGUF file, as the tokenizer.json and tokenizer_config.json that @huggingface/tokenizers reads.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { GgufMetadata } from './header.ts';
import { PRE_TOKENIZERS } from './pre-tokenizers.ts';
import { sentencePieceMerges, sentencePieceParts } from './sentencepiece.ts';

/** `tokenizer.ggml.token_type`. */
const TOKEN_TYPE = { unknown: 2, control: 3, userDefined: 4 } as const;

/** What tokenizer.json and tokenizer_config.json hold. */
export interface TokenizerFiles {
  readonly json: Record<string, unknown>;
  readonly config: Record<string, unknown>;
}

/**
 * The tokenizer of a GGUF file: byte-pair encoding (`gpt2`, cut by one of the known pre-tokenizers) or SentencePiece BPE (`llama`).
 *
 * @returns undefined where the file has no tokens
 * @throws CheckpointError `tokenizer` for other models and pre-tokenizers
 *
 * @example
 * ```ts
 * import { createTokenizer, fileSource, ggufTokenizer, openGguf } from '@hip/checkpoints';
 *
 * const file = await openGguf(await fileSource('./SmolLM2-135M-Instruct.Q4_1.gguf'));
 * const { json, config } = ggufTokenizer(file.metadata)!;
 * console.log(createTokenizer(json, config).encode('What is the capital of France?').join()); // => 1780,314,260,3575,282,4649,47
 * await file.close();
 * ```
 */
export function ggufTokenizer(metadata: GgufMetadata): TokenizerFiles | undefined {
  const model = metadata.get('tokenizer.ggml.model');
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (model === undefined || !Array.isArray(tokens)) return undefined;
  const vocabulary = new Map((tokens as readonly string[]).map((token, id) => [token, id]));
  const parts = partsOf(metadata, String(model), tokens as readonly string[], vocabulary);
  const config = tokenizerConfig(metadata, parts.addBos);
  const marker = (add: unknown, text: string | undefined) => (add === true ? text : undefined);
  const addEos = metadata.get('tokenizer.ggml.add_eos_token');
  return {
    json: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(tokens as readonly string[], numbers(metadata, 'token_type')),
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: template(
        marker(config['add_bos_token'], config['bos_token'] as string | undefined),
        marker(addEos, config['eos_token'] as string | undefined),
        vocabulary,
      ),
      decoder: parts.decoder,
      model: parts.model,
    },
    config,
  };
}

/** tokenizer_config.json: the special tokens by their texts. @param addBos - whether texts begin with the first token where the file does not say */
export function tokenizerConfig(metadata: GgufMetadata, addBos = false): Record<string, unknown> {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  const names = { bos: 'bos', eos: 'eos', unknown: 'unk', padding: 'pad' };
  const texts = Object.fromEntries(
    Object.entries(names).flatMap(([ggml, name]) => {
      const id = metadata.get(`tokenizer.ggml.${ggml}_token_id`);
      const text = typeof id === 'number' && Array.isArray(tokens) ? (tokens[id] as unknown) : undefined;
      return typeof text === 'string' ? [[`${name}_token`, text]] : [];
    }),
  );
  const add = texts['bos_token'] !== undefined && (metadata.get('tokenizer.ggml.add_bos_token') ?? addBos) === true;
  return { ...texts, add_bos_token: add, clean_up_tokenization_spaces: false };
}

interface Parts {
  readonly normalizer: object | null;
  readonly preTokenizer: object | null;
  readonly decoder: object;
  readonly model: object;
  readonly addBos: boolean;
}

function partsOf(
  metadata: GgufMetadata,
  model: string,
  tokens: readonly string[],
  vocabulary: ReadonlyMap<string, number>,
): Parts {
  if (model === 'gpt2') return bytePairParts(metadata, vocabulary);
  if (model === 'llama') {
    const addSpace = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
    const unknown = numbers(metadata, 'token_type').indexOf(TOKEN_TYPE.unknown);
    const merges = sentencePieceMerges(vocabulary, numbers(metadata, 'scores'));
    return { ...sentencePieceParts(vocabulary, merges, tokens[unknown], addSpace), addBos: true };
  }
  const message = `the GGUF's tokenizer model ${quoted(model)} is not read (read: gpt2, llama): open the model from a folder with its tokenizer.json`;
  throw new CheckpointError('tokenizer', message, { model });
}

function bytePairParts(metadata: GgufMetadata, vocabulary: ReadonlyMap<string, number>): Parts {
  const name = metadata.get('tokenizer.ggml.pre') ?? 'default';
  const pre = PRE_TOKENIZERS.get(String(name));
  if (!pre) {
    const known = [...PRE_TOKENIZERS.keys()].join(', ');
    const message = `the GGUF's pre-tokenizer ${quoted(name)} is not known (known: ${known}): open the model from a folder with its tokenizer.json`;
    throw new CheckpointError('tokenizer', message, { pre: name });
  }
  return {
    ...pre,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      vocab: Object.fromEntries(vocabulary),
      merges: metadata.get('tokenizer.ggml.merges') ?? [],
    },
  };
}

/** Control tokens are special; user-defined ones are found in texts, too. */
function addedTokens(tokens: readonly string[], types: readonly number[]): object[] {
  return tokens.flatMap((content, id) => {
    const type = types[id];
    if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined && type !== TOKEN_TYPE.unknown) return [];
    const special = type !== TOKEN_TYPE.userDefined;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function template(
  bos: string | undefined,
  eos: string | undefined,
  vocabulary: ReadonlyMap<string, number>,
): object | null {
  if (bos === undefined && eos === undefined) return null;
  const token = (id: string | undefined, type: number) =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: type } }];
  const around = (name: string, type: number) => [
    ...token(bos, type),
    { Sequence: { id: name, type_id: type } },
    ...token(eos, type),
  ];
  const used = [bos, eos].filter((text) => text !== undefined);
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(used.map((id) => [id, { id, ids: [vocabulary.get(id)], tokens: [id] }])),
  };
}

function numbers(metadata: GgufMetadata, key: string): readonly number[] {
  const value = metadata.get(`tokenizer.ggml.${key}`);
  return Array.isArray(value) ? (value as readonly number[]) : [];
}
