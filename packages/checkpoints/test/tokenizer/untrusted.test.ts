// tokenizer.json that nobody vouches for, and where JavaScript's ways are not Rust's: patterns, ids, words, spaces, sigmas.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { memoryFiles } from '../../src/files/files.ts';
import { PRE_TOKENIZERS } from '../../src/gguf/pre-tokenizers.ts';
import { compilePattern } from '../../src/tokenizer/patterns.ts';
import { createTokenizer, loadTokenizer } from '../../src/tokenizer/tokenizer.ts';

const letters = Array.from('abcdeABCΣσςé!?,.▁ 0123456789#\uFEFF\u0085');
const base = {
  version: '1.0',
  added_tokens: [] as object[],
  normalizer: null as object | null,
  pre_tokenizer: null as object | null,
  post_processor: null,
  decoder: null,
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: Object.fromEntries(letters.map((c, id) => [c, id])),
    merges: [] as unknown[],
  },
};
/** A tokenizer that gives each piece as one token: its vocabulary is the pieces. */
const piecesOf = (part: object, pieces: readonly string[]) => {
  const vocab = Object.fromEntries(['[UNK]', ...new Set(pieces)].map((piece, id) => [piece, id]));
  const model = {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab,
  };
  const tokenizer = createTokenizer({ ...base, ...part, model });
  const texts = ['[UNK]', ...new Set(pieces)];
  return (text: string) => tokenizer.encode(text).map((id) => texts[id]);
};
const regex = (source: string) => ({
  ...base,
  pre_tokenizer: { type: 'Split', pattern: { Regex: source }, behavior: 'Isolated', invert: false },
});

