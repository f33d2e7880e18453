// The options of `instatune tune`, as text and as what they mean.
import { resolve } from 'node:path';
import type { ArgsDef } from 'citty';
import { budgetHelp, parseBudget } from '../budget/grammar.ts';
import { isQuantityName, QUANTITY_NAMES, type QuantityName } from '../budget/quantities.ts';
import { AUGMENTATIONS, type Augmentation } from '../data/images.ts';
import { TASKS, type TaskName } from '../data/task.ts';
import { TuneError } from '../errors.ts';
import { BACKENDS } from '../files/backend.ts';
import { RUNTIMES, type RuntimeName } from '../files/runtime.ts';
import type { DataOptions } from '../files/read-data.ts';
import { QUANTIZATIONS } from '../steps/export.ts';
import type { TuneSettings } from '../steps/settings.ts';
import { list, whole } from '../study/shared.ts';

const PROBLEMS = ['single_label_classification', 'multi_label_classification', 'regression'] as const;

const text = (description: string, valueHint: string) => ({ type: 'string', description, valueHint }) as const;
const flag = (description: string) => ({ type: 'boolean', description, default: false }) as const;

export const tuneArgs = {
  model: text('a checkpoint folder, https:// address, or hf://owner/name', 'MODEL'),
  train: text(
    'a table (.csv, .tsv, .jsonl), tagged words (.conll), a text (.txt) or folder of texts, or a folder of image folders',
    'PATH',
  ),
  test: text('the same, to report on; without it a part of --train is kept back', 'PATH'),
  task: text(`${TASKS.join(', ')}; by default what --train is`, 'TASK'),
  text: text('column of the texts (default: text)', 'COLUMN'),
  pair: text('column of second texts', 'COLUMN'),
  label: text('column of the classes, or of values', 'COLUMN'),
  labels: text('column of several classes a row', 'COLUMN'),
  tokens: text('column of lists of words (default: tokens); of CoNLL files its number (1)', 'COLUMN'),
  tags: text('column of their tags (default: ner_tags or tags); of CoNLL files its number (the last)', 'COLUMN'),
  'tag-names': text('names of tags that are numbers, in order: O,B-PER,I-PER,…', 'LIST'),
  problem: text(`${PROBLEMS.join(', ')} (default: what the labels are)`, 'KIND'),
  budget: text(`e.g. "latency<=0.5x, loss<=baseline+1%"; names: ${budgetHelp()}`, 'BOUNDS'),
  out: text('folder for the smaller model', 'FOLDER'),
  objectives: text(
    'costs that the search minimises beside the loss (default: those of the budget, else latency)',
    'LIST',
  ),
  optimize: text('what is best within the budget: loss, accuracy, f1, …, or an objective', 'NAME'),
  epochs: text('passes over the data as a super-network (default: 3; images 10)', 'N'),
  steps: text('optimisation steps, instead of epochs', 'N'),
  'tune-steps': text('steps of the chosen sub-network by itself (default: half of the steps)', 'N'),
  batch: text('examples a step (default: 16; images 32)', 'N'),
  'learning-rate': text('peak learning rate (default: by width, 3e-5 … 3e-4)', 'RATE'),
  evaluations: text('sub-networks that the search measures (default: 100)', 'N'),
  population: text('sub-networks a round (default: a fifth of them)', 'N'),
  layers: text('choices of the number of layers, e.g. 3,4,5,6', 'LIST'),
  heads: text('choices of heads', 'LIST'),
  ffn: text('choices of FFN units', 'LIST'),
  hidden: text('choices of the hidden size (default: all of it)', 'LIST'),
  'group-heads': text('choices of query heads kept of each key/value head (default: all)', 'LIST'),
  'skip-attention': text('layers, from 1, whose attention may be left out', 'LIST'),
  'skip-ffn': text('layers, from 1, whose FFN may be left out', 'LIST'),
  'max-tokens': text('tokens of a text (default: what 99 % of them need, at most 128), or of a window (128)', 'N'),
  validation: text('share or number of examples for the search (default: a tenth, at most 1000)', 'PART'),
  report: text('share or number kept back to report on (default: a tenth, at most 2000)', 'PART'),
  augment: text(`how training images are varied: ${AUGMENTATIONS.join(', ')} or none (default: crop,flip)`, 'LIST'),
  reconstruct: {
    type: 'boolean',
    description:
      'fit the chosen one again by least squares before it is fine-tuned on, and keep that where it is as good',
    negativeDescription: 'leave that out',
    default: true,
  },
  quantize: text(`write another ONNX file with smaller weights: ${QUANTIZATIONS.join(', ')}`, 'KIND'),
  seed: { type: 'string', description: 'same seed, same result', valueHint: 'N', default: '0' },
  backend: { type: 'string', description: BACKENDS.join(', '), valueHint: 'NAME', default: 'auto' },
  runtime: text(`what latencies are timed on: ${RUNTIMES.join(', ')} (default: tfjs, on --backend)`, 'NAME'),
  browser: text('Chromium program to start for onnxruntime-web (default: open the address that is printed)', 'PROGRAM'),
  work: text('folder that keeps what an interrupted run goes on with (default: OUT.work)', 'FOLDER'),
  fresh: flag('begin anew where --work holds another run, which goes'),
  'dry-run': flag('say time and memory, from a few timed steps, and stop'),
  json: flag('the result, or the plan, as JSON on standard output'),
  quiet: flag('no progress'),
} satisfies ArgsDef;

