// Pieces of an answer are whole characters, together they are its text, and stop strings end it wherever tokens are cut.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from '../../src/generation/stop-strings.ts';
import { TextPieces } from '../../src/generation/text-pieces.ts';
import { byteTokenizer, fakeModel, saying, VOCABULARY } from '../helpers/fake-model.ts';

const tokenizer = byteTokenizer();
const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => !value.includes('\uFFFD'));

describe('pieces of an answer', () => {
  it('are whole characters and together the text', () =>
    fc.assert(
      fc.asyncProperty(text, async (answer) => {
        const bytes = new TextEncoder().encode(answer);
        const { model } = await fakeModel({ follow: saying(bytes) });
        const ids: number[] = [];
        const pieces: string[] = [];
        for await (const piece of model.chat().send('?', { onToken: (id) => ids.push(id) })) pieces.push(piece);
        expect(ids).toEqual([...bytes]);
        expect(pieces.join('')).toBe(answer);
        for (const piece of pieces) {
          expect(piece).not.toBe('');
          expect(piece.isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 60 },
    ));

  it('of any bytes are what decoding gives, without a last character that is not whole', () =>
    fc.assert(
      fc.property(fc.array(fc.nat({ max: VOCABULARY - 1 }), { maxLength: 60 }), (ids) => {
        const pieces = new TextPieces(tokenizer, []);
        const given = [...ids.map((id) => pieces.push(id).text), pieces.end()];
        expect(given.join('')).toBe(tokenizer.decode(ids).replace(/\uFFFD+$/, ''));
        expect(given.every((piece) => piece.isWellFormed())).toBe(true);
      }),
    ));

  it('leave out a character that maxTokens cuts', async () => {
    const { model } = await fakeModel({ follow: saying(new TextEncoder().encode('ab🙂')) });
    expect(await model.chat().send('?', { maxTokens: 4 }).text()).toBe('ab');
    expect(await model.chat().send('?', { maxTokens: 6 }).text()).toBe('ab🙂');
  });
});

/** The text up to where the first stop string that is complete begins. */
function cut(value: string, stops: readonly string[]): { readonly text: string; readonly stopped: boolean } {
  const characters = Array.from(value);
  for (let end = 1; end <= characters.length; end++) {
    const prefix = characters.slice(0, end).join('');
    const found = stops.map((stop) => prefix.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) return { text: prefix.slice(0, Math.min(...found)), stopped: true };
  }
  return { text: value, stopped: false };
}

describe('stop strings', () => {
  const letters = (maxLength: number) => fc.string({ unit: fc.constantFrom('a', 'b', '🙂', '🙃'), maxLength });
  const stops = fc.array(
    letters(4).filter((value) => value !== ''),
    { minLength: 1, maxLength: 3 },
  );

  it('end an answer wherever its tokens are cut', () =>
    fc.assert(
      fc.asyncProperty(letters(24), stops, async (answer, stopStrings) => {
        const { model } = await fakeModel({ follow: saying(new TextEncoder().encode(answer)) });
        const expected = cut(answer, stopStrings);
        const reply = model.chat().send('?', { stopStrings });
        const pieces: string[] = [];
        for await (const piece of reply) pieces.push(piece);
        expect(pieces.join('')).toBe(expected.text);
        expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
        expect(reply.usage!.finishReason).toBe(expected.stopped ? 'stop-string' : 'stop-id');
      }),
      { numRuns: 60 },
    ));

  it('hold back no more than what one may begin with', () =>
    fc.assert(
      fc.property(fc.array(letters(5), { maxLength: 8 }), stops, (pieces, stopStrings) => {
        const matcher = new StopStrings(stopStrings);
        let [whole, given] = ['', ''];
        for (const piece of pieces) {
          whole += piece;
          const passed = matcher.push(piece);
          given += passed.text;
          if (passed.stopped) return;
          const held = whole.slice(given.length);
          expect(whole.startsWith(given)).toBe(true);
          const begins = stopStrings.some((stop) => stop !== held && stop.startsWith(held));
          expect(held === '' || begins).toBe(true);
        }
        expect(given + matcher.end()).toBe(whole);
      }),
    ));

  it('are refused where they are none', async () => {
    const { model } = await fakeModel();
    for (const stop of ['', '\uDE42', '🙂'.slice(0, 1), 3 as unknown as string]) {
      await expect(model.generate([1], { stopStrings: [stop] })).rejects.toMatchObject({
        code: 'invalid-input',
        details: { name: 'stopStrings' },
      });
    }
  });
});
