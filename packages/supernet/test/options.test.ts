// An option given as undefined is one left out: callers pass on what they may not have (exactOptionalPropertyTypes lets them).
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { parseLabelledTexts } from '../src/data/delimited.ts';
import { imageClassification } from '../src/data/images.ts';
import { readCifar } from '../src/data/image-files.ts';
import { createLoader } from '../src/data/loader.ts';
import { splitDataset } from '../src/data/split.ts';
import { splitText, textWindows } from '../src/data/text-windows.ts';
import { countMacs } from '../src/elastic/cost.ts';
import { createSpace } from '../src/elastic/space.ts';
import { renderCheckpoint } from '../src/export/extract.ts';
import { exportOnnx } from '../src/export/onnx.ts';
import { LatencyTable } from '../src/latency/table.ts';
import { generate } from '../src/model/generate.ts';
import { tokenLosses } from '../src/model/prefill.ts';
import type { TransformerModel } from '../src/model/transformer.ts';
import { evaluate } from '../src/train/evaluation/evaluate.ts';
import { fineTune } from '../src/train/run/fine-tune.ts';
import type { FineTuneOptions } from '../src/train/run/options.ts';
import { createSchedule } from '../src/train/optimizer/schedule.ts';
import { memoryStore } from '../src/train/state/store.ts';
import { useBackend } from './helpers/backend.ts';
import { patternedTokens, tinyLlama, weightsOf } from './helpers/tiny.ts';

beforeAll(() => useBackend('wasm'));

const tokens = patternedTokens(400);
const data = textWindows(tokens, { length: undefined, stride: undefined });

it('fineTune', async () => {
  const run = async (options: FineTuneOptions) => {
    const model = tinyLlama();
    const { history } = await fineTune(model, data, { steps: 2, batchSize: 2, ...options });
    const weights = await weightsOf(model);
    model.dispose();
    return { history, weights };
  };
  const nothing: FineTuneOptions = {
    strategy: undefined,
    alpha: undefined,
    gamma: undefined,
    teacherShare: undefined,
    subnets: undefined,
    temperature: undefined,
    hiddenStates: undefined,
    similarities: undefined,
    teacher: undefined,
    epochs: undefined,
    accumulate: undefined,
    learningRate: undefined,
    schedule: { kind: undefined, warmup: undefined, final: undefined },
    optimizer: {
      beta1: undefined,
      beta2: undefined,
      epsilon: undefined,
      weightDecay: undefined,
      decays: undefined,
      layerDecay: undefined,
    },
    clipNorm: undefined,
    dropout: undefined,
    average: undefined,
    attention: undefined,
    seed: undefined,
    signal: undefined,
    onProgress: undefined,
  };
  const checkpoint = { store: memoryStore(), everySeconds: undefined, everySteps: undefined, resume: undefined };
  const expected = await run({ checkpoint: { store: checkpoint.store } });
  expect(await run(nothing)).toEqual(expected);
  // Nor is it another run for the state that it is resumed from.
  expect(await run({ ...nothing, schedule: {}, optimizer: {}, checkpoint })).toEqual(expected);
});

it('everything that takes options', async () => {
  const model = tinyLlama();
  const texts = 'sentence\tlabel\na delight\t1\n';
  const cases: Record<string, (option: (name: string) => object) => unknown> = {
    createSchedule: (o) => createSchedule(10, { ...o('kind'), ...o('warmup'), ...o('final') })(3),
    createSpace: (o) => createSpace(SHAPE, { ...o('layers'), ...o('heads'), ...o('ffn') }),
    countMacs: (o) => countMacs(model.config, undefined, { ...o('tokens'), ...o('logitPositions') }),
    splitText: (o) => splitText(tokens, { length: 8, ...o('stride'), ...o('validation'), ...o('report') }).train.length,
    splitDataset: (o) => splitDataset(data, { validation: 1, ...o('report'), ...o('seed') }).train.batch([0]),
    createLoader: (o) =>
      createLoader(data, { ...o('batchSize'), ...o('seed'), ...o('shuffle'), ...o('dropLast'), ...o('bucket') }).next(),
    parseLabelledTexts: (o) =>
      parseLabelledTexts(texts, { ...o('delimiter'), ...o('quote'), ...o('pair'), ...o('label'), ...o('classes') }),
    imageClassification: (o) =>
      imageClassification(readCifar(new Uint8Array(3073), { ...o('labelBytes') }), {
        ...o('normalize'),
        augment: { ...o('shift'), ...o('leastArea'), ...o('flip'), ...o('mixup') },
      }).batch([0], { training: true }),
    evaluate: (o) =>
      evaluate(model, data, { ...o('subnet'), ...o('batchSize'), ...o('attention'), ...o('perExample') }),
    generate: (o) =>
      generate(model, [1, 2], { maxTokens: 4, ...GENERATE.reduce((all, name) => ({ ...all, ...o(name) }), {}) }),
    tokenLosses: (o) => tokenLosses(model, [1, 2, 3], { ...o('chunkTokens'), ...o('logitRows'), ...o('cache') }),
    forward: (o) =>
      forward(model, { ...o('subnet'), ...o('mode'), ...o('cache'), ...o('positionOffset'), ...o('logits') }),
    training: (o) => forward(model, { training: true, dropout: 0.5, ...o('seed'), ...o('hiddenStates') }),
    LatencyTable: async (o) =>
      (await LatencyTable.open(model, { ...o('batch'), ...o('sequence'), ...o('mode'), ...o('device') })).conditions,
    renderCheckpoint: async (o) =>
      (await renderCheckpoint(model, undefined, { ...o('dtype'), ...o('maxShardBytes'), ...o('families') })).report,
    exportOnnx: async (o) => (await exportOnnx(model, undefined, { ...o('name'), ...o('attentionMask') })).length,
  };
  for (const [name, run] of Object.entries(cases)) {
    expect(await run((option) => ({ [option]: undefined })), name).toEqual(await run(() => ({})));
  }
  model.dispose();
});

const SHAPE = { layers: 4, heads: 4, ffn: 24 };
const GENERATE = [
  'temperature',
  'topK',
  'topP',
  'seed',
  'stopIds',
  'attention',
  'subnet',
  'chunkTokens',
  'cache',
  'signal',
];

async function forward(model: TransformerModel, options: object): Promise<Float32Array> {
  const logits = tf.tidy(() => model.forward({ inputIds: tf.tensor2d([[1, 2, 3]], [1, 3], 'int32') }, options).logits);
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
}
