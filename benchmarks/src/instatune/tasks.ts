// The three tasks: pretrained weights, splits that keep the reported data out of the search, and a recipe each.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { folderFiles, loadTokenizer } from '@hip/checkpoints';
import * as tf from '@tensorflow/tfjs';
import {
  encodeTexts,
  imageClassification,
  loadCheckpoint,
  deriveSeed,
  normalizationOf,
  parseLabelledTexts,
  readCifar,
  SeededRandom,
  shuffledIndices,
  splitDataset,
  splitText,
  subset,
  textClassification,
  type Dataset,
  type ElasticModel,
  type FineTuneOptions,
  type ImageOptions,
  type LabelledText,
  type LatencyOptions,
  type ReorderAxis,
  type SpaceChoices,
} from '@instatune/supernet';
import type { TacticName } from '@instatune/search';
import { repositoryText } from './repository-text.ts';
import type { TeacherRecipe } from './teacher.ts';

/** What is trained, searched on, and reported on. The three share no example. */
export interface TaskData {
  readonly train: Dataset;
  /** The training examples as distillation sees them. @defaultValue train */
  readonly distil?: Dataset;
  readonly search: Dataset;
  readonly report: Dataset;
  /**
   * The pretrained model, anew: every row starts from the same weights.
   *
   * @param space instead of the recipe's
   */
  loadModel(space?: SpaceChoices): Promise<ElasticModel>;
  /** Another pretrained model with the same classes and tokens, by the name of its folder. */
  loadOther?(weights: string): Promise<ElasticModel>;
}

/** How a sub-network is fine-tuned by itself. */
export interface Tuning {
  readonly share: number;
  readonly steps: number;
  /** Of several, each is tried for a share of the steps, and the loss on the search split picks. */
  readonly rate: number | readonly number[];
}

export interface Recipe {
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Options of every row. */
  readonly common: Omit<FineTuneOptions, 'steps' | 'batchSize' | 'learningRate'>;
  /** Options of plain fine-tuning alone. @defaultValue none */
  readonly labels?: Omit<FineTuneOptions, 'steps' | 'learningRate'>;
  /** Options of the super-network. @defaultValue the strategy instatune */
  readonly superNetwork: Pick<
    FineTuneOptions,
    'strategy' | 'alpha' | 'gamma' | 'temperature' | 'subnets' | 'teacherShare' | 'hiddenStates'
  >;
  /** Factor on the learning rate of the super-network, whose sub-networks start further away. @defaultValue 1 */
  readonly superRate?: number;
  /**
   * Factors on the learning rate and on the steps that plain fine-tuning is tried with, and whether it sees the examples
   * as distillation does; the loss on the search split picks.
   */
  readonly plain: readonly { readonly rate: number; readonly steps?: number; readonly asDistilled?: boolean }[];
  /** Whether the KD-only row is run. @defaultValue true */
  readonly distilled?: boolean;
  /** Steps of the KD-only row. @defaultValue steps */
  readonly distilledSteps?: number;
  /** @defaultValue the plain fine-tuned network that the search split picks */
  readonly teacher?: TeacherRecipe;
  /**
   * Fine-tuning of chosen sub-networks by themselves, after the search: the best of the table within a share of the full
   * network's MACs, for so many steps at so many times the learning rate. @defaultValue none
   */
  readonly tune?: readonly Tuning[];
  /**
   * Training examples that output projections of a chosen sub-network are fitted on again before it goes on by itself; it starts as it is
   * cut where that has the smaller loss on the search split. @defaultValue 0
   */
  readonly reconstruct?: number;
  /** Bytes of the teacher's answers that stay on a GPU. @defaultValue 1 GiB */
  readonly answers?: number;
  /** Sub-networks that each search measures. */
  readonly evaluations: number;
  /** What searches. @defaultValue ['linas', 'nsga2', 'random'] */
  readonly tactics?: readonly TacticName[];
  /** Whether LINAS also searches the same super-network at its full hidden size only. @defaultValue false */
  readonly fullWidth?: boolean;
  /** What importance puts in order before the super-network is trained. @defaultValue ['heads', 'ffn'] */
  readonly reorder?: readonly ReorderAxis[];
  /** Of image tasks: how training images are varied. */
  readonly augment?: ImageOptions['augment'];
  /** Of image tasks: how images are varied where a teacher is learnt from. @defaultValue augment */
  readonly distilAugment?: ImageOptions['augment'];
  /** Of SmolLM2: tokens of a window; what a network learns from short ones it forgets of long texts. @defaultValue 256 */
  readonly window?: number;
  /** Of language models: windows that the teacher writes, beside the training text, to learn from it. @defaultValue 0 */
  readonly sampled?: number;
  /** Blocks that sub-networks may leave out: so many of those that the teacher misses least. @defaultValue none */
  readonly skip?: { readonly attention: number; readonly ffn: number };
  /** Whether the super-network starts as the teacher's first model, not as pretrained. @defaultValue false */
  readonly fromTeacher?: boolean;
  /** MACs of the table's sub-networks, at most, as shares of the full network's. @defaultValue [0.8, 0.6, 0.5, 0.4, 0.3] */
  readonly shares?: readonly number[];
  /** Choices of layers, heads and FFN units. */
  readonly space: SpaceChoices;
}

