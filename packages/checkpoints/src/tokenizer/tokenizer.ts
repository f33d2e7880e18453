// tokenizer.json through @huggingface/tokenizers, with the few calls this package needs and typed errors.
import { Tokenizer } from '@huggingface/tokenizers';
import type { CheckpointFiles } from '../files/files.ts';
import { optionalJson, optionalText } from '../files/files.ts';
import { brief, quoted } from '../quote.ts';
import { CheckpointError } from '../errors.ts';
import { readAddedTokens, tokenFinder } from './added-tokens.ts';
import { checkModel } from './check-model.ts';
import { cleanUpSpaces } from './clean-up.ts';
import { lowercase, readNormalizer, trimBack, trimFront } from './normalizers.ts';
import { wrong } from './patterns.ts';
import type { Part } from './patterns.ts';
import { readPreTokenizer } from './pre-tokenizers.ts';
import { readSpecialTokens } from './special-tokens.ts';
import type { Encoded } from './special-tokens.ts';
import { keptTokens, TRUNCATIONS } from './truncation.ts';
import type { Truncation } from './truncation.ts';
import { vocabTokenizer } from './vocab-txt.ts';

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
 * Reads tokenizer.json (and tokenizer_config.json) of a checkpoint, or a WordPiece `vocab.txt` that comes alone; undefined when it has none.
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
  const vocabulary = json ? undefined : await optionalText(files, 'vocab.txt');
  if (!json && vocabulary === undefined) return undefined;
  const config = (await optionalJson(files, 'tokenizer_config.json')) ?? {};
  return createTokenizer(json ?? vocabTokenizer(vocabulary as string, config), config);
}

/**
 * A tokenizer from parsed tokenizer.json and tokenizer_config.json. Ids and merges are checked; patterns that may run for ever (nested
 * repetitions that cut one text in many ways) are refused.
 *
 * @throws CheckpointError `tokenizer`
 */
export function createTokenizer(json: object, config: object = {}): TextTokenizer {
  const parts = json as Part;
  checkModel(parts);
  const added = readAddedTokens(parts['added_tokens']);
  const normalize = readNormalizer(parts['normalizer']);
  const preTokenize = readPreTokenizer(parts['pre_tokenizer']);
  let tokenizer: Tokenizer;
  try {
    // What comes before the vocabulary is done here, and what comes after it.
    const own = { added_tokens: [], ...parts, decoder: parts['decoder'] ?? null };
    tokenizer = new Tokenizer({ ...own, normalizer: null, pre_tokenizer: null, post_processor: null }, config);
    keepMarks(tokenizer.decoder);
  } catch (cause) {
    throw wrong(`it cannot be read: ${cause instanceof Error ? brief(cause.message) : quoted(cause)}`, {}, cause);
  }
  const settings = config as Readonly<Record<string, unknown>>;
  const cleansUpSpaces = settings['clean_up_tokenization_spaces'] === true;
  const isCutInFront = settings['truncation_side'] === 'left';
  const tokenId = (token: string): number | undefined => tokenizer.token_to_id(token);
  const special = readSpecialTokens((json as { readonly post_processor?: unknown }).post_processor, tokenId);
  const findRaw = tokenFinder(added.filter(({ isNormalized }) => !isNormalized));
  const findNormalized = tokenFinder(
    added.filter(({ isNormalized }) => isNormalized),
    normalize,
  );
  const model = tokenizer.model as unknown as ((pieces: readonly string[]) => readonly string[]) & {
    readonly unk_token_id?: number;
  };
  const prepare = preparation(settings);
  const tokenIds = (pieces: readonly string[]): number[] =>
    model(pieces).map((token) => {
      const id = tokenizer.token_to_id(token) ?? model.unk_token_id;
      if (id === undefined)
        throw wrong(`a text holds ${quoted(token)}, for which there is no token, nor one for unknown ones`);
      return id;
    });
  const idsOf = (text: string): number[] => {
    if (typeof text !== 'string') {
      throw new CheckpointError('tokenizer', `the text is ${quoted(text)}, expected a string`, { text });
    }
    return findRaw(text, true).flatMap((section) => {
      if ('id' in section) return [section.id];
      return findNormalized(normalize(prepare(section.text)), section.isFirst).flatMap((part) =>
        'id' in part ? [part.id] : tokenIds(preTokenize(part.text, part.isFirst).filter((piece) => piece !== '')),
      );
    });
  };
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
      let text: string;
      try {
        text = tokenizer.decode(known, {
          skip_special_tokens: options.skipSpecialTokens ?? true,
          clean_up_tokenization_spaces: false,
        });
      } catch (cause) {
        throw wrong(`these ids cannot be decoded: ${quoted(known)}`, {}, cause);
      }
      return (options.cleanUpSpaces ?? cleansUpSpaces) ? cleanUpSpaces(text) : text;
    },
    tokenId,
    cleansUpSpaces,
  };
}

/** What tokenizer_config.json of some older tokenizers asks for before anything else. */
function preparation(settings: Readonly<Record<string, unknown>>): (text: string) => string {
  const removes = settings['remove_space'] === true;
  const lowers = settings['do_lowercase_and_remove_accent'] === true;
  return (text) => {
    const spaced = removes ? trimBack(trimFront(text)).replaceAll(/\p{White_Space}+/gu, ' ') : text;
    return lowers ? lowercase(spaced).replaceAll(/\p{M}/gu, '') : spaced;
  };
}

/** Decoders that would take U+FEFF for a byte order mark keep it. */
function keepMarks(decoder: unknown): void {
  if (typeof decoder !== 'function' && (typeof decoder !== 'object' || decoder === null)) return;
  const held = decoder as { text_decoder?: TextDecoder; readonly decoders?: readonly unknown[] };
  if (held.text_decoder) held.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  for (const inner of held.decoders ?? []) keepMarks(inner);
}
