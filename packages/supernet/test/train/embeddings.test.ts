// Sentence encoders without labels: the loss against float64, a sub-network that comes nearer to its teacher, and what is compared.
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig, TextTokenizer } from '@hip/checkpoints';
import { beforeAll, describe, expect, it } from 'vitest';
import { textDataset } from '../../src/data/text-classification.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import { TransformerModel } from '../../src/model/transformer.ts';
import { compareEmbeddings, embed } from '../../src/train/evaluation/embeddings.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { createTargets } from '../../src/train/losses/targets.ts';
import { objectiveLoss } from '../../src/train/losses/losses.ts';
import { teacherDistribution } from '../../src/train/losses/distributions.ts';
import { TeacherCache } from '../../src/train/teacher/teacher-cache.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert } from '../helpers/tiny.ts';

const tokenizer: TextTokenizer = {
  encode: (text) => [1, ...Array.from(text, (letter) => 3 + (letter.charCodeAt(0) % 28)), 2],
  encodePair: () => ({ ids: [], typeIds: [] }),
  decode: () => '',
  tokenId: () => 0,
};

/** A tiny BERT that gives the mean of its tokens, as a unit vector. */
async function encoder(seed: number): Promise<TransformerModel> {
  const bare = tinyBert(seed, { architectures: ['BertModel'] });
  const config: ModelConfig = { ...bare.config, head: 'sentence-embedding', readout: 'mean', unitEmbedding: true };
  const values = new Map<string, Float32Array>();
  for (const [name, weight] of bare.weights) values.set(name, (await weight.data()) as Float32Array);
  const model = new TransformerModel(config, values);
  bare.dispose();
  return model;
}

const random = new SeededRandom(4);
const sentences = Array.from({ length: 24 }, () =>
  Array.from({ length: 3 + random.integer(4) }, () => 'abcdefgh'[random.integer(8)]).join(''),
);

describe('embeddings', () => {
  beforeAll(() => useBackend('wasm'));

  it('the loss and its slope against float64: cosine and similarities of the batch', async () => {
    const [rows, width, soft] = [4, 3, 0.7];
    const values = (seed: number) => Array.from({ length: rows * width }, (_, i) => Math.sin(seed + 2.3 * i));
    const [z, t] = [values(1), values(1.4)];
    const counted = [true, true, false, true];
    const unit = (all: readonly number[]) =>
      Array.from({ length: rows }, (_, r) => {
        const row = all.slice(r * width, (r + 1) * width);
        return row.map((value) => value / Math.hypot(...row));
      });
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    const loss = (given: readonly number[]) => {
      const [own, theirs] = [unit(given), unit(t)];
      let sum = 0;
      for (const [r] of own.entries()) {
        if (!counted[r]) continue;
        const others = [0, 1, 2, 3].filter((other) => other !== r && counted[other]);
        const softmax = (all: readonly (readonly number[])[]) => {
          const weights = others.map((other) => Math.exp(dot(all[r]!, all[other]!) / 0.05));
          return weights.map((weight) => weight / weights.reduce((total, one) => total + one, 0));
        };
        const [p, q] = [softmax(theirs), softmax(own)];
        sum += 1 - dot(own[r]!, theirs[r]!) + p.reduce((kl, one, i) => kl + one * Math.log(one / q[i]!), 0);
      }
      return (soft * sum) / 3;
    };
    const tensor = (all: readonly number[]) => tf.tensor2d([...all], [rows, width]);
    const targets = { ...createTargets(Int32Array.of(0, 0, -1, 0)), kind: 'embedding' as const };
    const teacher = teacherDistribution(tensor(t), 1, 'embedding');
    const run = (x: tf.Tensor) => objectiveLoss(x as tf.Tensor2D, targets, { hard: 0.3, soft, teacher, normalizer: 3 });
    expect((await run(tensor(z)).data())[0]).toBeCloseTo(loss(z), 3);
    const slope = await tf.grad(run)(tensor(z)).data();
    for (const [i] of z.entries()) {
      const moved = (step: number) => loss(z.map((value, at) => (at === i ? value + step : value)));
      expect(slope[i], `slope ${i}`).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 2);
    }
  });

  it('sub-networks learn from the full model, without a label', async () => {
    const [model, teacher] = [await encoder(1), await encoder(1)];
    const data = textDataset(sentences, tokenizer);
    const subnet = smallestSubnet(model.space);
    const reference = await embed(teacher, data);
    const before = await compareEmbeddings(model, data, { subnet, reference });
    const cache = new TeacherCache(teacher);
    await fineTune(model, data, { steps: 24, batchSize: 8, learningRate: 5e-3, gamma: 1, alpha: 0, teacher: cache });
    expect(cache.statistics()).toMatchObject({ misses: 24 });
    const after = await compareEmbeddings(model, data, { subnet, reference });
    expect(after.cosine).toBeGreaterThan(before.cosine);
    expect(after.spearman).toBeGreaterThan(before.spearman);
    expect(await compareEmbeddings(teacher, data)).toMatchObject({ overlap: 1, count: 24 });
    cache.dispose();
    for (const each of [model, teacher]) each.dispose();
  });

  it('what cannot be compared is refused', async () => {
    const model = await encoder(1);
    const data = textDataset(sentences, tokenizer);
    await expect(evaluate(model, data)).rejects.toMatchObject({ code: 'unsupported-model' });
    await expect(embed(tinyBert(), data)).rejects.toMatchObject({ code: 'unsupported-model' });
    const few = textDataset(sentences.slice(0, 2), tokenizer);
    await expect(compareEmbeddings(model, few)).rejects.toMatchObject({ code: 'invalid-data' });
    const reference = new Float32Array(7);
    await expect(compareEmbeddings(model, data, { reference })).rejects.toMatchObject({ code: 'invalid-data' });
    model.dispose();
  });
});
