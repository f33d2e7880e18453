// Regression, any number of classes, tags of tokens, retrieval and visual questions: losses, training as a super-network, measures, saving.
import * as tf from '@tensorflow/tfjs';
import { labelFields, memoryFiles, type TextTokenizer } from '@hip/checkpoints';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import { imageClassification } from '../../src/data/images.ts';
import { imageTextPairs, visualQuestions } from '../../src/data/image-text.ts';
import { textClassification } from '../../src/data/text-classification.ts';
import { tokenClassification } from '../../src/data/token-classification.ts';
import { geneCardinalities } from '../../src/elastic/genes.ts';
import { smallestSubnet } from '../../src/elastic/subnets.ts';
import { countMacs } from '../../src/elastic/cost.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { subnetProblem } from '../../src/search/problem.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { fineTune } from '../../src/train/run/fine-tune.ts';
import { createTargets, disposeTargets } from '../../src/train/losses/targets.ts';
import { objectiveLoss } from '../../src/train/losses/losses.ts';
import { teacherDistribution } from '../../src/train/losses/distributions.ts';
import type { OutputKind, Targets } from '../../src/train/losses/targets.ts';
import { TeacherCache } from '../../src/train/teacher/teacher-cache.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert, tinyMultiway, tinyOf, tinyRoberta } from '../helpers/tiny.ts';

/** Words are letters; [CLS] 1, [SEP] 2, padding 0. */
const tokenizer: TextTokenizer = {
  encode: (text, { addSpecialTokens = true, maxTokens = Infinity } = {}) => {
    const ids = text
      .replaceAll(' ', '')
      .split('')
      .map((letter) => 3 + (letter.charCodeAt(0) % 28));
    return addSpecialTokens ? [1, ...ids.slice(0, maxTokens - 2), 2] : ids;
  },
  encodePair: (first, second) => {
    const [a, b] = [first, second].map((text) => tokenizer.encode(text, { addSpecialTokens: false })) as [
      number[],
      number[],
    ];
    return { ids: [1, ...a, 2, ...b, 2], typeIds: [...a.map(() => 0), 0, 0, ...b.map(() => 1), 1] };
  },
  decode: () => '',
  tokenId: () => 0,
};

const words = (seed: number, count: number): string[] => {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () =>
    Array.from({ length: 3 + random.integer(3) }, () => 'abcdef'[random.integer(6)]).join(''),
  );
};

/** Loss before and after training, of the whole model and of the smallest sub-network. */
async function learn(model: TransformerModel, data: Dataset, steps = 24) {
  const subnet = smallestSubnet(model.space);
  const before = await evaluate(model, data, { metrics: true });
  await fineTune(model, data, { steps, batchSize: 8, learningRate: 1e-2, seed: 3, alpha: 0.6 });
  const after = await evaluate(model, data, { metrics: true });
  const small = await evaluate(model, data, { subnet });
  expect(after.loss).toBeLessThan(0.85 * before.loss);
  expect(small.loss).toBeLessThan(before.loss);
  return after;
}

describe('losses of outputs that are no single class', () => {
  beforeAll(() => useBackend('cpu'));

  it.each<OutputKind>(['sigmoid', 'squared'])('%s: value and slope against float64', async (kind) => {
    const [rows, width, share, rho] = [3, 2, 0.5, 2];
    const z = [0, 3, -2, 40, -50, 0.3];
    const y = kind === 'sigmoid' ? [1, 0, 0.25, 1, 0, 1] : [1, -2, 0, 41, -50, 3];
    const t = [0.5, -1, 2, 30, -40, 0];
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    const soft = (x: number) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
    const loss = (values: readonly number[]) => {
      let sum = 0;
      for (const [i, x] of values.entries()) {
        if (Math.floor(i / width) === 1) continue; // row 1 does not count
        if (kind === 'squared') {
          sum += share * (0.3 * (x - y[i]!) ** 2 + 0.7 * (x - t[i]!) ** 2);
          continue;
        }
        const p = sigmoid(t[i]! / rho);
        const [a, b] = [x / rho, t[i]! / rho];
        const kl = p * (soft(-a) - soft(-b)) + (1 - p) * (soft(a) - soft(b));
        sum += share * (0.3 * (y[i]! * soft(-x) + (1 - y[i]!) * soft(x)) + 0.7 * rho * rho * kl);
      }
      return sum / 2;
    };
    const base = createTargets(Int32Array.of(0, -1, 0));
    const targets: Targets = { ...base, kind, share, values: tf.tensor2d(y, [rows, width]) };
    const teacher = teacherDistribution(tf.tensor2d(t, [rows, width]), rho, kind);
    const run = (x: tf.Tensor) =>
      objectiveLoss(x as tf.Tensor2D, targets, { hard: 0.3, soft: 0.7, teacher, normalizer: 2 });
    const given = tf.tensor2d(z, [rows, width]);
    expect((await run(given).data())[0]).toBeCloseTo(loss(z), 3);
    const slope = await tf.grad(run)(given).data();
    for (const [i] of z.entries()) {
      const moved = (step: number) => loss(z.map((x, at) => (at === i ? x + step : x)));
      expect(slope[i], `slope ${i}`).toBeCloseTo((moved(1e-4) - moved(-1e-4)) / 2e-4, 3);
    }
    disposeTargets(targets);
  });
});