export interface Task {
  readonly name: string;
  readonly weights: string;
  readonly metric: 'accuracy' | 'loss';
  readonly reported: string;
  /** Tokens that MACs and latency are stated for; image models know theirs. */
  readonly tokens?: number;
  /** Whether MACs are those of the layers alone, without the head. @defaultValue false */
  readonly layersOnly?: boolean;
  readonly latency: LatencyOptions;
  readonly evaluationBatch: number;
  readonly recipe: Recipe;
  /** @param recipe its space and augmentation. @defaultValue the task's own */
  open(shared: string, seed: number, recipe?: Recipe): Promise<TaskData>;
}

const SST2: Task = {
  name: 'SST-2',
  weights: 'bert-mini',
  metric: 'accuracy',
  reported: 'dev (872)',
  tokens: 64,
  latency: { sequence: 64 },
  evaluationBatch: 500,
  recipe: {
    steps: 1200,
    batchSize: 128,
    learningRate: 3e-4,
    common: { optimizer: { weightDecay: 0.01 }, schedule: { warmup: 0.1 } },
    superNetwork: { gamma: 1 },
    superRate: 2,
    plain: [{ rate: 1, steps: 2 / 3 }, { rate: 1 / 3, steps: 2 / 3 }, { rate: 1 }],
    teacher: { tries: true },
    tune: [{ share: 0.4, steps: 800, rate: 1 }],
    evaluations: 150,
    space: { layers: [4, 5, 6, 7, 8], heads: [4, 6, 8], ffn: [384, 512, 768, 1024] },
  },
  open: (shared, seed, { space } = SST2.recipe) => openSst2(`${shared}/models/bert-mini`, shared, seed, space),
};

