// Fine-tunes the checkpoint as a super-network on the user's text.
import { encodeTexts, evaluateLoss, fileStore, fineTune, splitText, subset, type Dataset, type ElasticModel, type FineTuneProgress, type FineTuneResult, type SubnetConfig, type TextTokenizer } from '@instatune/supernet';
import { DemoError } from './errors.ts';
import type { DemoOptions } from './options.ts';
import type { TextFile } from './text.ts';

export interface TrainingData {
  readonly train: Dataset;
  /** What the search looks at. */
  readonly validation: Dataset;
  /** What only the report looks at. */
  readonly report: Dataset;
  readonly tokens: number;
}

/** Training windows at least: below that the splits would be a joke. */
const FEWEST_WINDOWS = 24;

/** Evenly spaced examples, at most `count`. */
function spread(data: Dataset, count: number): Dataset {
  const taken = Math.min(count, data.length);
  return subset(
    data,
    Array.from({ length: taken }, (_, i) => Math.floor((i * data.length) / taken)),
  );
}

/** Tokenises and splits. @throws DemoError `text-too-short` */
export function prepareText(files: readonly TextFile[], tokenizer: TextTokenizer, options: DemoOptions): TrainingData {
  const ids = encodeTexts(
    tokenizer,
    files.map(({ text }) => text),
  );
  const { sequence } = options.fineTune;
  const needed = FEWEST_WINDOWS * (sequence + 1);
  if (ids.length < needed) {
    throw new DemoError('text-too-short', `the text has ${ids.length} tokens, fine-tuning needs at least ${needed}: give more or longer files with --text`);
  }
  const splits = splitText(ids, { length: sequence, seed: options.seed });
  const { validationWindows } = options.search;
  return {
    train: splits.train,
    validation: spread(splits.validation, validationWindows),
    report: spread(splits.report, validationWindows),
    tokens: ids.length,
  };
}

/** Mean loss of a sub-network on a dataset. */
export async function lossOf(model: ElasticModel, data: Dataset, subnet?: SubnetConfig, signal?: AbortSignal): Promise<number> {
  return evaluateLoss(model, data, { ...(subnet && { subnet }), ...(signal && { signal }) });
}

/** Trains in place. A run that was interrupted goes on from `stateFile`. */
export async function train(
  model: ElasticModel,
  data: TrainingData,
  options: DemoOptions,
  stateFile: string,
  signal: AbortSignal,
  onProgress: (progress: FineTuneProgress) => void,
): Promise<FineTuneResult> {
  const { steps, batch, learningRate, warmupSteps, checkpointEverySeconds } = options.fineTune;
  return fineTune(model, data.train, {
    strategy: 'instatune',
    gamma: 0,
    steps,
    batchSize: batch,
    learningRate,
    schedule: { warmup: warmupSteps / steps },
    seed: options.seed,
    signal,
    onProgress,
    checkpoint: { store: fileStore(stateFile), everySeconds: checkpointEverySeconds },
  });
}
