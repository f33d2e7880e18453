// tokenizer.json through @huggingface/tokenizers, with the few calls this package needs and typed errors.
import { Tokenizer } from '@huggingface/tokenizers';
import type { CheckpointFiles } from '../files/files.ts';
import { readJson } from '../files/files.ts';
import { CheckpointError } from '../errors.ts';

/** A text tokenizer. */
export interface TextTokenizer {
  /** Token ids of a text. @defaultValue addSpecialTokens = true */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean | undefined }): number[];
  /** Token and segment ids of a pair of texts, special tokens included. */
  encodePair(first: string, second: string): { readonly ids: number[]; readonly typeIds: number[] };
  /** Text of token ids. @defaultValue skipSpecialTokens = true */
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean | undefined }): string;
  /** Id of a token, or undefined. */
  tokenId(token: string): number | undefined;
}

/**
 * Reads tokenizer.json (and tokenizer_config.json) of a checkpoint; undefined when it has none.
 *
 * @throws CheckpointError `invalid-config` (no JSON), `tokenizer`, and what reading the files throws
 *
 * @example
 * ```ts
 * import { folderFiles, loadTokenizer } from '@hip/checkpoints';
 *
 * const tokenizer = await loadTokenizer(folderFiles('./books-lm-6m'));
 * console.log(tokenizer!.decode(tokenizer!.encode('It was a dark and stormy night')));
 * ```
 */
export async function loadTokenizer(files: CheckpointFiles): Promise<TextTokenizer | undefined> {
  const json = await readJson(files, 'tokenizer.json');
  if (!json) return undefined;
  return createTokenizer(json, (await readJson(files, 'tokenizer_config.json')) ?? {});
}

/** A tokenizer from parsed tokenizer.json and tokenizer_config.json. @throws CheckpointError `tokenizer`. */
export function createTokenizer(json: object, config: object = {}): TextTokenizer {
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(json, config);
  } catch (cause) {
    throw new CheckpointError('tokenizer', 'tokenizer.json cannot be read', {}, { cause });
  }
  return {
    encode: (text, options = {}) =>
      tokenizer.encode(text, { add_special_tokens: options.addSpecialTokens ?? true }).ids,
    encodePair: (first, second) => {
      const encoded = tokenizer.encode(first, { text_pair: second, return_token_type_ids: true });
      return { ids: encoded.ids, typeIds: encoded.token_type_ids ?? encoded.ids.map(() => 0) };
    },
    decode: (ids, options = {}) =>
      ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: options.skipSpecialTokens ?? true }),
    tokenId: (token) => tokenizer.token_to_id(token),
  };
}