describe('problems', () => {
  beforeAll(() => useBackend('wasm'));

  const texts = words(5, 32);

  it('regression of pairs: loss, correlations, teacher, and config.json as transformers has it', async () => {
    const model = tinyBert(1, { num_labels: 1, id2label: { 0: 'score' } });
    const rows = texts.map((text) => ({ text, pair: text.slice(1), label: 0, values: [text.split('a').length / 2] }));
    const data = textClassification(rows, tokenizer);
    const { metrics, accuracy } = await learn(model, data);
    expect(metrics!['pearson']).toBeGreaterThan(0.4);
    expect(accuracy).toBe(metrics!['r2']);
    const teacher = new TeacherCache(tinyBert(2, { num_labels: 1 }));
    await fineTune(model, data, { steps: 2, batchSize: 4, gamma: 1, teacher });
    expect(teacher.statistics().examples).toBe(0);
    teacher.dispose();
    const { files } = await renderCheckpoint(model);
    const config = JSON.parse(Buffer.concat([...files[0]!.chunks]).toString()) as Record<string, unknown>;
    expect(config).toMatchObject({ problem_type: 'regression', id2label: { 0: 'score' } });
    model.dispose();
  });

  it('any number of classes: F1, teacher kept by its probabilities, saved and loaded', async () => {
    const names = ['has a', 'has b', 'has c'];
    const fields = labelFields(names, 'multi_label_classification');
    const { num_labels: _, ...raw }: Record<string, unknown> = { ...tinyRoberta().config.raw, ...fields };
    const model = tinyOf(raw);
    const rows = texts.map((text) => ({
      text,
      label: 0,
      values: ['a', 'b', 'c'].map((c) => (text.includes(c) ? 1 : 0)),
    }));
    const data = textClassification(rows, tokenizer);
    const { metrics } = await learn(model, data, 24);
    expect(metrics!['f1']).toBeGreaterThan(0.5);
    const teacher = new TeacherCache([tinyOf(raw, 2), tinyOf(raw, 3)]);
    await fineTune(model, data, { steps: 8, batchSize: 8, gamma: 1, teacher });
    expect(teacher.statistics()).toMatchObject({ examples: 32, misses: 32 });
    const { files } = await renderCheckpoint(model);
    const bytes = files.map(({ name, chunks }) => [name, Buffer.concat([...chunks])] as const);
    const again = await loadCheckpoint(memoryFiles(new Map(bytes)));
    expect(again.config.raw).toMatchObject(fields);
    const { loss } = await evaluate(again.model, data);
    expect(loss).toBeCloseTo((await evaluate(model, data)).loss, 5);
    for (const each of [model, again.model, ...teacher.members]) each.dispose();
    teacher.dispose();
  });

  it('tags of words: the first token of each has the label, spans are measured', async () => {
    const tags = ['O', 'B-V', 'I-V'];
    const raw = { ...tinyBert().config.raw, architectures: ['BertForTokenClassification'], ...labelFields(tags) };
    const model = tinyOf(raw);
    const rows = texts.map((text) => {
      const tokens = text.split('').map((letter) => (letter === 'f' ? 'ff' : letter));
      return { tokens, labels: tokens.map((word) => (word === 'a' ? 1 : word === 'ff' ? 2 : 0)) };
    });
    const data = tokenClassification(rows, tokenizer);
    const { labels, inputIds } = await data.batch([0]);
    expect(labels).toHaveLength(inputIds!.data.length);
    expect(labels[0]).toBe(-1);
    const { metrics } = await learn(model, data);
    expect(metrics!['f1']).toBeGreaterThan(0.4);
    const first = tokenClassification([{ tokens: ['ab', 'c'], labels: [2, 0] }], tokenizer);
    expect([...(await first.batch([0])).labels]).toEqual([-1, 2, -1, 0, -1]);
    const every = tokenClassification([{ tokens: ['ab', 'c'], labels: [2, 0] }], tokenizer, { labelAllTokens: true });
    expect([...(await every.batch([0])).labels]).toEqual([-1, 2, 2, 0, -1]);
    model.dispose();
  });

  it('what does not fit the outputs is refused', async () => {
    const model = tinyBert(1, { num_labels: 1 });
    const plain = textClassification([{ text: 'ab', label: 0 }], tokenizer);
    await expect(evaluate(model, plain)).rejects.toMatchObject({ code: 'invalid-data', details: { outputs: 1 } });
    const wild = textClassification([{ text: 'ab', label: 0, values: [Infinity] }], tokenizer);
    await expect(evaluate(model, wild)).rejects.toMatchObject({ code: 'invalid-data', details: { at: [0, 0] } });
    const rows = [
      { text: 'a', label: 0, values: [1] },
      { text: 'b', label: 0 },
    ];
    expect(() => textClassification(rows, tokenizer)).toThrow(
      expect.objectContaining({ code: 'invalid-data' }) as Error,
    );
    model.dispose();
  });
});

