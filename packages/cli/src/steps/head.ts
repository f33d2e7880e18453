// The head that a task needs, as fields of config.json: the checkpoint's own where it fits, else a new one on its body.
import {
  labelFields,
  locate,
  openCheckpoint,
  readJson,
  type CheckpointFiles,
  type ProblemType,
} from '@hip/checkpoints';
import { TuneError } from '../errors.ts';
import type { TaskName } from '../data/task.ts';

/** config.json as parsed. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** What a checkpoint says of itself before its weights are read. */
export interface ModelCard {
  readonly location: string;
  readonly raw: RawConfig;
  /** Class names of `id2label` in order; none where it only counts them (`LABEL_0`, …). */
  readonly classes: readonly string[];
  readonly preprocessor: RawConfig;
}

const HEADS: Readonly<Record<TaskName, string>> = {
  'text-classification': 'ForSequenceClassification',
  'token-classification': 'ForTokenClassification',
  'language-modelling': 'ForCausalLM',
  'image-classification': 'ForImageClassification',
};

/** Reads what a checkpoint says of itself. @throws CheckpointError as `openCheckpoint` does */
export async function readCard(location: string | CheckpointFiles): Promise<ModelCard> {
  const files = typeof location === 'string' ? locate(location).files : location;
  const raw = (await readJson(files, 'config.json')) ?? (await rawOf(location));
  const preprocessor = (await readJson(files, 'preprocessor_config.json')) ?? {};
  return { location: files.location, raw, classes: namedClasses(raw), preprocessor };
}

/** Of a GGUF, whose configuration is made of its metadata; where nothing is, this says so. */
async function rawOf(location: string | CheckpointFiles): Promise<RawConfig> {
  await using checkpoint = await openCheckpoint(location);
  return checkpoint.config.raw;
}

function namedClasses(raw: RawConfig): readonly string[] {
  const labels = raw['id2label'];
  if (typeof labels !== 'object' || labels === null) return [];
  const names = Object.entries(labels as Record<string, unknown>)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, name]) => String(name));
  return names.every((name) => /^LABEL_\d+$/.test(name)) ? [] : names;
}

/** The task that a checkpoint's own head is for; undefined of a bare model, or of another head. */
export function taskOfModel({ raw }: ModelCard): TaskName | undefined {
  const name = architectureOf(raw);
  if (/ForCausalLM$|LMHeadModel$/.test(name)) return 'language-modelling';
  if (name.endsWith('ForImageClassification')) return 'image-classification';
  if (name.endsWith('ForTokenClassification')) return 'token-classification';
  return name.endsWith('ForSequenceClassification') ? 'text-classification' : undefined;
}

/**
 * Fields of config.json for a task, to lay over the checkpoint's.
 *
 * @throws TuneError `invalid-option` where the model is none for the task
 */
export function headConfig(
  { raw, location }: ModelCard,
  task: TaskName,
  classes: readonly string[],
  problem: ProblemType = 'single_label_classification',
): RawConfig {
  const name = architectureOf(raw);
  const images = 'image_size' in raw || 'img_size' in raw;
  const isCausal = /ForCausalLM$|LMHeadModel$/.test(name) || name === '';
  if (images !== (task === 'image-classification'))
    throw new TuneError(
      'invalid-option',
      `${location} is a model of ${images ? 'images' : 'text'} (${name}), the task is ${task}: give another model, or --task`,
      { architecture: name, task },
    );
  if (task === 'language-modelling') {
    if (isCausal) return {};
    throw new TuneError(
      'invalid-option',
      `${location} (${name}) does not predict the next token: language modelling needs a …ForCausalLM checkpoint, or give a table and --label`,
      { architecture: name, task },
    );
  }
  const body = name.replace(/(For[A-Z]\w*|LMHeadModel|Model)$/, '');
  if (body === '')
    throw new TuneError('invalid-option', `the config.json of ${location} names no architecture to put a head on`, {
      architectures: raw['architectures'],
    });
  const padding = raw['pad_token_id'] ?? raw['eos_token_id'];
  return {
    architectures: [`${body}${HEADS[task]}`],
    num_labels: undefined, // as many as id2label has
    ...labelFields(classes, task === 'token-classification' ? undefined : problem),
    ...(task === 'text-classification' &&
      typeof raw['pad_token_id'] !== 'number' && { pad_token_id: typeof padding === 'number' ? padding : 0 }),
  };
}

function architectureOf(raw: RawConfig): string {
  const list = raw['architectures'];
  return Array.isArray(list) && typeof list[0] === 'string' ? list[0] : '';
}
