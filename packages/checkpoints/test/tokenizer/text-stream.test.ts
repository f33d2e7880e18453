// Pieces of a stream are whole characters, and together what decode gives at once.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { createTextStream } from '../../src/tokenizer/text-stream.ts';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { DecodeOptions, TextTokenizer } from '../../src/tokenizer/tokenizer.ts';

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 25 }),
  fc
    .array(fc.constantFrom('do', "n't", ' ', '🙂', '日本', ' .', " '", 'é', '!', ' ,', '👩‍🚀'), { maxLength: 15 })
    .map((parts) => parts.join('')),
);

function pieces(tokenizer: TextTokenizer, ids: readonly number[], options: DecodeOptions): string[] {
  const stream = createTextStream(tokenizer, options);
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

/** Half of a surrogate pair, or a byte that is no character. */
const isSplit = (piece: string): boolean => piece.includes('\uFFFD') || !piece.isWellFormed();

/** SentencePiece with bytes: `▁` for spaces, tokens `<0x00>` … for what the vocabulary lacks. */
function sentencePiece(): TextTokenizer {
  const words = ['<unk>', '<s>', '▁', 'a', 'b', '▁a', '▁the', 'é'];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = Object.fromEntries([...words, ...bytes].map((token, id) => [token, id]));
  return createTokenizer({
    added_tokens: [{ id: 1, content: '<s>', special: true }],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: { type: 'BPE', byte_fallback: true, unk_token: '<unk>', fuse_unk: true, vocab, merges: [['▁', 'a']] },
  });
}

const models = ['books-lm-6m', 'smollm2-135m-instruct', 'bert-mini'];
const missing = missingShared(...models.map((name) => `models/${name}/tokenizer.json`));
const read = (name: string) =>
  createTokenizer(JSON.parse(readFileSync(`${sharedPath('models', name)}/tokenizer.json`, 'utf8')) as object);

describe('createTextStream', () => {
  const check = (tokenizer: TextTokenizer) =>
    fc.assert(
      fc.property(text, fc.boolean(), fc.boolean(), (input, cleanUpSpaces, skipSpecialTokens) => {
        const options = { cleanUpSpaces, skipSpecialTokens };
        const ids = tokenizer.encode(input);
        const given = pieces(tokenizer, ids, options);
        const whole = tokenizer.decode(ids, options);
        expect(given.join('')).toBe(whole);
        expect(isSplit(whole) || !given.some(isSplit)).toBe(true);
      }),
      { numRuns: 80 },
    );

  it.skipIf(missing).each(models)(`%s${missing}`, (name) => expect(() => check(read(name))).not.toThrow());
  it('bytes of a SentencePiece vocabulary', () => expect(() => check(sentencePiece())).not.toThrow());

  it.skipIf(missing)(`gives what is certain at once, and holds back what is not${missing}`, () => {
    const tokenizer = read('books-lm-6m');
    const ids = tokenizer.encode('🙂 and');
    const given = pieces(tokenizer, ids, {});
    const whole = given.findIndex((piece) => piece !== '');
    expect(given[whole]).toBe('🙂');
    expect(given.at(-1)).toBe('');
    const stream = createTextStream(tokenizer);
    // Cut in the middle of a character, as a limit of tokens may.
    const half = ids.slice(0, whole);
    expect(half.map((id) => stream.push(id)).join('')).toBe('');
    expect(stream.end()).toBe(tokenizer.decode(half));
    expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe('🙂 and');
  });
});