describe('images and texts', () => {
  beforeAll(() => useBackend('wasm'));

  // Every image is one of 8 colours, and its text the colour's letter.
  const COUNT = 16;
  const pixels = new Uint8Array(COUNT * 3 * 64);
  for (let i = 0; i < COUNT; i++)
    for (let c = 0; c < 3; c++) pixels.fill((i >> c) % 2 === 0 ? 20 : 230, (i * 3 + c) * 64, (i * 3 + c + 1) * 64);
  const images = imageClassification({ pixels, labels: new Int32Array(COUNT), channels: 3, height: 8, width: 8 });

  /** As a problem of a search: sub-networks are measured on the pairs, the smallest costs least and the whole most. */
  async function searchable(model: TransformerModel, data: Dataset): Promise<void> {
    const problem = subnetProblem(model, { task: data, objectives: ['loss', 'macs'], tokens: 3 });
    const macs = problem.objectives.find((objective) => objective.name === 'macs');
    const cost = (genes: readonly number[]) => (macs && 'evaluate' in macs ? macs.evaluate(genes) : Number.NaN);
    const counts = geneCardinalities(model.space);
    const random = new SeededRandom(7);
    const context = { seed: 0, split: 'search', signal: new AbortController().signal };
    for (let i = 0; i < 4; i++) {
      const genes = counts.map((count) => random.integer(count));
      const { loss } = await evaluate(model, data, { subnet: problem.subnet(genes) });
      expect((await problem.measure(genes, context))['loss']).toBeCloseTo(loss, 5);
      expect(cost(genes)).toBe(countMacs(model.config, problem.subnet(genes), { tokens: 3 }));
      expect(cost(genes)).toBeLessThanOrEqual(cost(problem.baseline));
      expect(cost(genes)).toBeGreaterThanOrEqual(cost(counts.map(() => 0)));
    }
  }

  it('retrieval is trained as a super-network, searched, and measured over all pairs', async () => {
    const model = tinyMultiway(1, { architectures: ['BEiT3ForRetrieval'] });
    const pairs = Array.from({ length: 8 }, (_, image) => ({ image, text: 'abcdefgh'[image]! }));
    const data = imageTextPairs(images, pairs, tokenizer);
    const { metrics } = await learn(model, data, 24);
    expect(metrics!['textRecallAt1']).toBeGreaterThan(0.25);
    await searchable(model, data);
    model.dispose();
  });

  it('questions have answers with scores, and are searched, too', async () => {
    const model = tinyMultiway(1, {
      architectures: ['BEiT3ForVisualQuestionAnswering'],
      num_labels: 2,
      normalize_output: false,
    });
    // Is there much of a colour? Yes or no.
    const questions = Array.from({ length: 24 }, (_, i) => {
      const [image, c] = [i % 8, Math.floor(i / 8)];
      const isYes = (image >> c) % 2 === 1;
      return { image, text: `${'xyz'[c]}?`, scores: isYes ? [1, 0] : [0, 0.9] };
    });
    const data = visualQuestions(images, questions, tokenizer);
    const { metrics } = await learn(model, data, 36);
    expect(metrics!['answerScore']).toBeGreaterThan(0.6);
    await searchable(model, data);
    const none = [{ image: 99, text: 'x', scores: [0, 1] }];
    expect(() => visualQuestions(images, none, tokenizer)).toThrow(
      expect.objectContaining({ code: 'invalid-data' }) as Error,
    );
    model.dispose();
  });
});
