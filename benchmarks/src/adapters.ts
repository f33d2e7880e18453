// What adapters take against all weights: parameters trained, bytes held beside the network, bytes saved, and the loss that a few steps reach.
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { sharedPath } from '@hip/testing';
import {
  addAdapters,
  countAdapterBytes,
  countAdapters,
  countMacs,
  countParameters,
  evaluate,
  fineTune,
  loadCheckpoint,
  memoryStore,
  readLabelledTexts,
  subset,
  textClassification,
  textWindows,
  type Dataset,
  type ElasticModel,
  type LabelledText,
} from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startBackend } from './instatune/backend.ts';

/** Rows of SST-2 that are learnt from. */
const ROWS = 4000;
const SEED = 1;

/** A network with what it learns from and is asked about. */
interface Task {
  readonly name: string;
  readonly model: ElasticModel;
  readonly train: Dataset;
  readonly test: Dataset;
  readonly steps: number;
  readonly batchSize: number;
  readonly tokens: number;
  /** Peak learning rates, as each kind of training is usually given. */
  readonly rates: { readonly adapters: number; readonly 'all weights': number };
}

async function sentiment(models: string, data: string, quick: boolean): Promise<Task> {
  const { model, tokenizer } = await loadCheckpoint(join(models, 'minilm-l6'), {
    config: { architectures: ['BertForSequenceClassification'], num_labels: 2 },
    newHeadSeed: SEED,
  });
  const rows = async (file: string): Promise<LabelledText[]> => {
    const some: LabelledText[] = [];
    for await (const row of readLabelledTexts(createReadStream(join(data, 'sst2', file)))) {
      if (some.push(row) >= ROWS) break;
    }
    return some;
  };
  return {
    name: 'all-MiniLM-L6-v2, SST-2',
    model,
    train: textClassification(await rows('train.tsv'), tokenizer!, { maxTokens: 32 }),
    test: textClassification(await rows('dev.tsv'), tokenizer!, { maxTokens: 64 }),
    steps: quick ? 5 : 100,
    batchSize: 16,
    tokens: 32,
    rates: { adapters: 2e-3, 'all weights': 1e-4 },
  };
}

async function language(models: string, data: string, quick: boolean): Promise<Task> {
  const { model, tokenizer } = await loadCheckpoint(join(models, 'smollm2-135m-instruct'));
  const text = readFileSync(join(data, 'books/herman-melville_moby-dick.txt'), 'utf8').slice(100_000, 160_000);
  const windows = textWindows(tokenizer!.encode(text), { length: 64 });
  const places = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
  return {
    name: 'SmolLM2-135M, a novel',
    model,
    train: subset(windows, places(0, 64)),
    test: subset(windows, places(100, 8)),
    steps: quick ? 1 : 6,
    batchSize: 2,
    tokens: 64,
    rates: { adapters: 1e-3, 'all weights': 5e-5 },
  };
}

export const benchmark: Benchmark = {
  name: 'adapters',
  description: 'adapters of rank 8 against all weights on MiniLM and SmolLM2: what is trained, held and saved',
  async run({ quick, log, signal }) {
    const [models, data] = [sharedPath('models'), sharedPath('data')];
    if (!models || !data) throw new Error('adapters needs ../shared/models and ../shared/data');
    const environment = await startBackend('wasm');
    const rows: Record<string, unknown>[] = [];
    for (const make of [sentiment, language]) {
      const task = await make(models, data, quick);
      // All weights last: they are not as they were afterwards.
      for (const kind of ['adapters', 'all weights'] as const) {
        log(`${task.name}: ${kind}`);
        rows.push(await trained(task, kind, signal));
      }
      task.model.dispose();
    }
    return { rows, environment };
  },
};

async function trained(
  task: Task,
  kind: 'adapters' | 'all weights',
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const { model: base, train, test, steps, batchSize, tokens } = task;
  const whole = tf.memory().numBytes;
  const model = kind === 'adapters' ? addAdapters(base, { rank: 8, alpha: 16, seed: SEED }) : base;
  const store = memoryStore();
  const before = await evaluate(model, test, { batchSize: 32, signal });
  let held = 0;
  await fineTune(model, train, {
    strategy: 'plain',
    steps,
    batchSize,
    learningRate: task.rates[kind],
    seed: SEED,
    checkpoint: { store, everySeconds: 1e9 },
    signal,
    onProgress: () => (held = tf.memory().numBytes - whole),
  });
  const after = await evaluate(model, test, { batchSize: 32, signal });
  const own = countAdapters(model, undefined, { tokens });
  const isApart = kind === 'adapters';
  const all = countParameters(base.config);
  const parameters = isApart ? own.parameters + own.replaced : all;
  const row = {
    task: task.name,
    trains: kind,
    steps,
    parameters,
    shareOfParameters: parameters / all,
    heldBytes: held,
    stateBytes: (await store.load())!.byteLength,
    ...(isApart && {
      fileBytes: countAdapterBytes(model),
      halfFileBytes: countAdapterBytes(model, undefined, { dtype: 'F16' }),
      shareOfMacs: own.macs / countMacs(base.config, undefined, { tokens }),
    }),
    lossBefore: before.loss,
    lossAfter: after.loss,
    accuracyAfter: after.accuracy,
  };
  if (isApart) model.dispose();
  return row;
}
