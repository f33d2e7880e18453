// From paths on the command line to the data of a task: what --train is says which task it is, unless --task does.
import { readdirSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { families, findFamily, loadTokenizer, locate, type ProblemType, type TextTokenizer } from '@hip/checkpoints';
import { imageTask, type Augmentation } from '../data/images.ts';
import { languageTask } from '../data/language.ts';
import type { TaskData, TaskName } from '../data/task.ts';
import { textTask } from '../data/text-classification.ts';
import { tokenTask } from '../data/token-classification.ts';
import { TuneError } from '../errors.ts';
import { headConfig, type ModelCard } from '../steps/head.ts';
import { readTable, readText, TABLES } from './read-table.ts';
import { CONLL, hasTagColumns, readTagged } from './read-tags.ts';

/** What the command line says of the data. */
export interface DataOptions {
  readonly train: string;
  readonly test?: string | undefined;
  readonly task?: TaskName | undefined;
  readonly text?: string | undefined;
  readonly pair?: string | undefined;
  readonly label?: string | undefined;
  readonly labels?: string | undefined;
  readonly tokens?: string | undefined;
  readonly tags?: string | undefined;
  readonly tagNames?: readonly string[] | undefined;
  readonly problem?: ProblemType | undefined;
  readonly maxTokens?: number | undefined;
  readonly validation?: number | undefined;
  readonly report?: number | undefined;
  readonly augment?: readonly Augmentation[] | undefined;
  readonly seed: number;
}

const TEXTS = /\.(txt|md|text)$/i;

/** The task that a path is for. @throws TuneError `invalid-option` where it is nothing known */
export function taskOfPath(path: string): TaskName {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found)
    throw new TuneError(
      'invalid-data',
      `there is nothing at ${resolve(path)}: give --train a table, a text or a folder`,
      { path },
    );
  if (found.isFile()) {
    if ((TABLES as readonly string[]).includes(extname(path).toLowerCase())) return 'text-classification';
    if (TEXTS.test(path)) return 'language-modelling';
    if (CONLL.test(path)) return 'token-classification';
    throw new TuneError(
      'invalid-option',
      `${path}: give --train a table (${TABLES.join(', ')}), tagged words (.conll), a text (.txt, .md) or a folder, or say --task`,
      {
        path,
      },
    );
  }
  const entries = readdirSync(path, { withFileTypes: true });
  if (entries.some((entry) => !entry.isDirectory() && TEXTS.test(entry.name))) return 'language-modelling';
  if (entries.some((entry) => entry.isDirectory())) return 'image-classification';
  throw new TuneError(
    'invalid-option',
    `${path} has neither texts (.txt, .md) nor a folder for each class of images: say --task, or give another folder`,
    {
      path,
    },
  );
}

/** Options that say something of some tasks only. */
const FITTING = {
  text: ['text-classification'],
  pair: ['text-classification'],
  label: ['text-classification'],
  labels: ['text-classification'],
  problem: ['text-classification'],
  tokens: ['token-classification'],
  tags: ['token-classification'],
  tagNames: ['token-classification'],
  maxTokens: ['text-classification', 'token-classification', 'language-modelling'],
  augment: ['image-classification'],
} as const satisfies Partial<Record<keyof DataOptions, readonly TaskName[]>>;

/** The task: what is said, else what the columns are for, else what the path is. */
function taskOf({ task, train, tokens, tags, label, labels }: DataOptions): TaskName {
  if (task) return task;
  const found = taskOfPath(train);
  if (found === 'image-classification' || label !== undefined || labels !== undefined) return found;
  return tokens !== undefined || tags !== undefined || hasTagColumns(train) ? 'token-classification' : found;
}