const SST2_MINILM: Task = {
  ...SST2,
  name: 'SST-2, MiniLM',
  weights: 'minilm-l6',
  recipe: {
    // Plain fine-tuning is four epochs of the whole table: the best of the recipes that were swept, three seeds each
    // (benchmarks/device/sweeps, known-models.md).
    steps: 1450,
    batchSize: 128,
    learningRate: 2e-4,
    common: { optimizer: { weightDecay: 0.01 }, schedule: { warmup: 0.08 }, dropout: 0 },
    labels: {
      batchSize: 64,
      dropout: { hidden: 0.1, attention: 0.1, classifier: 0.1 },
      average: { decay: 0.999 },
      optimizer: { weightDecay: 0.01, layerDecay: 0.65 },
      schedule: { kind: 'linear', warmup: 0.08 },
    },
    plain: [{ rate: 2, steps: 2.7 }],
    // The super-network starts as the plain fine-tuned network and is drawn to it layer by layer.
    superNetwork: { gamma: 1, alpha: 0.1, hiddenStates: 1 },
    fromTeacher: true,
    distilled: false,
    tune: [
      { share: 0.6, steps: 1000, rate: 1 },
      { share: 0.4, steps: 1000, rate: 1 },
    ],
    tactics: ['linas'],
    evaluations: 80,
    shares: [0.6, 0.4],
    space: { layers: [3, 4, 5, 6], heads: [6, 8, 10, 12], ffn: [384, 768, 1152, 1536] },
  },
  open: (shared, seed, { space } = SST2_MINILM.recipe) =>
    openSst2(`${shared}/models/minilm-l6`, shared, seed, space, 500),
};

/** SST-2 for a BERT of some folder. */
async function openSst2(
  folder: string,
  shared: string,
  seed: number,
  space: SpaceChoices,
  heldOut = 1000,
): Promise<TaskData> {
  const read = (split: string) => parseLabelledTexts(readFileSync(`${shared}/data/sst2/${split}.tsv`, 'utf8'));
  const config = { num_labels: 2, architectures: ['BertForSequenceClassification'] };
  const loadModel = async (own = space) =>
    (await loadCheckpoint(folder, { config, newHeadSeed: 1 + seed, space: own })).model;
  const { model, tokenizer } = await loadCheckpoint(folder, { config, newHeadSeed: 1 });
  model.dispose();
  // A GPU makes buffers for every new shape; a CPU pays for every token of padding.
  const options = { maxTokens: 64, padToMultipleOf: tf.getBackend() === 'webgpu' ? 16 : 8 };
  const { train, held } = holdOutSentences(await read('train'), heldOut, seed);
  return {
    train: textClassification(train, tokenizer!, options),
    search: textClassification(held, tokenizer!, options),
    report: textClassification(await read('dev'), tokenizer!, options),
    loadModel,
  };
}

const CIFAR10: Task = {
  name: 'CIFAR-10',
  weights: 'vit-cifar',
  metric: 'accuracy',
  reported: 'test (first 1,000)',
  latency: {},
  evaluationBatch: 500,
  recipe: {
    steps: 1800,
    batchSize: 256,
    learningRate: 3e-4,
    common: { optimizer: { weightDecay: 0.05 }, schedule: { warmup: 0.1 } },
    // 3,500 images are soon known by heart: hardly any labels, and a patient teacher of cut-outs and blends that nobody has
    // labelled (Beyer 2022). Plain fine-tuning gets worse with more steps, and with these views of the images, too. The
    // checkpoint is a classifier of these ten classes already, and a teacher that is not next to it teaches worse: the mean
    // over shifted and mirrored looks is right more often (75 %), and what learnt from it for 1,500 steps less (70.5 %). The
    // KD-only network is next to it, and has the lower loss; their mean is no better than it.
    superNetwork: { gamma: 1, temperature: 2, alpha: 0.05 },
    superRate: 2,
    plain: [
      { rate: 1 / 3, steps: 0.026 },
      { rate: 1 / 3, steps: 0.066 },
    ],
    distilAugment: { leastArea: 0.5, flip: true, mixup: 0.8 },
    teacher: { distilled: true },
    tune: [
      { share: 0.6, steps: 2200, rate: 1.5 },
      { share: 0.4, steps: 2200, rate: 1.5 },
    ],
    evaluations: 250,
    augment: { shift: 4, flip: true },
    space: { layers: [6, 7, 8, 9], heads: [2, 3, 4, 6], ffn: [192, 384, 576, 768] },
  },
  async open(shared, seed, { space, augment, distilAugment } = CIFAR10.recipe) {
    const folder = `${shared}/models/vit-cifar`;
    const preprocessor = JSON.parse(readFileSync(`${folder}/preprocessor_config.json`, 'utf8')) as Record<
      string,
      unknown
    >;
    const normalize = normalizationOf(preprocessor);
    const read = (name: string) => readCifar(gunzipSync(readFileSync(`${shared}/data/cifar10/${name}.bin.gz`)));
    const images = { ...(normalize && { normalize }), ...(augment && { augment }) };
    const cut = (options: ImageOptions) =>
      splitDataset(imageClassification(read('train_first4000'), options), { validation: 500, seed });
    const splits = cut(images);
    return {
      train: splits.train,
      ...(distilAugment && { distil: cut({ ...images, augment: distilAugment }).train }),
      search: splits.validation,
      report: imageClassification(read('test_first1000'), images),
      loadModel: async (own = space) => (await loadCheckpoint(folder, { space: own })).model,
    };
  },
};