describe('patterns', () => {
  it.each([
    '^(a+)+$',
    '(a|a)*$',
    '(a|aa)+$',
    '(.*)*x',
    String.raw`(\w+\s?)+$`,
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '(x+x+)+y',
    '(a?b?)*c',
    '((ab)*)*d',
    '(a|b|ab)*c',
    '(a{1,3})+b',
    '(?=(a+)+$)x',
    '(?:a|b|[ab])*c',
    'a*a*a*b',
    '.*a.*a.*b',
    String.raw`(a)\1`,
    '(a+){10}$',
    String.raw`(?:\p{L}+\p{M}*)+x`,
    '([^x]*,?)*$',
  ])('%s is refused before it is run', (source) => {
    expect(() => createTokenizer(regex(source))).toThrow(CheckpointError);
    const replacing = { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: { Regex: source }, content: '' }] };
    expect(() => createTokenizer({ ...base, normalizer: replacing })).toThrow(/is not run/);
    const decoder = { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { Regex: source }, content: '' }] };
    expect(() => createTokenizer({ ...base, decoder })).toThrow(/is not run/);
  });

  it.each([
    String.raw`(?:\r?\n)+`,
    '(?:ab)+',
    '([^,]*,)*x',
    String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))`,
    '[^(\\s|[.,!?])]+',
    '(a|b)*c',
  ])('%s is run', (source) => {
    expect(createTokenizer(regex(source)).encode('ab!')).toEqual([0, 1, letters.indexOf('!')]);
  });

  it('of every published pre-tokenizer are run', () => {
    const sources = (part: unknown): string[] =>
      typeof part !== 'object' || part === null
        ? []
        : Object.entries(part).flatMap(([key, value]) => (key === 'Regex' ? [value as string] : sources(value)));
    const all = [...PRE_TOKENIZERS.values()].flatMap(sources);
    expect(all.length).toBeGreaterThan(5);
    for (const source of all) expect(compilePattern({ Regex: source })).toBeInstanceOf(RegExp);
  });
});

describe('vocabularies', () => {
  const withModel = (model: object, more: object = {}) => ({ ...base, ...more, model: { ...base.model, ...model } });
  it.each<[string, object]>([
    ['an id that is a text', withModel({ vocab: { a: 'x' } })],
    ['a negative id', withModel({ vocab: { a: -1 } })],
    ['a broken id', withModel({ vocab: { a: 0.5 } })],
    ['an id beyond int32', withModel({ vocab: { a: 2 ** 40 } })],
    ['two tokens of one id', withModel({ vocab: { a: 0, b: 0 } })],
    ['a vocabulary that is a text', withModel({ vocab: 'abc' })],
    ['no model', { ...base, model: undefined }],
    ['merges of no token', withModel({ merges: ['a z'] })],
    ['merges that make no token', withModel({ merges: ['a b'] })],
    ['merges of three', withModel({ merges: [['a', 'b', 'c']] })],
    ['merges that are numbers', withModel({ merges: [7] })],
    ['an added token without an id', withModel({}, { added_tokens: [{ content: 'x' }] })],
    ['an added token without a text', withModel({}, { added_tokens: [{ id: 1 }] })],
    ['added tokens that are none', withModel({}, { added_tokens: 7 })],
    ['an unknown normalizer', withModel({}, { normalizer: { type: 'Magic' } })],
    ['an unknown pre-tokenizer', withModel({}, { pre_tokenizer: { type: 'Magic' } })],
    ['a normalizer that is a text', withModel({}, { normalizer: 'Lowercase' })],
    ['scores that are none', { ...base, model: { type: 'Unigram', vocab: [['a', 'x']], unk_id: 0 } }],
    ['an unknown token beyond the vocabulary', { ...base, model: { type: 'Unigram', vocab: [['a', 0]], unk_id: 7 } }],
  ])('with %s are refused', (_, json) => {
    expect(() => createTokenizer(json)).toThrow(
      expect.objectContaining({ name: 'CheckpointError', code: 'tokenizer' }) as Error,
    );
  });

  it('any changed value is a tokenizer or a typed error, and so is any text', () => {
    const paths = ['added_tokens', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder', 'model'] as const;
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.jsonValue(), fc.string({ unit: 'binary' }), (path, value, text) => {
        let error: unknown;
        try {
          const tokenizer = createTokenizer({ ...base, [path]: value });
          tokenizer.decode(tokenizer.encode(text));
        } catch (thrown) {
          error = thrown;
        }
        expect(error === undefined || error instanceof CheckpointError, String(error)).toBe(true);
      }),
      { numRuns: 300 },
    );
    expect(() => createTokenizer(base).encode(7 as unknown as string)).toThrow(CheckpointError);
  });
});

describe('as Rust has it', () => {
  const added = (more: object) => ({ added_tokens: [{ id: 90, content: 'ab', normalized: false, ...more }] });
  it('a token that is a single word is found only as one', () => {
    const words = createTokenizer({ ...base, ...added({ single_word: true }) });
    expect(words.encode('ab,abc ab')).toEqual([90, letters.indexOf(','), 0, 1, 2, letters.indexOf(' '), 90]);
    expect(words.encode('éab')).not.toContain(90);
    expect(createTokenizer({ ...base, ...added({}) }).encode('abc')).toEqual([90, 2]);
  });
  it('tokens take the spaces beside them, but no U+FEFF', () => {
    expect(createTokenizer({ ...base, ...added({ lstrip: true, rstrip: true }) }).encode('c  ab c')).toEqual([
      2, 90, 2,
    ]);
    expect(createTokenizer({ ...base, ...added({ lstrip: true }) }).encode('\uFEFFab')).toEqual([
      letters.indexOf('\uFEFF'),
      90,
    ]);
  });
  it('a final sigma is lower-cased like any other', () => {
    const lower = createTokenizer({ ...base, normalizer: { type: 'Lowercase' } });
    expect(lower.decode(lower.encode('AΣ'), { skipSpecialTokens: false }).replaceAll(' ', '')).toBe('aσ');
    const bert = {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    };
    expect(
      piecesOf({ normalizer: bert, pre_tokenizer: { type: 'BertPreTokenizer' } }, ['οδοσ', '𠀀', 'a'])('ΟΔΟΣ a𠀀a'),
    ).toEqual(['οδοσ', 'a', '𠀀', 'a']);
  });
  it('U+FEFF is no space, U+0085 is one', () => {
    const pieces = piecesOf({ pre_tokenizer: { type: 'WhitespaceSplit' } }, ['a\uFEFFb', 'c']);
    expect(pieces('a\uFEFFb\u0085c')).toEqual(['a\uFEFFb', 'c']);
    const strip = { type: 'Strip', strip_left: true, strip_right: true };
    expect(piecesOf({ normalizer: strip }, ['\uFEFFa'])(' \u0085\uFEFFa\u2003')).toEqual(['\uFEFFa']);
    const bytes = createTokenizer({
      ...base,
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
      model: { ...base.model, vocab: { '<0xEF>': 0, '<0xBB>': 1, '<0xBF>': 2, a: 3 } },
    });
    expect(bytes.decode([0, 1, 2, 3])).toBe('\uFEFFa');
  });
  it('Metaspace splits, unless it is told not to', () => {
    const all = ['▁a', '▁b', '▁a▁b', 'a', '▁'];
    const metaspace = (more: object) =>
      piecesOf({ pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', ...more } }, all);
    expect(metaspace({})('a b')).toEqual(['▁a', '▁b']);
    expect(metaspace({})('a  b')).toEqual(['▁a', '▁', '▁b']);
    expect(metaspace({ split: false })('a b')).toEqual(['▁a▁b']);
    expect(metaspace({ prepend_scheme: 'never' })('a b')).toEqual(['a', '▁b']);
  });
  it.each([
    [undefined, ['a', '!', '?', 'b', '^']],
    ['Isolated', ['a', '!', '?', 'b', '^']],
    ['Removed', ['a', 'b']],
    ['MergedWithPrevious', ['a!', '?', 'b^']],
    ['MergedWithNext', ['a', '!', '?b', '^']],
    ['Contiguous', ['a', '!?', 'b', '^']],
  ])('Punctuation cuts as %s', (behavior, pieces) => {
    expect(piecesOf({ pre_tokenizer: { type: 'Punctuation', behavior } }, pieces)('a!?b^')).toEqual(pieces);
  });
  it('Whitespace and Digits know other scripts', () => {
    expect(piecesOf({ pre_tokenizer: { type: 'Whitespace' } }, ['héllo', '!!', 'wörld'])('héllo!! wörld')).toEqual([
      'héllo',
      '!!',
      'wörld',
    ]);
    expect(piecesOf({ pre_tokenizer: { type: 'Digits', individual_digits: true } }, ['a', '١', '2'])('a١2')).toEqual([
      'a',
      '١',
      '2',
    ]);
    expect(piecesOf({ pre_tokenizer: { type: 'Digits' } }, ['a', '١2'])('a١2')).toEqual(['a', '١2']);
  });
  it('Replace writes what it is told, dollars too', () => {
    expect(
      piecesOf({ normalizer: { type: 'Replace', pattern: { String: 'a' }, content: '$&' } }, ['$&b'])('ab'),
    ).toEqual(['$&b']);
  });
});

describe('vocab.txt alone', () => {
  const at = (vocab: string, config: object = {}) =>
    loadTokenizer(
      memoryFiles(
        new Map(
          Object.entries({ 'vocab.txt': vocab, 'tokenizer_config.json': JSON.stringify(config) }).map(
            ([name, text]) => [name, new TextEncoder().encode(text)],
          ),
        ),
      ),
    );
  const VOCAB = '\uFEFF[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\nworld\n!\nHello\n';
  it('is BERT’s tokenizer', async () => {
    const tokenizer = (await at(VOCAB))!;
    expect(tokenizer.encode('Hellos, world!')).toEqual([2, 5, 6, 1, 7, 8, 3]);
    expect(tokenizer.encodePair('hello', '[MASK]')).toEqual({ ids: [2, 5, 3, 4, 3], typeIds: [0, 0, 0, 1, 1] });
    expect(tokenizer.decode(tokenizer.encode('hellos world'))).toBe('hellos world');
    expect((await at(VOCAB.replaceAll('\n', '\r\n'), { do_lower_case: false }))!.encode('Hello')).toEqual([2, 9, 3]);
  });
  it('of another kind is refused in words', async () => {
    await expect(at('the 1\nof 2\n')).rejects.toMatchObject({
      code: 'tokenizer',
      message: /vocab\.txt .*tokenizer\.json/,
    });
  });
});
