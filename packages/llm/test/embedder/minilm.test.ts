// MiniLM: what sentence-transformers gives for the same sentences.
import { readFile } from 'node:fs/promises';
import { fileSource, openSafetensors } from '@hip/checkpoints';
import { missingShared, sharedPath } from '@hip/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEmbedder, type Embedder } from '../../src/embedder/index.ts';

const missing = missingShared('goldens') || missingShared('models');

describe.skipIf(missing)(`MiniLM${missing}`, () => {
  let embedder: Embedder;
  beforeAll(async () => {
    embedder = await loadEmbedder(sharedPath('models', 'minilm-l6')!, { threads: 2 });
  });
  afterAll(() => embedder?.dispose());

  it('is read with its pooling, normalising and length', () => {
    const { width, maxTokens, pooling, normalize } = embedder;
    expect({ width, maxTokens, pooling, normalize }).toEqual({
      width: 384,
      maxTokens: 256,
      pooling: 'mean',
      normalize: true,
    });
  });

  it('embeds sentences as sentence-transformers does', async () => {
    const folder = sharedPath('goldens', 'minilm-l6')!;
    const { sentences } = JSON.parse(await readFile(`${folder}/sentences.json`, 'utf8')) as { sentences: string[] };
    const golden = await openSafetensors(await fileSource(`${folder}/golden.safetensors`));
    const expected = (await golden.read('out.sentence_embeddings')).data as Float32Array;
    const mask = (await golden.read('in.attention_mask')).data;
    await golden.close();
    const { vectors, tokens, cut } = await embedder.embed(sentences);
    expect(Float32Array.from(vectors.flatMap((vector) => [...vector]))).toBeAllclose(expected, { atol: 1e-6, rtol: 0 });
    const lengths = sentences.map((_, i) =>
      Array.from(mask.slice(20 * i, 20 * i + 20), Number).reduce((a, b) => a + b),
    );
    expect(tokens).toEqual(lengths);
    expect(cut).toEqual([0, 0, 0]);
  });

  it('a text that is too long is cut, and says so', async () => {
    const words = 'whale '.repeat(600);
    const { vectors, tokens, cut } = await embedder.embed([words, 'whale '.repeat(254)]);
    expect(tokens).toEqual([256, 256]);
    expect(cut).toEqual([346, 0]);
    expect(vectors[0]).toBeAllclose(vectors[1]!, { atol: 1e-6, rtol: 0 });
  });
});
