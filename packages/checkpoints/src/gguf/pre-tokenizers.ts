// How text is cut before byte-pair encoding, by the name a GGUF file gives it (`tokenizer.ggml.pre`).

/** Parts of tokenizer.json that follow from the name. */
export interface PreTokenizer {
  readonly preTokenizer: object;
  readonly normalizer: object | null;
  /** Words that are tokens are taken whole, without merging (Llama 3, Tekken). */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with the first token where the file does not say. */
  readonly addBos: boolean;
}

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: readonly object[]) => ({ type: 'Sequence', pretokenizers });
const split = (regex: string) => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const byRegex = (...regexes: readonly string[]) => sequence(...regexes.map(split), byteLevel(false));

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const words = (numbers: string) =>
  String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|${numbers}| ?[^\s\p{L}\p{N}]+[\r\n]*|${TAIL}`;
const UPPER = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`;
const LOWER = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`;
const cased = (suffix: string, numbers: string) =>
  [
    String.raw`[^\r\n\p{L}\p{N}]?[${UPPER}]*[${LOWER}]+${suffix}`,
    String.raw`[^\r\n\p{L}\p{N}]?[${UPPER}]+[${LOWER}]*${suffix}`,
    numbers,
    String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`,
    TAIL,
  ].join('|');

const kind = (preTokenizer: object, more: Partial<PreTokenizer> = {}): PreTokenizer => ({
  preTokenizer,
  normalizer: null,
  ignoreMerges: false,
  addBos: false,
  ...more,
});

const GPT2 = kind(byteLevel(true));
const DIGITS = kind(sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)));
const THREE_DIGITS = kind(byRegex(words(String.raw`\p{N}{1,3}`)));
const LLAMA3: PreTokenizer = { ...THREE_DIGITS, ignoreMerges: true, addBos: true };
const QWEN2 = kind(byRegex(words(String.raw`\p{N}`)), { normalizer: { type: 'NFC' } });
const O200K = kind(byRegex(cased(`${CONTRACTIONS}?`, String.raw`\p{N}{1,3}`)));
const TEKKEN = kind(byRegex(cased('', String.raw`\p{N}`)), { ignoreMerges: true, addBos: true });
/** What files without a name are cut by. */
const UNNAMED = kind(
  byRegex(
    String.raw`[\p{P}\$\+<=>\^~\|]+`,
    String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`,
    String.raw`\p{N}+`,
    '[0-9][0-9][0-9]',
  ),
);

const groups: readonly (readonly [PreTokenizer, readonly string[]])[] = [
  [UNNAMED, ['default']],
  [GPT2, ['gpt-2', 'gpt2', 'mpt', 'olmo', 'jais', 'phi-2', 'roberta-bpe']],
  [DIGITS, ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b']],
  [LLAMA3, ['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2']],
  [THREE_DIGITS, ['dbrx', 'smaug-bpe', 'chatglm-bpe', 'glm4']],
  [QWEN2, ['qwen2', 'deepseek-r1-qwen', 'megrez', 'stablelm2', 'hunyuan']],
  [O200K, ['gpt-4o', 'llama4']],
  [TEKKEN, ['tekken']],
];

/** By name. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map(
  groups.flatMap(([preTokenizer, names]) => names.map((name) => [name, preTokenizer] as const)),
);
