// What is tuned for: the tasks, and their data in the three parts that must not share an example.
import type { ProblemType } from '@hip/checkpoints';
import type { Dataset } from '@instatune/supernet';
import { areSpanTags } from './tags.ts';

export const TASKS = [
  'text-classification',
  'token-classification',
  'language-modelling',
  'image-classification',
] as const;
export type TaskName = (typeof TASKS)[number];

/** Data of one task. */
export interface TaskData {
  readonly task: TaskName;
  /** Whether one output is right, any number of them, or they are values. */
  readonly problem: ProblemType;
  readonly train: Dataset;
  /** What the search looks at. */
  readonly validation: Dataset;
  /** What is reported at the end, and nothing else looks at. */
  readonly report: Dataset;
  /** Names of outputs in order: classes, or the value; none of language models. */
  readonly classes: readonly string[];
  /** Tokens that costs are stated for; image models know theirs. */
  readonly tokens: number | undefined;
  /** Changes where the data or its parts do: a run goes on with the same data only. */
  readonly fingerprint: string;
  /** For the report and the model card, in words. */
  readonly described: string;
}

/** What people read beside the loss. */
export type Metric = 'accuracy' | 'perplexity' | 'r2' | 'f1';

/** The quality of a task beside its loss. */
export function metricOf({ task, problem, classes }: Pick<TaskData, 'task' | 'problem' | 'classes'>): Metric {
  if (task === 'language-modelling') return 'perplexity';
  if (task === 'token-classification' && areSpanTags(classes)) return 'f1';
  return problem === 'regression' ? 'r2' : 'accuracy';
}
