import { describe, expect, it } from 'vitest';
import { selectBackend } from '../../src/pipeline/backend.ts';
import { ask, freshConfig } from '../../src/pipeline/ask.ts';
import { DEFAULT_MODEL, loadModel } from '../../src/pipeline/model.ts';
import { hidePassKeys, readNovel } from '../../src/pipeline/pass-key.ts';

describe('pass-keys', () => {
  it('are hidden once each, in order, at most as long as asked, and found again: dense and HiP say the same', async () => {
    const backend = await selectBackend('wasm');
    const { model, tokenizer } = await loadModel(DEFAULT_MODEL);
    try {
      const tokens = 1536;
      const text = hidePassKeys(readNovel(), tokenizer, { tokens, seed: 0 });
      const words = tokenizer.decode([...text.ids]);
      expect(text.ids.length).toBeGreaterThan(0.97 * tokens);
      expect(text.keys).toHaveLength(4);
      for (const { name, digits, sentence, question, before, after } of text.keys) {
        expect(digits).toMatch(/^\d{5}$/);
        expect(new Set(digits).size).toBe(5);
        expect(words.split(digits)).toHaveLength(2);
        expect(words).toContain(before + sentence + after);
        expect(question).toContain(name);
        expect(question).not.toContain(digits);
        const asked = tokenizer.encode(question, { addSpecialTokens: false }).length;
        expect(text.ids.length + asked + 6).toBeLessThanOrEqual(tokens);
      }
      const distances = text.keys.map(({ distance }) => distance);
      expect(distances).toEqual([...distances].sort((a, b) => b - a));
      // None in the window that HiP keeps whatever it finds.
      expect(distances.at(-1)).toBeGreaterThan(256);
      const asking = { model, tokenizer, text, signal: new AbortController().signal, onProgress: () => {} };
      const digits = text.keys.map((key) => key.digits);
      expect((await ask(asking)).answers).toEqual(digits);
      expect((await ask({ ...asking, config: freshConfig({ denseLayers: 0 }) })).answers).toEqual(digits);
      // Without them in the text nobody knows them.
      const without = { ...text, ids: Int32Array.from(tokenizer.encode(readNovel().slice(0, 4000))) };
      expect((await ask({ ...asking, text: without })).answers).not.toEqual(digits);
    } finally {
      model.dispose();
      backend.close();
    }
  });

  it('are the same for the same seed, others for another, fewer or none in a short text', async () => {
    const backend = await selectBackend('wasm');
    const { model, tokenizer } = await loadModel(DEFAULT_MODEL);
    const keysOf = (tokens: number, seed: number) =>
      hidePassKeys(readNovel(), tokenizer, { tokens, seed }).keys.map(({ name, digits }) => `${name} ${digits}`);
    expect(keysOf(1024, 3)).toEqual(keysOf(1024, 3));
    expect(keysOf(1024, 3)).not.toEqual(keysOf(1024, 4));
    expect(keysOf(256, 3)).toHaveLength(1);
    expect(keysOf(128, 3)).toHaveLength(0);
    // Code without a sentence in it, and a text shorter than asked.
    const code = hidePassKeys('const a = 1;\n'.repeat(200), tokenizer, { tokens: 1024, seed: 0 });
    expect(code.keys).toHaveLength(4);
    expect(hidePassKeys('Too short.', tokenizer, { tokens: 1024, seed: 0 }).keys).toEqual([]);
    model.dispose();
    backend.close();
  });
});