/** Reads the data. @throws TuneError `invalid-data`, `invalid-option`; SupernetError of the data sets */
export async function readData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const task = taskOf(options);
  for (const [name, tasks] of Object.entries(FITTING) as [keyof typeof FITTING, readonly TaskName[]][])
    if (options[name] !== undefined && !tasks.includes(task)) throw unfit(name, task);
  const head = headConfig(card, task, ['a', 'b']); // a model that is none for the task is said before anything long
  if (options.maxTokens !== undefined) requirePositions({ ...card.raw, ...head }, options.maxTokens);
  switch (task) {
    case 'image-classification':
      return imageData(model, card, options);
    case 'language-modelling':
      return languageData(model, card, options);
    case 'token-classification':
      return tokenData(model, card, options);
    case 'text-classification':
      return textData(model, card, options);
  }
}

/** Learned positions are so many; rotated ones go on. */
function requirePositions(raw: ModelCard['raw'], maxTokens: number): void {
  const { positionRows, maxPositions } = findFamily(raw, families).readConfig(raw);
  if (positionRows === 0 || maxTokens <= maxPositions) return;
  throw new TuneError(
    'invalid-option',
    `--max-tokens is ${maxTokens}, the model has positions for ${maxPositions}: give ${maxPositions} at most`,
    { maxTokens, maxPositions },
  );
}

const partsOf = ({ validation, report, seed }: DataOptions) => ({ validation, report, seed });

function imageData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const { patches } = findFamily(card.raw, families).readConfig({
    ...card.raw,
    ...headConfig(card, 'image-classification', ['a', 'b']),
  });
  if (!patches)
    throw new TuneError('invalid-option', `${model} takes no images: give another model, or --task`, { model });
  const { train, test, augment } = options;
  const { classes: knownClasses, preprocessor } = card;
  return imageTask(train, patches, { ...partsOf(options), test, augment, knownClasses, preprocessor });
}

async function languageData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const { train, test, maxTokens } = options;
  const end = card.raw['eos_token_id'];
  return languageTask(readTexts(train), await tokenizerOf(model), {
    ...partsOf(options),
    test: test === undefined ? undefined : readTexts(test),
    maxTokens,
    separator: typeof end === 'number' ? end : undefined,
  });
}

async function tokenData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const { train, test, tokens, tags, tagNames, maxTokens } = options;
  // Families differ in the heads that they have.
  findFamily(card.raw, families).readConfig({ ...card.raw, ...headConfig(card, 'token-classification', ['a', 'b']) });
  const columns = { tokens, tags };
  return tokenTask(readTagged(train, columns), await tokenizerOf(model), {
    ...partsOf(options),
    test: test === undefined ? undefined : readTagged(test, columns),
    knownClasses: card.classes,
    tagNames,
    maxTokens,
  });
}

async function textData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const { train, test, label, labels, problem, text = 'text', pair, maxTokens } = options;
  if ((label === undefined) === (labels === undefined))
    throw new TuneError(
      'invalid-option',
      'no --label: name the column of classes or values with it, or one of several classes a row with --labels (and the texts’ with --text)',
      {},
    );
  const columns = { text, pair, label, labels };
  return textTask(readTable(train, columns), await tokenizerOf(model), {
    ...partsOf(options),
    test: test === undefined ? undefined : readTable(test, columns),
    knownClasses: card.classes,
    problem,
    maxTokens,
  });
}

const unfit = (name: string, task: TaskName): TuneError =>
  new TuneError(
    'invalid-option',
    `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)} says nothing of ${task}: leave it out, or say --task`,
    {
      name,
      task,
    },
  );

async function tokenizerOf(model: string): Promise<TextTokenizer> {
  const tokenizer = await loadTokenizer(locate(model).files);
  if (tokenizer) return tokenizer;
  throw new TuneError('invalid-option', `${model} has no tokenizer.json: put it beside the weights`, { model });
}

function readTexts(path: string): readonly string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) return [readText(path)];
  const names = readdirSync(path)
    .filter((name) => TEXTS.test(name))
    .sort();
  if (names.length === 0) throw new TuneError('invalid-data', `${path} has no texts (.txt, .md)`, { path });
  return names.map((name) => readText(join(path, name)));
}
