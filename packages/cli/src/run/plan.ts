// What a run will take, before it starts: a few timed steps, measurements and passes on a model that is thrown away.
import * as tf from '@tensorflow/tfjs';
import type { CheckpointFiles } from '@hip/checkpoints';
import {
  countParameters,
  extractModel,
  fineTune,
  fullSubnet,
  loadCheckpoint,
  smallestSubnet,
  subset,
  type Dataset,
  type ElasticModel,
  type LatencyRunner,
} from '@instatune/supernet';
import type { TaskData } from '../data/task.ts';
import { headConfig, readCard, type ModelCard } from '../steps/head.ts';
import { RelativeLatency } from '../steps/latency.ts';
import { qualityOf } from '../steps/quality.ts';
import { resolveSettings, type ResolvedSettings, type TuneSettings } from '../steps/settings.ts';
import type { Stage } from '../steps/stages.ts';
import { examplesToFit } from './reconstruct.ts';

/** Options of {@link planRun}. */
export interface PlanOptions {
  readonly model: string | CheckpointFiles;
  readonly card?: ModelCard | undefined;
  readonly data: TaskData;
  readonly settings: TuneSettings;
  /** What latencies are timed on. @defaultValue tfjs, on the current backend */
  readonly runner?: LatencyRunner | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes that the process has held at most, where that can be asked. @defaultValue not asked */
  readonly heldBytes?: (() => number) | undefined;
}

/** What a run will take. */
export interface RunPlan {
  readonly settings: ResolvedSettings;
  readonly parameters: number;
  /** Seconds of each stage, from what was timed. */
  readonly seconds: Readonly<Partial<Record<Stage, number>>>;
  readonly totalSeconds: number;
  readonly memory: {
    /** Weights, gradients and the optimiser's two moments, of the full network and, later, of the chosen one beside it. */
    readonly planned: number;
    /** Bytes of tensors at the end of a training step, on the current backend. */
    readonly tensors: number;
    /** Bytes that the process held at most while it was timed. */
    readonly held?: number;
  };
  /** Bytes of the run's folder while it goes on, and of what is written at the end (at most: the full network). */
  readonly disk: { readonly run: number; readonly out: number };
  /** What was timed. */
  readonly timed: {
    readonly step: number;
    readonly example: number;
    readonly latency: number;
    readonly plainStep: number;
  };
}

/** Steps that are timed; the first ones make buffers and shaders. */
const STEPS = 4;
const EXAMPLES = 64;
const REPEATS = 3;

/**
 * Times a run's parts: {@link STEPS} steps of the super-network and of its smallest sub-network by itself, a measurement, the latencies.
 *
 * @throws what `tune` throws of its options and its first stages
 */
export async function planRun(options: PlanOptions): Promise<RunPlan> {
  const { model: location, data, settings: given, signal, heldBytes, runner } = options;
  const begin = performance.now();
  const card = options.card ?? (await readCard(location));
  const { model, config } = await loadCheckpoint(location, {
    config: headConfig(card, data.task, data.classes, data.problem),
    newHeadSeed: 1,
    space: given.space ?? {},
    signal,
  });
  const load = (performance.now() - begin) / 1000;
  let small: ElasticModel | undefined;
  try {
    const settings = resolveSettings(given, data, config.hiddenSize);
    const { batchSize, steps, tuneSteps, evaluations, objectives } = settings;
    const step = await secondsPerStep(model, data.train, { batchSize, signal, plain: false });
    const tensors = tf.memory().numBytes;
    small = await extractModel(model, smallestSubnet(model.space));
    // The chosen one lies between the smallest and the full network, and asks the full one.
    const plainStep = (await secondsPerStep(small, data.train, { batchSize, signal, plain: true })) + step / 3;
    const timedExamples = Math.min(EXAMPLES, data.validation.length);
    const sample = subset(
      data.validation,
      Array.from({ length: timedExamples }, (_, i) => i),
    );
    const ends = [fullSubnet(model.space), smallestSubnet(model.space)];
    const start = performance.now();
    for (const subnet of ends) await qualityOf(model, sample, data, { subnet, signal });
    const example = (performance.now() - start) / 1000 / (ends.length * timedExamples);
    const mark = performance.now();
    const timesLatency = objectives.includes('latency');
    if (timesLatency) {
      await using ratio = new RelativeLatency(model, { tokens: data.tokens, runner });
      await ratio.of(ends[1]!, signal, REPEATS);
    }
    const latency = timesLatency ? (((performance.now() - mark) / 1000) * 11) / (REPEATS + 2) : 0;
    const parameters = countParameters(config);
    // One that is cut somewhere, for the time that fitting it again takes.
    const fitted = settings.reconstruct
      ? await examplesToFit(model, smallestSubnet(model.space), { train: data.train, steps, batchSize })
      : 0;
    const seconds = {
      load,
      train: step * steps,
      search: evaluations * (example * data.validation.length + latency),
      refine: plainStep * tuneSteps + example * (3 * data.validation.length + fitted),
      measure: 2 * example * data.report.length + 3 * latency,
      export: load,
    };
    const held = heldBytes?.();
    return {
      settings,
      parameters,
      seconds,
      totalSeconds: Object.values(seconds).reduce((sum, each) => sum + each, 0),
      memory: { planned: 4 * parameters * 5, tensors, ...(held !== undefined && { held }) },
      disk: { run: 4 * parameters * 7, out: 4 * parameters * 2 },
      timed: { step, example, latency, plainStep },
    };
  } finally {
    model.dispose();
    small?.dispose();
  }
}

async function secondsPerStep(
  model: ElasticModel,
  data: Dataset,
  {
    batchSize,
    signal,
    plain,
  }: { readonly batchSize: number; readonly signal: AbortSignal | undefined; readonly plain: boolean },
): Promise<number> {
  const times: number[] = [];
  let mark = performance.now();
  await fineTune(model, data, {
    strategy: plain ? 'plain' : 'instatune',
    steps: STEPS,
    batchSize,
    learningRate: 1e-6,
    signal,
    onProgress: () => {
      const now = performance.now();
      times.push((now - mark) / 1000);
      mark = now;
    },
  });
  const rest = times.slice(1);
  return rest.reduce((sum, time) => sum + time, 0) / rest.length;
}