type Flag = 'reconstruct' | 'fresh' | 'dry-run' | 'json' | 'quiet';

/** Values as they were given. */
export type Given = Readonly<
  Partial<Record<Exclude<keyof typeof tuneArgs, Flag>, string | undefined>> & { reconstruct?: boolean }
>;

/** What the options mean. */
export interface TuneCommand {
  readonly model: string;
  readonly out: string;
  readonly work: string;
  readonly data: DataOptions;
  readonly settings: TuneSettings;
  readonly runtime: RuntimeName;
  readonly browser: string | undefined;
}

/** @throws TuneError `invalid-option`; SearchError `invalid-option` of numbers */
export function readCommand(given: Given): TuneCommand {
  const required = (name: 'model' | 'train' | 'budget' | 'out', example: string): string => {
    const value = given[name];
    if (value === undefined || value === '')
      throw new TuneError('invalid-option', `no --${name}: give ${example}`, { name });
    return value;
  };
  const model = required('model', 'a folder, or hf://owner/name');
  const out = required('out', 'the folder to write to').replace(/(?<=.)[\\/]+$/, '');
  const seed = whole('seed', given.seed, 0) ?? 0;
  const budget = required('budget', '"latency<=0.5x, loss<=baseline+1%", say');
  parseBudget(budget); // said before anything is loaded
  return {
    // Another working folder is the same run.
    model: /^(hf|https?):\/\//.test(model) ? model : resolve(model),
    out,
    work: given.work ?? `${out}.work`,
    runtime: oneOf('runtime', given.runtime, RUNTIMES) ?? 'tfjs',
    browser: given.browser,
    data: {
      train: required('train', 'a table, a text or a folder of images'),
      test: given.test,
      task: oneOf('task', given.task, TASKS),
      text: given.text,
      pair: given.pair,
      label: given.label,
      labels: given.labels,
      tokens: given.tokens,
      tags: given.tags,
      tagNames: given['tag-names'] === undefined ? undefined : list(given['tag-names']),
      problem: oneOf('problem', given.problem, PROBLEMS),
      maxTokens: whole('max-tokens', given['max-tokens'], 3),
      validation: positive('validation', given.validation),
      report: positive('report', given.report),
      augment: augmentations(given.augment),
      seed,
    },
    settings: {
      budget,
      objectives: objectives(given.objectives),
      optimize: given.optimize,
      epochs: positive('epochs', given.epochs),
      steps: whole('steps', given.steps, 1),
      tuneSteps: whole('tune-steps', given['tune-steps'], 0),
      batchSize: whole('batch', given.batch, 1),
      learningRate: positive('learning-rate', given['learning-rate']),
      evaluations: whole('evaluations', given.evaluations, 2),
      population: whole('population', given.population, 2),
      space: {
        hidden: counts('hidden', given.hidden),
        groupHeads: counts('group-heads', given['group-heads']),
        skip: {
          attention: counts('skip-attention', given['skip-attention'])?.map((layer) => layer - 1) ?? [],
          ffn: counts('skip-ffn', given['skip-ffn'])?.map((layer) => layer - 1) ?? [],
        },
        layers: counts('layers', given.layers),
        heads: counts('heads', given.heads),
        ffn: counts('ffn', given.ffn),
      },
      reconstruct: given.reconstruct,
      quantize: oneOf('quantize', given.quantize, QUANTIZATIONS),
      seed,
    },
  };
}

function oneOf<T extends string>(name: string, value: string | undefined, known: readonly T[]): T | undefined {
  if (value === undefined || (known as readonly string[]).includes(value)) return value as T | undefined;
  throw new TuneError('invalid-option', `--${name} is "${value}": use ${known.join(', ')}`, { name, value });
}

function positive(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (value.trim() !== '' && number > 0 && Number.isFinite(number)) return number;
  throw new TuneError('invalid-option', `--${name} is "${value}": use a number > 0`, { name, value });
}

function counts(name: string, value: string | undefined): readonly number[] | undefined {
  return value === undefined ? undefined : list(value).map((each) => whole(name, each, 1)!);
}

function objectives(value: string | undefined): readonly QuantityName[] | undefined {
  if (value === undefined) return undefined;
  return list(value).map((name) => {
    if (isQuantityName(name)) return name;
    throw new TuneError('invalid-option', `--objectives names "${name}": use ${QUANTITY_NAMES.join(', ')}`, { name });
  });
}

function augmentations(value: string | undefined): readonly Augmentation[] | undefined {
  if (value === undefined) return undefined;
  const names = list(value);
  return names.length === 1 && names[0] === 'none' ? [] : names.map((name) => oneOf('augment', name, AUGMENTATIONS)!);
}

export type { TaskName };
