// Fine-tunes the checkpoint as a super-network on the user's text.
import { denseModelAttention } from '@hip/attention';
import {
  encodeTexts,
  evaluateLoss,
  fileStore,
  fineTuneSteps,
  splitText,
  subset,
  SupernetError,
  type Dataset,
  type ElasticModel,
  type FineTuneProgress,
  type FineTuneResult,
  type SubnetConfig,
  type TextTokenizer,
} from '@instatune/supernet';
import { DemoError } from './errors.ts';
import type { DemoOptions } from './options.ts';
import type { CurvePoint, Finetune } from './result.ts';
import type { RunState } from './state.ts';
import type { TextFile } from './text.ts';

export interface TrainingData {
  readonly train: Dataset;
  /** What the search looks at. */
  readonly validation: Dataset;
  /** What only the report looks at. */
  readonly report: Dataset;
}

/** Training windows at least: below that the splits would hold next to nothing. */
const FEWEST_WINDOWS = 12;
/** Share of the label losses in the InstaTune objective (docs/specification/instatune.md §2). */
const ALPHA = 0.3;

/** Tokenises the training text. @throws DemoError `text-too-short` */
export function encodeTraining(files: readonly TextFile[], tokenizer: TextTokenizer, options: DemoOptions): Int32Array {
  const ids = encodeTexts(
    tokenizer,
    files.map(({ text }) => text),
  );
  const needed = FEWEST_WINDOWS * (options.fineTune.sequence + 1);
  if (ids.length < needed) {
    throw new DemoError(
      'text-too-short',
      `the text has ${ids.length} tokens, fine-tuning needs at least ${needed}: give more or longer files with --text`,
    );
  }
  return ids;
}

/** Splits the tokens three ways. */
export function splitTraining(ids: Int32Array, options: DemoOptions): TrainingData {
  const { train, validation, report } = splitText(ids, { length: options.fineTune.sequence, seed: options.seed });
  const { validationWindows } = options.search;
  return { train, validation: spread(validation, validationWindows), report: spread(report, validationWindows) };
}

/** Evenly spaced examples, at most `count`. */
function spread(data: Dataset, count: number): Dataset {
  const taken = Math.min(count, data.length);
  return subset(
    data,
    Array.from({ length: taken }, (_, i) => Math.floor((i * data.length) / taken)),
  );
}

/** Mean next-token loss of a sub-network, nats. */
export function lossOf(
  model: ElasticModel,
  data: Dataset,
  options: { readonly subnet?: SubnetConfig; readonly signal?: AbortSignal } = {},
): Promise<number> {
  return evaluateLoss(model, data, { attention: denseModelAttention(), ...options });
}

/** Told after every step. */
export interface TrainingProgress {
  readonly progress: FineTuneProgress;
  readonly point: CurvePoint;
}

/**
 * Trains in place: the InstaTune objective with γ = 0, Adam-W, clipping, warm-up and cosine (docs/specification/instatune.md §2). A run that was
 * interrupted goes on from its checkpoint, and ends with the weights it would have had.
 *
 * @throws SupernetError `aborted` (the checkpoint is written first); DemoError `corrupt-state`
 */
export async function trainSupernet(
  model: ElasticModel,
  data: TrainingData,
  options: DemoOptions,
  state: RunState,
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<Omit<Finetune, 'lossBefore'>> {
  const { validateEvery } = options.fineTune;
  let before = performance.now();
  const result = await runSteps(model, data, options, state, signal, async (progress) => {
    const { step, steps, loss: objective, losses, tokens } = progress;
    const point: CurvePoint = { step, objective, loss: losses[0]! / ALPHA };
    const seconds = (performance.now() - before) / 1000;
    state.addCurvePoint({ ...point, seconds, tokens });
    if (step % validateEvery === 0 && step < steps) {
      point.validation = await lossOf(model, data.validation);
      state.addCurvePoint({ ...point, seconds, tokens });
    }
    before = performance.now();
    onProgress({ progress, point });
  });
  const lossAfter = await lossOf(model, data.validation);
  const { points, seconds, tokens } = state.curve(result.steps);
  // A kill between a checkpoint and its line in the curve leaves the objective only.
  const history = result.history.map(({ step, loss }): CurvePoint => points.get(step) ?? { step, objective: loss });
  history.push({ ...history.pop()!, validation: lossAfter });
  return { steps: result.steps, tokens, seconds, lossAfter, history };
}

/** Puts the weights of a finished fine-tuning into the model. @throws DemoError `corrupt-state` */
export async function restoreTrained(
  model: ElasticModel,
  data: TrainingData,
  options: DemoOptions,
  state: RunState,
  signal: AbortSignal,
): Promise<void> {
  // No step is left to do: the run loads its last checkpoint and ends.
  await runSteps(model, data, options, state, signal, () => {
    throw new DemoError(
      'corrupt-state',
      `${checkpointOf(state)} is missing or of an earlier step: start over without --resume`,
    );
  });
}

const checkpointOf = (state: RunState): string => state.path('fine-tune.safetensors');

async function runSteps(
  model: ElasticModel,
  data: TrainingData,
  options: DemoOptions,
  state: RunState,
  signal: AbortSignal,
  onStep: (progress: FineTuneProgress) => Promise<void> | void,
): Promise<FineTuneResult> {
  const { steps, batch, learningRate, warmupSteps, checkpointEverySeconds } = options.fineTune;
  const run = fineTuneSteps(model, data.train, {
    strategy: 'instatune',
    gamma: 0,
    alpha: ALPHA,
    steps,
    batchSize: batch,
    learningRate,
    schedule: { warmup: warmupSteps / steps },
    seed: options.seed,
    signal,
    checkpoint: { store: fileStore(checkpointOf(state)), everySeconds: checkpointEverySeconds },
  });
  try {
    for (;;) {
      const { done, value } = await run.next();
      if (done) return value;
      await onStep(value);
    }
  } catch (cause) {
    if (cause instanceof SupernetError && cause.code === 'invalid-checkpoint') {
      throw new DemoError('corrupt-state', `${checkpointOf(state)}: ${cause.message}, without --resume`, { cause });
    }
    throw cause;
  } finally {
    // Ends the generator where onStep threw; it saves its checkpoint.
    await run.return(undefined as never);
  }
}
