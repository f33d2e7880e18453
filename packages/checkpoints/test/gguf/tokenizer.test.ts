// Tokenizers inside GGUF files: SentencePiece BPE gives SentencePiece's ids (test/fixtures/spm-tokenizer.py); what is not known is refused.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openGguf } from '../../src/gguf/open.ts';
import { PRE_TOKENIZERS } from '../../src/gguf/pre-tokenizers.ts';
import { ggufTokenizer } from '../../src/gguf/tokenizer.ts';
import { createTokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { TextTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { writeGguf } from '../helpers/gguf.ts';
import type { Typed } from '../helpers/gguf.ts';

interface Model {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  readonly types: readonly number[];
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[];
}
const models = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/spm-tokenizer.json'), 'utf8')) as {
  readonly prefix: Model;
  readonly plain: Model;
};

async function tokenizerOf(fields: Readonly<Record<string, Typed>>): Promise<TextTokenizer> {
  const file = await openGguf(
    writeGguf(Object.fromEntries(Object.entries(fields).map(([key, value]) => [`tokenizer.ggml.${key}`, value]))),
  );
  const { json, config } = ggufTokenizer(file.metadata)!;
  return createTokenizer(json, config);
}

const sentencePiece = ({ tokens, scores, types }: Model, more: Readonly<Record<string, Typed>> = {}) =>
  tokenizerOf({
    model: ['str', 'llama'],
    tokens: ['str[]', tokens],
    scores: ['f32[]', scores],
    token_type: ['i32[]', types],
    unknown_token_id: ['u32', 0],
    bos_token_id: ['u32', 1],
    eos_token_id: ['u32', 2],
    ...more,
  });

describe.each(['prefix', 'plain'] as const)('SentencePiece, %s', (kind) => {
  it('gives the same ids and texts', async () => {
    const model = models[kind];
    const tokenizer = await sentencePiece(model, { add_space_prefix: ['bool', kind === 'prefix'] });
    for (const { text, ids, decoded } of model.texts) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
  });
});

it('adds the first and last token where the file says so, and by default the first', async () => {
  const [{ text, ids }] = models.prefix.texts as [Model['texts'][number]];
  const encode = async (more: Readonly<Record<string, Typed>>) =>
    (await sentencePiece(models.prefix, more)).encode(text);
  expect(await encode({})).toEqual([1, ...ids]);
  expect(await encode({ add_bos_token: ['bool', false] })).toEqual(ids);
  expect(await encode({ add_eos_token: ['bool', true] })).toEqual([1, ...ids, 2]);
});

describe('byte-pair encoding', () => {
  /** Bytes as GPT-2 writes them, and pairs of digits and letters to merge. */
  const letters = ['1', '2', '3', '4', 'a', 'b', 'A', "'", 's', 'Ġ', '<x>', '12', '34', '123', '1234', 'ab', "'s"];
  const merges = ['1 2', '3 4', '12 3', '12 34', 'a b', "' s"];
  const bytePairs = (pre: string) =>
    tokenizerOf({
      model: ['str', 'gpt2'],
      pre: ['str', pre],
      tokens: ['str[]', letters],
      merges: ['str[]', merges],
      token_type: ['i32[]', letters.map((token) => (token === '<x>' ? 4 : 1))],
      eos_token_id: ['u32', 10],
    });
  const words = async (pre: string, text: string) => (await bytePairs(pre)).encode(text).map((id) => letters[id]);

  it('cuts numbers and words as the named pre-tokenizer does', async () => {
    expect(await words('smollm', '1234ab')).toEqual(['1', '2', '3', '4', 'ab']);
    expect(await words('gpt-2', '1234ab')).toEqual(['1234', 'ab']);
    expect(await words('llama-bpe', '1234ab')).toEqual(['123', '4', 'ab']);
    expect(await words('qwen2', "1234 ab's")).toEqual(['1', '2', '3', '4', 'Ġ', 'ab', "'s"]);
    expect(await words('gpt-4o', "1234 Aab's")).toEqual(['123', '4', 'Ġ', 'A', 'ab', "'s"]);
    expect(await words('gpt-2', 'a<x>b')).toEqual(['a', '<x>', 'b']);
    for (const name of PRE_TOKENIZERS.keys()) expect((await words(name, 'ab 12')).join(''), name).toBe('abĠ12');
  });

  it('refuses what it does not know', async () => {
    await expect(bytePairs('new-kind')).rejects.toMatchObject({ code: 'tokenizer', details: { pre: 'new-kind' } });
    await expect(tokenizerOf({ model: ['str', 'bert'], tokens: ['str[]', letters] })).rejects.toMatchObject({
      code: 'tokenizer',
      details: { model: 'bert' },
    });
    const file = await openGguf(writeGguf({ 'general.architecture': ['str', 'llama'] }));
    expect(ggufTokenizer(file.metadata)).toBeUndefined();
  });
});
