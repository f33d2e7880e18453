// What a classifier's outputs mean: their names, and whether one of them is right, any number, or they are values.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { ModelConfig, ProblemType } from './config.ts';

const PROBLEMS: readonly string[] = [
  'single_label_classification',
  'multi_label_classification',
  'regression',
] satisfies ProblemType[];

/**
 * What the outputs of a classifier are, by `problem_type` of its config.json; without one a single output is a value, as transformers
 * has it. Scores of answers (visual question answering) are always of any number.
 *
 * @throws CheckpointError `invalid-config` for another `problem_type`
 *
 * @example
 * ```ts
 * import { findFamily, problemType } from '@hip/checkpoints';
 *
 * const raw = { model_type: 'bert', architectures: ['BertForSequenceClassification'], num_labels: 1 };
 * console.log(problemType(findFamily(raw).readConfig(raw))); // => regression
 * ```
 */
export function problemType({ head, labels, raw }: Pick<ModelConfig, 'head' | 'labels' | 'raw'>): ProblemType {
  if (head === 'visual-question-answering') return 'multi_label_classification';
  if (head !== 'sequence-classification' && head !== 'image-classification') return 'single_label_classification';
  const told = raw['problem_type'] ?? undefined;
  if (told === undefined) return labels === 1 ? 'regression' : 'single_label_classification';
  if (PROBLEMS.includes(told as string)) return told as ProblemType;
  const message = `config.json: problem_type is ${quoted(told)}, expected one of ${PROBLEMS.join(', ')}`;
  throw new CheckpointError('invalid-config', message, { key: 'problem_type', value: told });
}

/** Names of a classifier's outputs in order, `LABEL_0`, … where config.json has none for them. */
export function labelNames({ labels, raw }: Pick<ModelConfig, 'labels' | 'raw'>): string[] {
  const named = Object(raw['id2label']) as Readonly<Record<string, unknown>>;
  // Of another task, where num_labels replaced their number.
  const isOwn = Object.keys(named).length === labels;
  return Array.from({ length: labels }, (_, id) => {
    const name = isOwn ? named[id] : undefined;
    return typeof name === 'string' ? name : `LABEL_${id}`;
  });
}

/** What config.json says of a classifier's outputs. */
export interface LabelFields {
  readonly id2label: Readonly<Record<string, string>>;
  readonly label2id: Readonly<Record<string, number>>;
  readonly problem_type?: ProblemType;
}

/**
 * Fields of config.json for a new classifier, as transformers writes them: to be spread into `config` of `openCheckpoint` or
 * `loadCheckpoint`, beside `architectures`.
 *
 * @param names - of the outputs, in order
 * @param problem - left out for classifiers of tokens
 * @throws CheckpointError `invalid-option` for no names, an empty one, or one that stands twice
 *
 * @example
 * ```ts
 * import { labelFields } from '@hip/checkpoints';
 *
 * const { id2label, label2id } = labelFields(['negative', 'positive'], 'single_label_classification');
 * console.log(id2label, label2id.positive); // => { '0': 'negative', '1': 'positive' } 1
 * ```
 */
export function labelFields(names: readonly string[], problem?: ProblemType): LabelFields {
  const seen = new Set<string>();
  for (const [id, name] of names.entries()) {
    if (typeof name === 'string' && name !== '' && !seen.has(name)) {
      seen.add(name);
      continue;
    }
    const message = `label ${id} is ${quoted(name)}: expected names that differ`;
    throw new CheckpointError('invalid-option', message, { id, name, names });
  }
  if (names.length === 0) throw new CheckpointError('invalid-option', 'no labels: give one name an output', { names });
  return {
    id2label: Object.fromEntries(names.map((name, id) => [String(id), name])),
    label2id: Object.fromEntries(names.map((name, id) => [name, id])),
    ...(problem && { problem_type: problem }),
  };
}
