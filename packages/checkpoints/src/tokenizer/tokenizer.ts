// tokenizer.json through @huggingface/tokenizers, with the few calls this package needs and typed errors.
import { Tokenizer } from '@huggingface/tokenizers';
import type { CheckpointFiles } from '../files/files.ts';
import { optionalJson } from '../files/files.ts';
import { CheckpointError } from '../errors.ts';
import { cleanUpSpaces } from './clean-up.ts';
import { readSpecialTokens } from './special-tokens.ts';
import type { Encoded } from './special-tokens.ts';
import { keptTokens, TRUNCATIONS } from './truncation.ts';
import type { Truncation } from './truncation.ts';

/** Options of {@link TextTokenizer.encode}. */
export interface EncodeOptions {
  /** @defaultValue true */
  readonly addSpecialTokens?: boolean | undefined;
  /** Tokens at most, special ones included: the text is cut, they are not. @defaultValue none */
  readonly maxTokens?: number | undefined;
}

/** Options of {@link TextTokenizer.encodePair}. */
export interface EncodePairOptions extends EncodeOptions {
  /** Which text is cut. @defaultValue 'longest_first' */
  readonly truncation?: Truncation | undefined;
}

/** Options of {@link TextTokenizer.decode}. */
export interface DecodeOptions {
  /** @defaultValue true */
  readonly skipSpecialTokens?: boolean | undefined;
  /**
   * Take out spaces before punctuation and English contractions, that the text may have had.
   *
   * @defaultValue what tokenizer_config.json says (`clean_up_tokenization_spaces`), else false
   */
  readonly cleanUpSpaces?: boolean | undefined;
}

/** A text tokenizer. */
export interface TextTokenizer {
  /** Token ids of a text. @throws CheckpointError `tokenizer` where `maxTokens` leaves nothing of it */
  encode(text: string, options?: EncodeOptions): number[];
  /** Token and segment ids of a pair of texts. @throws CheckpointError `tokenizer` where `maxTokens` leaves nothing of one */
  encodePair(
    first: string,
    second: string,
    options?: EncodePairOptions,
  ): { readonly ids: number[]; readonly typeIds: number[] };
  /** Text of token ids; ids that are no token have none. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** Id of a token, or undefined. */
  tokenId(token: string): number | undefined;
  /** Whether `decode` cleans up spaces where it is not told. @defaultValue false */
  readonly cleansUpSpaces?: boolean;
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
 * console.log(tokenizer!.decode(tokenizer!.encode('It was a dark and stormy night'))); // => It was a dark and stormy night
 * ```
 */
export async function loadTokenizer(files: CheckpointFiles): Promise<TextTokenizer | undefined> {
  const json = await optionalJson(files, 'tokenizer.json');
  if (!json) return undefined;
  return createTokenizer(json, (await optionalJson(files, 'tokenizer_config.json')) ?? {});
}

/** A tokenizer from parsed tokenizer.json and tokenizer_config.json. @throws CheckpointError `tokenizer`. */
export function createTokenizer(json: object, config: object = {}): TextTokenizer {
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(json, config);
  } catch (cause) {
    throw new CheckpointError('tokenizer', 'tokenizer.json cannot be read', {}, { cause });
  }
  const settings = config as Readonly<Record<string, unknown>>;
  const cleansUpSpaces = settings['clean_up_tokenization_spaces'] === true;
  const isCutInFront = settings['truncation_side'] === 'left';
  const tokenId = (token: string): number | undefined => tokenizer.token_to_id(token);
  const special = readSpecialTokens((json as { readonly post_processor?: unknown }).post_processor, tokenId);
  const idsOf = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const cut = (ids: readonly number[], kept: number) =>
    isCutInFront ? ids.slice(ids.length - kept) : ids.slice(0, kept);
  const assemble = (first: readonly number[], second: readonly number[] | undefined, isPlain: boolean): Encoded =>
    isPlain
      ? { ids: [...first, ...(second ?? [])], typeIds: [...first.map(() => 0), ...(second ?? []).map(() => 1)] }
      : special(first, second);
  const encode = (
    first: readonly number[],
    second: readonly number[] | undefined,
    options: EncodePairOptions,
  ): Encoded => {
    const { addSpecialTokens = true, maxTokens = Infinity, truncation = 'longest_first' } = options;
    if (!(Number.isInteger(maxTokens) && maxTokens > 0) && maxTokens !== Infinity) {
      throw new CheckpointError('tokenizer', `maxTokens = ${maxTokens}: expected an integer ≥ 1`, { maxTokens });
    }
    if (!TRUNCATIONS.includes(truncation)) {
      const message = `truncation = ${String(truncation)}: expected ${TRUNCATIONS.join(', ')}`;
      throw new CheckpointError('tokenizer', message, { truncation });
    }
    const added = assemble([], second && [], !addSpecialTokens).ids.length;
    const lengths = [first.length, second?.length ?? 0] as const;
    const [a, b] = keptTokens(lengths, maxTokens - added, truncation);
    return assemble(cut(first, a), second && cut(second, b), !addSpecialTokens);
  };
  return {
    encode: (text, options = {}) => encode(idsOf(text), undefined, options).ids,
    encodePair: (first, second, options = {}) => encode(idsOf(first), idsOf(second), options),
    decode: (ids, options = {}) => {
      const known = ids.filter((id) => tokenizer.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      const text = tokenizer.decode(known, {
        skip_special_tokens: options.skipSpecialTokens ?? true,
        clean_up_tokenization_spaces: false,
      });
      return (options.cleanUpSpaces ?? cleansUpSpaces) ? cleanUpSpaces(text) : text;
    },
    tokenId,
    cleansUpSpaces,
  };
}
