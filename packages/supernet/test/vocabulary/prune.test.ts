// A pruned vocabulary encodes its corpus to the same tokens, decodes to the same text, and the model says the same of it.
import { readFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import '@hip/testing';
import { missingShared, sharedPath } from '@hip/testing';
import { createTokenizer, memoryFiles } from '@hip/checkpoints';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { cutTokenizer } from '../../src/vocabulary/cut-tokenizer.ts';
import { pruneVocabulary } from '../../src/vocabulary/prune.ts';
import { reportVocabulary } from '../../src/vocabulary/report.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyLlama, tinyVit } from '../helpers/tiny.ts';

const CORPUS = ['It was a dark and stormy night; nobody spoke.', 'café — 12 o’clock\n\tand 你好', ''];

async function jsonOf(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(`${sharedPath('models', name)!}/tokenizer.json`, 'utf8')) as Record<string, unknown>;
}

describe.skipIf(missingShared('models'))(`cutTokenizer${missingShared('models')}`, () => {
  it.each(['smollm2-135m-instruct', 'minilm-l6', 'books-lm-6m'])('%s encodes what is left alike', async (name) => {
    const json = await jsonOf(name);
    const whole = createTokenizer(json);
    const cut = cutTokenizer(
      json,
      CORPUS.flatMap((text) => whole.encode(text)),
    );
    const size = Object.keys((json['model'] as { vocab: object }).vocab).length;
    expect(cut.kept.length).toBeLessThan(size / 2);
    const small = createTokenizer(cut.json);
    for (const text of CORPUS) {
      const ids = small.encode(text);
      expect(ids.map((id) => cut.kept[id])).toEqual(whole.encode(text));
      expect(small.decode(ids)).toBe(whole.decode(whole.encode(text)));
    }
    // Words of the corpus in any order are texts of the same tokens.
    const words = CORPUS.join(' ').split(/\s+/);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...words), { maxLength: 8 }), (list) => {
        const used = whole.encode(list.join(' '));
        if (!used.every((id) => cut.kept.includes(id))) return;
        expect(small.encode(list.join(' ')).map((id) => cut.kept[id])).toEqual(used);
      }),
      { numRuns: 30 },
    );
    // Other text takes more tokens, not others' characters.
    expect(small.decode(small.encode('zebra'), { skipSpecialTokens: true }).trim()).toBe('zebra');
  });
});

describe('cutTokenizer of what cannot be cut', () => {
  it.each([
    ['a model of another kind', { model: { type: 'Novel', vocab: {} } }],
    ['merges at random', { model: { type: 'BPE', dropout: 0.1, vocab: { a: 0 }, merges: [] } }],
  ])('says so: %s', (_, json) => {
    const refused = { code: 'unsupported-model', message: expect.stringContaining('cannot be cut') };
    expect(() => cutTokenizer(json, [0])).toThrow(expect.objectContaining(refused));
  });

  it('keeps the likeliest paths of Unigram, and how unlikely unknown text is', () => {
    const vocab = [
      ['<unk>', 0],
      ['▁a', -2],
      ['b', -3],
      ['ab', -1],
      ['▁ab', -4],
      ['rare', -9],
    ];
    const json = { added_tokens: [], model: { type: 'Unigram', unk_id: 0, vocab } };
    const { kept, json: cut } = cutTokenizer(json, [4]);
    // Single characters, the unknown token and the least likely one stay.
    expect(kept).toEqual([0, 2, 4, 5]);
    expect(cut['model']).toMatchObject({ unk_id: 0, vocab: [vocab[0], vocab[2], vocab[4], vocab[5]] });
  });
});

describe.skipIf(missingShared('models'))(`pruneVocabulary${missingShared('models')}`, () => {
  beforeAll(() => useBackend('wasm'));

  it('of a language model: the same logits of the tokens that are left, saved and read back', async () => {
    const { model, tokenizer } = await loadCheckpoint(sharedPath('models', 'books-lm-6m')!);
    const { model: small, tokenizer: cut, kept } = await pruneVocabulary(model, CORPUS);
    expect(small.config.vocabSize).toBe(kept.length);
    const logitsOf = async (of: typeof model, ids: readonly number[]) => {
      const logits = tf.tidy(
        () => of.forward({ inputIds: tf.tensor2d([...ids], [1, ids.length], 'int32') }, { logits: 'last' }).logits,
      );
      const values = (await logits.data()) as Float32Array;
      logits.dispose();
      return values;
    };
    const whole = await logitsOf(model, tokenizer!.encode(CORPUS[0]!));
    const pruned = await logitsOf(small, cut.encode(CORPUS[0]!));
    expect(pruned).toBeAllclose(
      kept.map((id) => whole[id]!),
      { atol: 1e-5, rtol: 1e-5 },
    );
    expect(kept[small.config.eosTokenIds[0]!]).toBe(model.config.eosTokenIds[0]);
    const { files, report } = await renderCheckpoint(small, undefined, { dtype: 'F16' });
    expect(report.files).toContain('tokenizer.json');
    const again = await loadCheckpoint(
      memoryFiles(new Map(files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))]))),
    );
    for (const text of CORPUS) expect(again.tokenizer!.encode(text)).toEqual(cut.encode(text));
    expect(again.config.vocabSize).toBe(kept.length);
    for (const each of [model, small, again.model]) each.dispose();
  });

  it('of a classifier, with padding where it was', async () => {
    const json = await jsonOf('minilm-l6');
    const model = tinyBert(1, { vocab_size: 30_522 });
    const { model: small, kept, tokenizer } = await pruneVocabulary(model, CORPUS, { tokenizerJson: json });
    expect([small.config.padTokenId, small.config.labels]).toEqual([0, 3]);
    const whole = createTokenizer(json).encode(CORPUS[0]!);
    const logits = (of: typeof small, ids: readonly number[]) =>
      of.forward({ inputIds: tf.tensor2d([...ids], [1, ids.length], 'int32') }).logits.dataSync();
    expect(logits(small, tokenizer.encode(CORPUS[0]!))).toBeAllclose(logits(model, whole), { atol: 1e-6, rtol: 0 });
    expect(kept).toContain(101);
    for (const each of [model, small]) each.dispose();
  });
});

describe('reportVocabulary', () => {
  const tokenizer = { encode: (text: string) => Array.from(text, Number) } as unknown as Parameters<
    typeof reportVocabulary
  >[0];

  it('counts what is used', () => {
    const report = reportVocabulary(tokenizer, ['0112', '', '15'], 7);
    expect([report.used, report.unused, report.tokens]).toEqual([[0, 1, 2, 5], [3, 4, 6], 6]);
    expect([...report.counts]).toEqual([1, 3, 1, 0, 0, 1, 0]);
  });

  it('names what does not fit', async () => {
    await useBackend('wasm');
    expect(() => reportVocabulary(tokenizer, ['01', '9'], 7)).toThrow(
      expect.objectContaining({ code: 'invalid-data', details: { text: 1, id: 9, size: 7 } }),
    );
    const refused = { code: 'unsupported-model' };
    const [vit, llama] = [tinyVit(), tinyLlama()];
    await expect(pruneVocabulary(vit, [], { tokenizerJson: {} })).rejects.toMatchObject(refused);
    await expect(pruneVocabulary(llama, [])).rejects.toMatchObject(refused);
    for (const each of [vit, llama]) each.dispose();
  });
});
