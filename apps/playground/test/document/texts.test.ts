// Addresses, picked files, pass-keys and texts, without a browser.
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { denseMask, searchBlockMask } from '@hip/mask-search';
import { isRightAnswer, newPassKey, placeFor } from '../../src/document/pass-key.ts';
import { addressOf, pickedFiles } from '../../src/models/source.ts';
import { readText } from '../../src/texts/text-file.ts';
import { firstTokens, textTokens } from '../../src/document/tokens.ts';
import { maskRows } from '../../src/document/mask-rows.ts';
import { MaskPicture } from '../../src/document/mask-picture.ts';

/** A token is a character. */
const characters = {
  encode: (text: string) => Array.from(text, (c) => c.charCodeAt(0)),
  decode: (ids: ArrayLike<number>) => String.fromCharCode(...Array.from(ids)),
};

describe('addressOf', () => {
  it('takes addresses and Hub names', () => {
    expect(addressOf(' https://example.org/a/b.gguf ')).toBe('https://example.org/a/b.gguf');
    expect(addressOf('owner/name')).toBe('https://huggingface.co/owner/name/resolve/main');
    expect(addressOf('hf://owner/name@v1.0/b.Q4_0.gguf')).toBe(
      'https://huggingface.co/owner/name/resolve/v1.0/b.Q4_0.gguf',
    );
    expect(addressOf('owner/name/b.gguf')).toBe('https://huggingface.co/owner/name/resolve/main/b.gguf');
  });

  it.each(['', 'words', 'https://', 'a b/c', 'file:///etc/passwd', '../x', 'javascript:alert(1)'])(
    'refuses "%s"',
    (typed) => {
      expect(() => addressOf(typed)).toThrow(expect.objectContaining({ code: 'bad-address' }));
    },
  );
});

describe('pickedFiles', () => {
  const file = (name: string, path = ''): File =>
    Object.defineProperty(new File([name], name), 'webkitRelativePath', { value: path });

  it('names files by their place in the folder', async () => {
    const files = pickedFiles([file('config.json', 'model/config.json'), file('a.json', 'model/1_Pooling/a.json')]);
    expect(files.location).toBe('model');
    expect(await files.list!()).toEqual(['config.json', '1_Pooling/a.json']);
    expect(await files.text('1_Pooling/a.json')).toBe('a.json');
    expect(await files.open('other')).toBeUndefined();
    expect((await files.open('config.json'))!.size).toBe(11);
  });

  it('wants one', () => {
    expect(() => pickedFiles([])).toThrow(expect.objectContaining({ code: 'no-files' }));
  });
});

describe('a pass-key', () => {
  it('stands between sentences, and is known by its digits', () => {
    const key = newPassKey(0.5, () => 0.4);
    expect(new Set(key.digits).size).toBe(5);
    expect(key.sentence).toContain(key.digits);
    expect(key.question).not.toContain(key.digits);
    expect(isRightAnswer(` ${key.digits.split('').join(' ')}. And`, key)).toBe(true);
    expect(isRightAnswer(` 9${key.digits}`, key)).toBe(false);
    const text = 'One. Two went on and on. Three.';
    expect(text.slice(0, placeFor(text, 0.2))).toBe('One. Two went on and on.');
    expect(placeFor('no end at all', 0.5)).toBe(6);
  });

  it('is whole in the text at any depth, which keeps its length', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 95 }),
        fc.integer({ min: 200, max: 900 }),
        fc.integer({ min: 0, max: 2 ** 31 }),
        (percent, tokens, seed) => {
          let state = seed;
          const random = () => (state = (state * 48_271 + 11) % 2_147_483_647) / 2_147_483_647;
          const passKey = newPassKey(percent / 100, random);
          const ids = textTokens('It was so. He said that it would rain! '.repeat(40), characters, { tokens, passKey });
          expect(ids).toHaveLength(tokens);
          expect(characters.decode(ids)).toContain(passKey.sentence);
        },
      ),
    );
  });
});

describe('textTokens', () => {
  it('takes the first tokens, and refuses what is too short', () => {
    expect(characters.decode(textTokens('abcdefghij'.repeat(10), characters, { tokens: 32 }))).toBe(
      'abcdefghij'.repeat(4).slice(0, 32),
    );
    // The first of a text of long words, too, of which a first guess has too few.
    expect(
      firstTokens('ab'.repeat(500), { encode: (text) => Array.from({ length: text.length >> 5 }, (_, i) => i) }, 12),
    ).toHaveLength(12);
    expect(() => textTokens('short', characters, { tokens: 32 })).toThrow(
      expect.objectContaining({ code: 'text-too-short' }),
    );
  });
});

describe('readText', () => {
  it('reads UTF-8 alone', async () => {
    expect(await readText(new File(['ein Bär'], 'a.txt'))).toBe('ein Bär');
    for (const bytes of [new Uint8Array([0x62, 0xe4, 0x72]), new Uint8Array([65, 0, 66])])
      await expect(readText(new File([bytes], 'b'))).rejects.toMatchObject({ code: 'not-text' });
    expect(await readText(new File([], 'empty.txt'))).toBe('');
  });

  it('refuses a text that no browser would survive before it is read', async () => {
    const library = {
      name: 'library.txt',
      size: 64 * 2 ** 20 + 1,
      arrayBuffer: () => Promise.reject(new Error('read')),
    };
    await expect(readText(library as unknown as File)).rejects.toMatchObject({ code: 'text-too-long' });
  });
});

describe('the picture of a mask', () => {
  const shape = { batch: 1, queries: 256, keys: 512, heads: 2, kvHeads: 1, headDim: 16 };

  it('is full for a dense mask', () => {
    const { row, rows } = maskRows({ ...denseMask(shape, true), window: 512 });
    expect(row).toBe(4);
    expect(
      rows
        .at(-1)!
        .slice(0, 8)
        .every((value) => value > 250),
    ).toBe(true);
  });

  it('holds what HiP reads, and counts its share', () => {
    const random = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * i));
    const mask = searchBlockMask(random(256 * 32), random(512 * 16), shape, { k: 64, window: 64, sink: 8 });
    const drawn = maskRows(mask);
    expect(drawn.rows).toHaveLength(mask.queryBlocks);
    const picture = new MaskPicture('hip', 512);
    picture.add(drawn, [1, 2, 3]);
    expect(picture.share).toBeGreaterThan(0.3);
    expect(picture.share).toBeLessThan(0.9);
    const dense = new MaskPicture('dense', 512);
    dense.fill(512, [1, 2, 3]);
    expect(dense.share).toBe(1);
  });
});
