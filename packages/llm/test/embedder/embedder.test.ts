// Embedders of any encoder of BERT's kind: packs, pooling, what is refused, turns, abort.
import fc from 'fast-check';
import '@hip/testing';
import { memoryFiles, type CheckpointFiles } from '@hip/checkpoints';
import { describe, expect, it } from 'vitest';
import { loadEmbedder } from '../../src/embedder/index.ts';
import { packTexts } from '../../src/embedder/packs.ts';
import { poolRows } from '../../src/embedder/pool.ts';
import { tinyModel } from '../helpers/tiny.ts';

const bert = {
  architectures: ['BertModel'],
  model_type: 'bert',
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
  max_position_embeddings: 24,
  num_key_value_heads: undefined,
};
const words = ['[UNK]', '[CLS]', '[SEP]', 'a', 'whale', 'rose', 'from', 'the', 'water'];
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** A tiny encoder with a tokenizer of a few words; `more` files beside. */
async function folder(
  fields: Readonly<Record<string, unknown>> = bert,
  more: Readonly<Record<string, unknown>> = {},
): Promise<CheckpointFiles> {
  const { files } = tinyModel(fields);
  const all = new Map<string, Uint8Array<ArrayBuffer>>([['vocab.txt', new TextEncoder().encode(words.join('\n'))]]);
  all.set('config.json', new TextEncoder().encode(await files.text('config.json')));
  const source = (await files.open('model.safetensors'))!;
  all.set('model.safetensors', new Uint8Array(await source.read(0, source.size)));
  for (const [name, value] of Object.entries(more)) all.set(name, json(value));
  return memoryFiles(all);
}

const modules = (...kinds: string[]) =>
  kinds.map((kind, idx) => ({
    idx,
    path: kind === 'Transformer' ? '' : `${idx}_${kind}`,
    type: `sentence_transformers.models.${kind}`,
  }));

describe('packTexts', () => {
  it('takes every text once, the shortest first, and no more rows than there are', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 40, max: 100 }), (tokens, rows) => {
        const packs = packTexts(tokens, rows);
        expect(packs.flatMap(({ texts }) => texts).sort((a, b) => a - b)).toEqual(tokens.map((_, i) => i));
        for (const pack of packs) {
          expect(pack.rows).toBeLessThanOrEqual(rows);
          const inRuns = pack.runs.flatMap((run) => Array.from({ length: run.texts }, () => run.tokens));
          expect(inRuns).toEqual(pack.texts.map((text) => tokens[text]));
          expect(inRuns).toEqual(inRuns.toSorted((a, b) => a - b));
          expect(pack.rows).toBe(inRuns.reduce((a, b) => a + b, 0));
        }
      }),
    );
  });
});

it('poolRows means, takes the first, normalises', () => {
  const rows = Float32Array.of(3, 0, 1, 8);
  expect([...poolRows(rows, 2, 'mean', false)]).toEqual([2, 4]);
  expect([...poolRows(rows, 2, 'first', false)]).toEqual([3, 0]);
  expect([...poolRows(rows, 2, 'first', true)]).toEqual([1, 0]);
  expect([...poolRows(new Float32Array(2), 2, 'mean', true)]).toEqual([0, 0]);
});