const BOOKS: Task = {
  name: 'language modelling',
  weights: 'books-lm-6m',
  metric: 'loss',
  reported: 'unseen pages of Moby-Dick and War and Peace (every window of 10 % of the blocks)',
  tokens: 128,
  latency: { sequence: 128, logits: 'all' },
  evaluationBatch: 64,
  recipe: {
    steps: 3000,
    batchSize: 64,
    learningRate: 8e-4,
    common: { optimizer: { weightDecay: 0.05 }, schedule: { warmup: 0.1 } },
    superNetwork: { gamma: 1, alpha: 0.1 },
    superRate: 2,
    // Plain fine-tuning overfits after two passes over these books; a teacher's distributions do not. The teacher's own
    // pages are there so that twenty passes' worth of steps see more than these books. Two models trained apart are wrong
    // apart: their mean is a better teacher than either.
    plain: [
      { rate: 1, steps: 0.07 },
      { rate: 0.5, steps: 0.07 },
    ],
    teacher: { beside: { weights: 'books-lm-14m', learningRate: 6e-4, steps: 210 } },
    sampled: 32768,
    // All windows, those the teacher writes, too: a megabyte each.
    answers: 48 * 2 ** 30,
    // After 7,000 steps 60 % fewer MACs were at +1.7 % and still gaining, 40 % fewer at -0.6 %; after these +0.7 and -0.4 %.
    tune: [
      { share: 0.6, steps: 5000, rate: 1.5 },
      { share: 0.4, steps: 18_000, rate: [1.5, 3] },
    ],
    evaluations: 250,
    space: { layers: [3, 4, 5, 6], heads: [2, 4], ffn: [128, 256, 384, 512, 768] },
  },
  async open(shared, seed, { space } = BOOKS.recipe) {
    const folder = `${shared}/models/books-lm-6m`;
    const loadModel = async (own = space) => (await loadCheckpoint(folder, { space: own })).model;
    const loadOther = async (weights: string) => (await loadCheckpoint(`${shared}/models/${weights}`)).model;
    const { model, tokenizer } = await loadCheckpoint(folder);
    model.dispose();
    const books = ['herman-melville_moby-dick', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude'];
    const texts = books.map((name) => readFileSync(`${shared}/data/books/${name}.txt`, 'utf8'));
    const splits = splitText(encodeTexts(tokenizer!, texts), { length: 128, validation: 0.05, report: 0.1, seed });
    // A search looks at every third window of its split: measurements stay cheap, the pages stay varied.
    const windows = Array.from({ length: Math.floor(splits.validation.length / 3) }, (_, i) => 3 * i);
    return {
      train: splits.train,
      search: subset(splits.validation, windows),
      report: splits.report,
      loadModel,
      loadOther,
    };
  },
};

/** Tokens of SmolLM2's windows, and what its MACs are stated for. */
const WINDOW = 256;

/** SmolLM2 on a text: what a super-network of it gives against its first layers alone. */
function smollm2(name: string, reported: string, texts: (shared: string) => readonly string[]): Task {
  const task: Task = {
    name,
    weights: 'smollm2-135m-instruct',
    metric: 'loss',
    reported,
    tokens: WINDOW,
    layersOnly: true,
    latency: { sequence: WINDOW, logits: 'last' },
    evaluationBatch: 16,
    recipe: {
      steps: 900,
      batchSize: 16,
      learningRate: 3e-4,
      common: { optimizer: { weightDecay: 0.05 }, schedule: { warmup: 0.1 } },
      superNetwork: { gamma: 1, alpha: 0.1 },
      plain: [
        { rate: 1 / 3, steps: 0.5 },
        { rate: 1, steps: 0.5 },
      ],
      distilled: false,
      tactics: ['linas'],
      evaluations: 80,
      shares: [0.75, 0.6],
      tune: [
        { share: 0.75, steps: 700, rate: 1 },
        { share: 0.6, steps: 700, rate: 1 },
      ],
      fromTeacher: true,
      skip: { attention: 8, ffn: 4 },
      space: { layers: [30], heads: [6, 9], ffn: [768, 1024, 1280, 1536] },
    },
    async open(shared, seed, { space, window = WINDOW } = task.recipe) {
      const folder = `${shared}/models/smollm2-135m-instruct`;
      const file = `${folder}/SmolLM2-135M-Instruct.Q4_1.gguf`;
      const loadModel = async (own = space) => (await loadCheckpoint(file, { space: own })).model;
      const tokenizer = await loadTokenizer(folderFiles(folder));
      if (!tokenizer) throw new Error(`${folder} has no tokenizer.json`);
      const splits = splitText(encodeTexts(tokenizer, texts(shared)), {
        length: window,
        validation: 0.04,
        report: 0.08,
        seed,
      });
      const some = (data: Dataset, count: number): Dataset => {
        const step = Math.max(1, Math.floor(data.length / count));
        return subset(
          data,
          Array.from({ length: Math.min(count, data.length) }, (_, i) => i * step),
        );
      };
      return { train: splits.train, search: some(splits.validation, 64), report: some(splits.report, 320), loadModel };
    },
  };
  return task;
}

const BOOK_NAMES = ['herman-melville_moby-dick', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude'];
const SMOLLM2_BOOKS = smollm2('SmolLM2, books', 'unseen pages of Moby-Dick and War and Peace', (shared) =>
  BOOK_NAMES.map((name) => readFileSync(`${shared}/data/books/${name}.txt`, 'utf8')),
);
const SMOLLM2_TYPESCRIPT = smollm2('SmolLM2, TypeScript', 'unseen pieces of this repository', () => repositoryText());

/**
 * Whole sentences held out of SST-2's training table, which also lists their phrases: those leave the training part with them.
 * Phrases of one or two words stay, they say nothing of a sentence.
 */
function holdOutSentences(rows: readonly LabelledText[], count: number, seed: number) {
  const words = (text: string) => text.trim().split(/\s+/);
  const long = rows.filter(({ text }) => words(text).length >= 16);
  const order = shuffledIndices(long.length, new SeededRandom(deriveSeed(seed, 11)));
  const held = Array.from(order.subarray(0, count), (index) => long[index]!);
  const phrases = new Set<string>();
  for (const { text } of held) {
    const list = words(text);
    for (let from = 0; from < list.length; from++) {
      for (let to = from + 3; to <= list.length; to++) phrases.add(list.slice(from, to).join(' '));
    }
  }
  return { held, train: rows.filter(({ text }) => !phrases.has(words(text).join(' '))) };
}

export const TASKS: Readonly<Record<string, Task>> = {
  sst2: SST2,
  'sst2-minilm': SST2_MINILM,
  cifar10: CIFAR10,
  books: BOOKS,
  'smollm2-books': SMOLLM2_BOOKS,
  'smollm2-typescript': SMOLLM2_TYPESCRIPT,
};
