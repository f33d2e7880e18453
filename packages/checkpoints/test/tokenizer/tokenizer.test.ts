// What is encoded comes back as it was; pairs have the segments and the lengths that transformers gives them.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TextTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { keptTokens } from '../../src/tokenizer/truncation.ts';

const word = fc.constantFrom('a', 'bb', 'hello', 'the', 'of', 'x', '7', 'é', '?');
const sentence = fc.array(word, { minLength: 1, maxLength: 12 }).map((words) => words.join(' '));

const LETTERS = 'a b c d e f g h i j'.split(' ');

/** Words of an alphabet, each its own token; special tokens [CLS] 0 and [SEP] 1. */
function wordTokenizer(postProcessor: object | null, config: object = {}): TextTokenizer {
  const words = ['[CLS]', '[SEP]', '[UNK]', ...LETTERS];
  return createTokenizer(
    {
      added_tokens: words.slice(0, 3).map((content, id) => ({ id, content, special: true })),
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: postProcessor,
      decoder: null,
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        vocab: Object.fromEntries(words.map((text, id) => [text, id])),
      },
    },
    config,
  );
}

const BERT = { type: 'BertProcessing', sep: ['[SEP]', 1], cls: ['[CLS]', 0] };
const ROBERTA = { ...BERT, type: 'RobertaProcessing' };
const TEMPLATE = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '[CLS]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [
    { Sequence: { id: 'A', type_id: 2 } },
    { SpecialToken: { id: '[SEP]', type_id: 0 } },
    { Sequence: { id: 'B', type_id: 1 } },
  ],
  special_tokens: { '[CLS]': { ids: [0] }, '[SEP]': { ids: [1, 2] } },
};

describe('special tokens and segments', () => {
  it('BERT has two segments, RoBERTa one, a template what it says, and nothing two', () => {
    const pair = (processor: object | null) => {
      const { ids, typeIds } = wordTokenizer(processor).encodePair('a b', 'c');
      return [ids.join(' '), typeIds.join(' ')];
    };
    expect(pair(BERT)).toEqual(['0 3 4 1 5 1', '0 0 0 0 1 1']);
    expect(pair(ROBERTA)).toEqual(['0 3 4 1 1 5 1', '0 0 0 0 0 0 0']);
    expect(pair(TEMPLATE)).toEqual(['3 4 1 2 5', '2 2 0 0 1']);
    expect(pair({ type: 'Sequence', processors: [{ type: 'ByteLevel' }, ROBERTA] })).toEqual(pair(ROBERTA));
    for (const none of [null, { type: 'ByteLevel' }]) expect(pair(none)).toEqual(['3 4 5', '0 0 1']);
    // A second text without words is a second text.
    expect(wordTokenizer(BERT).encodePair('a', '').ids).toEqual([0, 3, 1, 1]);
    expect(() => wordTokenizer({ ...BERT, type: 'Other' })).toThrow(expect.objectContaining({ code: 'tokenizer' }));
  });

  const models = ['bert-mini', 'minilm-l6', 'books-lm-6m', 'smollm2-135m-instruct'];
  const missing = missingShared(...models.map((name) => `models/${name}/tokenizer.json`));
  it.skipIf(missing).each(models)(`%s: as the library puts them${missing}`, (name) => {
    const json = JSON.parse(readFileSync(`${sharedPath('models', name)}/tokenizer.json`, 'utf8')) as object;
    const [own, library] = [createTokenizer(json), new Tokenizer(json, {})];
    fc.assert(
      fc.property(sentence, sentence, (first, second) => {
        expect(own.encode(first)).toEqual(library.encode(first).ids);
        const pair = library.encode(first, { text_pair: second, return_token_type_ids: true });
        const encoded = own.encodePair(first, second);
        expect(encoded.ids).toEqual(pair.ids);
        expect(encoded.typeIds).toEqual(pair.token_type_ids ?? encoded.typeIds);
      }),
      { numRuns: 20 },
    );
  });
});

function outcome<T>(run: () => T): readonly [T | undefined, unknown] {
  try {
    return [run(), undefined];
  } catch (error) {
    return [undefined, error];
  }
}