describe('an embedder', () => {
  it('gives a text the same vector alone and among others, in any order, in many passes', async () => {
    using embedder = await loadEmbedder(await folder(), { threads: 1 });
    const texts = Array.from({ length: 90 }, (_, i) => words.slice(3, 4 + (i % 6)).join(' '));
    const progress: number[] = [];
    const { vectors, tokens } = await embedder.embed(texts, { onProgress: (done) => progress.push(done) });
    expect(progress.at(-1)).toBe(90);
    expect(embedder.maxTokens).toBe(24);
    for (const i of [0, 5, 47, 89]) {
      const alone = await embedder.embed([texts[i]!]);
      expect(alone.tokens).toEqual([tokens[i]]);
      expect(vectors[i]).toBeAllclose(alone.vectors[0]!, { atol: 1e-6, rtol: 0 });
      expect(Math.hypot(...vectors[i]!)).toBeCloseTo(1, 5);
    }
    expect(await embedder.embed([])).toEqual({ vectors: [], tokens: [], cut: [] });
  });

  it('pools as the folder says, or the caller', async () => {
    const layout = {
      'modules.json': modules('Transformer', 'Pooling'),
      '1_Pooling/config.json': { pooling_mode: 'cls' },
    };
    const files = await folder(bert, { ...layout, 'sentence_bert_config.json': { max_seq_length: 5 } });
    using first = await loadEmbedder(files, { threads: 1 });
    expect([first.pooling, first.normalize, first.maxTokens]).toEqual(['first', false, 5]);
    using mean = await loadEmbedder(files, { threads: 1, pooling: 'mean', normalize: true, maxTokens: 4 });
    expect([mean.pooling, mean.normalize, mean.maxTokens]).toEqual(['mean', true, 4]);
    expect((await mean.embed(['a whale rose from'])).cut).toEqual([2]);
  });

  it.each([
    ['roberta', { model_type: 'roberta', architectures: ['RobertaModel'], pad_token_id: 1 }],
    [
      'distilbert',
      {
        model_type: 'distilbert',
        architectures: ['DistilBertModel'],
        dim: 32,
        hidden_dim: 48,
        n_heads: 4,
        n_layers: 2,
        activation: 'gelu',
      },
    ],
  ])('reads %s', async (_, fields) => {
    using embedder = await loadEmbedder(await folder({ ...bert, ...fields }), { threads: 1 });
    const { vectors } = await embedder.embed(['a whale rose', 'the water']);
    expect(vectors.map(({ length }) => length)).toEqual([32, 32]);
  });

  it('refuses what it does not compute, by name', async () => {
    await expect(loadEmbedder(tinyModel().files)).rejects.toMatchObject({
      code: 'unsupported-model',
      details: { family: 'llama' },
    });
    const dense = await folder(bert, {
      'modules.json': modules('Transformer', 'Pooling', 'Dense'),
      '1_Pooling/config.json': { pooling_mode: 'mean' },
    });
    await expect(loadEmbedder(dense)).rejects.toMatchObject({ code: 'unsupported-model' });
    const broken = memoryFiles(new Map());
    await expect(loadEmbedder(broken)).rejects.toMatchObject({ name: 'CheckpointError' });
    for (const options of [
      { maxTokens: 0 },
      { maxTokens: 25 },
      { pooling: 'max' as never },
      { normalize: 1 as never },
    ]) {
      await expect(loadEmbedder(await folder(), options)).rejects.toMatchObject({ code: 'invalid-input' });
    }
    await expect(loadEmbedder(tinyModel(bert).files)).rejects.toMatchObject({ code: 'unsupported-model' });
  });

  it('takes turns, is aborted, and is closed once', async () => {
    const embedder = await loadEmbedder(await folder(), { threads: 1 });
    const text = 'the whale rose from the water';
    const both = await Promise.all([embedder.embed([text]), embedder.embed(['a water', text])]);
    expect(both[1].vectors[1]).toBeAllclose(both[0].vectors[0]!, { atol: 1e-6, rtol: 0 });
    const reason = new Error('enough');
    await expect(embedder.embed([text], { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'aborted',
      cause: reason,
    });
    await expect(embedder.embed([7 as never])).rejects.toMatchObject({ code: 'invalid-input', details: { index: 0 } });
    const running = embedder.embed(Array.from({ length: 200 }, () => text));
    embedder.dispose();
    embedder.dispose();
    await expect(running).rejects.toMatchObject({ code: 'closed' });
    await expect(embedder.embed([text])).rejects.toMatchObject({ code: 'closed' });
  });

  it('says which text has no finite vector', async () => {
    const { files } = tinyModel(bert, {
      change: (name, values) => void (name === 'embeddings.token.weight' && (values[5 * 32] = NaN)),
    });
    const source = (await files.open('model.safetensors'))!;
    const all = new Map([
      ['config.json', new TextEncoder().encode(await files.text('config.json'))],
      ['model.safetensors', new Uint8Array(await source.read(0, source.size))],
      ['vocab.txt', new TextEncoder().encode(words.join('\n'))],
    ]);
    using embedder = await loadEmbedder(memoryFiles(all), { threads: 1 });
    await expect(embedder.embed(['a whale', 'whale rose'])).rejects.toMatchObject({
      code: 'non-finite-logits',
      details: { index: 1 },
    });
  });
});
