// From paths on the command line to the data of a task: what --train is says which task it is, unless --task does.
import { readdirSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { families, findFamily, loadTokenizer, locate, type ProblemType, type TextTokenizer } from '@hip/checkpoints';
import { imageTask, type Augmentation } from '../data/images.ts';
import { languageTask } from '../data/language.ts';
import type { TaskData, TaskName } from '../data/task.ts';
import { textTask } from '../data/text-classification.ts';
import { TuneError } from '../errors.ts';
import { headConfig, type ModelCard } from '../steps/head.ts';
import { readTable, readText, TABLES } from './read-table.ts';

/** What the command line says of the data. */
export interface DataOptions {
  readonly train: string;
  readonly test?: string | undefined;
  readonly task?: TaskName | undefined;
  readonly text?: string | undefined;
  readonly pair?: string | undefined;
  readonly label?: string | undefined;
  readonly labels?: string | undefined;
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
    throw new TuneError(
      'invalid-option',
      `${path}: give --train a table (${TABLES.join(', ')}), a text (.txt, .md) or a folder, or say --task`,
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

/** Reads the data. @throws TuneError `invalid-data`, `invalid-option`; SupernetError of the data sets */
export async function readData(model: string, card: ModelCard, options: DataOptions): Promise<TaskData> {
  const { train, test } = options;
  const task = options.task ?? taskOfPath(train);
  const { validation, report, seed } = options;
  const parts = { validation, report, seed };
  if (task === 'image-classification') {
    for (const name of ['text', 'pair', 'label', 'labels', 'problem', 'maxTokens'] as const)
      if (options[name] !== undefined) throw unfit(name, task);
    const { patches } = findFamily(card.raw, families).readConfig({
      ...card.raw,
      ...headConfig(card, task, ['a', 'b']),
    });
    if (!patches)
      throw new TuneError('invalid-option', `${model} takes no images: give another model, or --task`, { model });
    const { augment } = options;
    return imageTask(train, patches, {
      ...parts,
      test,
      augment,
      knownClasses: card.classes,
      preprocessor: card.preprocessor,
    });
  }
  if (options.augment !== undefined) throw unfit('augment', task);
  headConfig(card, task, ['a', 'b']); // a model that is none for the task is said before anything long
  const tokenizer = await tokenizerOf(model);
  const { maxTokens } = options;
  if (task === 'language-modelling') {
    for (const name of ['text', 'pair', 'label', 'labels', 'problem'] as const)
      if (options[name] !== undefined) throw unfit(name, task);
    const end = card.raw['eos_token_id'];
    const separator = typeof end === 'number' ? end : undefined;
    return languageTask(readTexts(train), tokenizer, {
      ...parts,
      test: test === undefined ? undefined : readTexts(test),
      maxTokens,
      separator,
    });
  }
  const { label, labels, problem, text = 'text', pair } = options;
  if ((label === undefined) === (labels === undefined))
    throw new TuneError(
      'invalid-option',
      'no --label: name the column of classes or values with it, or one of several classes a row with --labels (and the texts’ with --text)',
      {},
    );
  const columns = { text, pair, label, labels };
  return textTask(readTable(train, columns), tokenizer, {
    ...parts,
    test: test === undefined ? undefined : readTable(test, columns),
    knownClasses: card.classes,
    problem,
    maxTokens,
  });
}

const unfit = (name: string, task: TaskName): TuneError =>
  new TuneError(
    'invalid-option',
    `--${name === 'maxTokens' ? 'max-tokens' : name} says nothing of ${task}: leave it out, or say --task`,
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