describe('truncation', () => {
  it('longest first takes one token after the other from the longer text', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 2, max: 90 }),
        (a, b, room) => {
          let [first, second] = [a, b];
          while (first + second > room)
            if (first > second || (first === second && a > b)) first--;
            else second--;
          const [x, y] = keptTokens([a, b], room, 'longest_first');
          expect(x + y).toBe(Math.min(a + b, room));
          // Of an odd room the longer text has the one more, as in the tokenizers library.
          expect(Math.abs(x - first)).toBeLessThanOrEqual(1);
          expect(Math.abs(x - y)).toBeLessThanOrEqual(Math.max(1, Math.abs(first - second)));
        },
      ),
    ));

  it('keeps to maxTokens, keeps special tokens, and loses no text', () =>
    fc.assert(
      fc.property(
        fc.nat(9),
        fc.nat(9),
        fc.integer({ min: 1, max: 24 }),
        fc.constantFrom('longest_first', 'only_first', 'only_second', 'do_not_truncate'),
        fc.constantFrom(BERT, ROBERTA, TEMPLATE, null),
        (a, b, maxTokens, truncation, processor) => {
          const [first, second] = [LETTERS.slice(0, a), LETTERS.slice(0, b)];
          const tokenizer = wordTokenizer(processor);
          const whole = tokenizer.encodePair(first.join(' '), second.join(' '));
          const cut = () => tokenizer.encodePair(first.join(' '), second.join(' '), { maxTokens, truncation });
          const special = whole.ids.length - a - b;
          const room = maxTokens - special;
          const excess = a + b - room;
          const left: Record<string, readonly [number, number]> = {
            only_first: [a - excess, b],
            only_second: [a, b - excess],
            longest_first: [Math.min(a, Math.max(room - b, room / 2)), Math.min(b, Math.max(room - a, room / 2))],
          };
          const [x, y] = excess <= 0 || truncation === 'do_not_truncate' ? [a, b] : left[truncation]!;
          const isLost = x < Math.min(1, a) || y < Math.min(1, b);
          const [found, error] = outcome(cut);
          expect((error as { code?: string } | undefined)?.code).toBe(isLost ? 'tokenizer' : undefined);
          if (!found) return;
          const { ids, typeIds } = found;
          const expected = truncation === 'do_not_truncate' ? whole.ids.length : Math.min(maxTokens, whole.ids.length);
          expect(ids).toHaveLength(expected);
          expect(typeIds).toHaveLength(expected);
          expect(ids.filter((id) => id < 3)).toEqual(whole.ids.filter((id) => id < 3));
        },
      ),
      { numRuns: 300 },
    ));

  it('cuts the end, or the front where the checkpoint says so', () => {
    expect(wordTokenizer(BERT).encode('a b c d', { maxTokens: 4 })).toEqual([0, 3, 4, 1]);
    expect(wordTokenizer(BERT, { truncation_side: 'left' }).encode('a b c d', { maxTokens: 4 })).toEqual([0, 5, 6, 1]);
    expect(wordTokenizer(null).encode('a b c d', { maxTokens: 2 })).toEqual([3, 4]);
    const bert = wordTokenizer(BERT);
    expect(bert.encode('a b c d', { maxTokens: 2, addSpecialTokens: false })).toEqual([3, 4]);
    expect(() => bert.encode('a b', { maxTokens: 2 })).toThrow(/a text would be lost/);
    for (const maxTokens of [0, 1.5, Number.NaN]) {
      expect(() => bert.encode('a b', { maxTokens })).toThrow(expect.objectContaining({ code: 'tokenizer' }));
    }
    expect(() => bert.encodePair('a', 'b', { truncation: 'first' as 'only_first' })).toThrow(/truncation = first/);
  });
});

const missing = missingShared('models/books-lm-6m/tokenizer.json', 'models/smollm2-135m-instruct/tokenizer.json');
describe.skipIf(missing)(`decode${missing}`, () => {
  it.each(['books-lm-6m', 'smollm2-135m-instruct'])('%s gives back what was encoded', (name) => {
    const json = JSON.parse(readFileSync(`${sharedPath('models', name)}/tokenizer.json`, 'utf8')) as object;
    const tokenizer = createTokenizer(json);
    const texts = ['x != y and a.b == c', 'a ? b : c', "he said 'sword' into", "do n't , ever .", ' \t two  spaces '];
    for (const text of texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
        // Texts may hold the names of special tokens.
        expect(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: false })).toBe(text);
      }),
      { numRuns: 50 },
    );
    const library = new Tokenizer(json, { clean_up_tokenization_spaces: true });
    for (const text of [...texts, "a ' b", "we 've , I 'm ' n 't", " ' ."]) {
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids, { cleanUpSpaces: true })).toBe(library.decode(ids));
    }
    const cleans = createTokenizer(json, { clean_up_tokenization_spaces: true });
    expect(cleans.decode(cleans.encode("do n't , ever ."))).toBe("don't, ever.");
    expect(cleans.decode(cleans.encode('a ?'), { cleanUpSpaces: false })).toBe('a ?');
    expect(tokenizer.decode(tokenizer.encode('a ?'), { cleanUpSpaces: true })).toBe('a?');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([...tokenizer.encode('a'), 10_000_000])).toBe('a');
  });
});
