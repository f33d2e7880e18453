// The whole pipeline: load, train as a super-network, search, choose, fine-tune on, measure. Every stage goes on where it was left.
import * as tf from '@tensorflow/tfjs';
import { resume, runSearch, type SearchResult } from '@instatune/search';
import type { CheckpointFiles } from '@hip/checkpoints';
import {
  extractModel,
  fineTune,
  fullSubnet,
  genesToSubnet,
  inputTensors,
  loadCheckpoint,
  reorderByImportance,
  type ElasticModel,
  type FineTuneOptions,
  type LatencyRunner,
  type LossPoint,
  type ModelInputs,
  type SubnetConfig,
} from '@instatune/supernet';
import { chooseByBudget, unmet, type Choice } from '../budget/choose.ts';
import { missOf } from '../budget/nearest.ts';
import { parseBudget } from '../budget/grammar.ts';
import { digest } from '../data/digest.ts';
import type { TaskData } from '../data/task.ts';
import { TuneError } from '../errors.ts';
import { bytesOf, macsOf, memoryOf, parametersOf, type CostShape } from '../steps/costs.ts';
import { headConfig, readCard, type ModelCard } from '../steps/head.ts';
import { RelativeLatency } from '../steps/latency.ts';
import { qualityOf, type Quality } from '../steps/quality.ts';
import { subnetProblem } from '../steps/search.ts';
import { resolveSettings, type ResolvedSettings, type TuneSettings } from '../steps/settings.ts';
import type { Stage, TuneProgress } from '../steps/stages.ts';
import type { RunRecord } from './record.ts';
import { memoryRun, type RunStore } from './store.ts';

/** What {@link tune} is given. */
export interface TuneOptions {
  /** Folder, `http(s)://` address, `hf://owner/name`, or files. */
  readonly model: string | CheckpointFiles;
  /** @defaultValue read from the model */
  readonly card?: ModelCard | undefined;
  readonly data: TaskData;
  readonly settings: TuneSettings;
  /** Where the run is kept. @defaultValue in memory */
  readonly store?: RunStore | undefined;
  /** What latencies are timed on: `onnxRunner`, `checkpointRunner`, `pageRunner` or one of your own. @defaultValue tfjs, on the current backend */
  readonly runner?: LatencyRunner | undefined;
  /** Stops between steps; what is done is kept. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TuneProgress) => void) | undefined;
}

/** What a run came to as far as it went: all that a report shows. */
export interface TuneFindings {
  readonly card: ModelCard;
  readonly data: TaskData;
  readonly settings: ResolvedSettings;
  /** Loss of the super-network by step. */
  readonly training: readonly LossPoint[];
  readonly result: SearchResult;
  /** Weights that were not in the checkpoint. */
  readonly newWeights: readonly string[];
  /** tfjs backend that all of it ran on. */
  readonly backend: string;
  /** What latencies were timed on. */
  readonly runtime: string;
  readonly seconds: Readonly<Record<string, number>>;
}

/** A finished run. */
export interface TuneOutcome extends TuneFindings {
  readonly choice: Choice;
  readonly subnet: SubnetConfig;
  /** The full network, to compare it with. */
  readonly fullSubnet: SubnetConfig;
  /** Loss of the chosen sub-network by step, by itself; empty where it was not trained on. */
  readonly refining: readonly LossPoint[];
  /** Whether fine-tuning on made it better on the search's data, and was kept. */
  readonly refined: boolean;
  /** Quality on the search's data after fine-tuning on. */
  readonly searched: Quality;
  /** Quality on the reported data, and costs, of the full network and of the chosen one. */
  readonly full: Readonly<Record<string, number>>;
  readonly small: Readonly<Record<string, number>>;
  /** The chosen network by itself; the caller disposes it. */
  readonly model: ElasticModel;
}

/** Batches and examples that importance is measured on. */
const CALIBRATION = { batches: 4, examples: 32 } as const;
/** Share of the labels where the chosen network learns from the full one. */
const ALPHA = 0.3;
/** Seconds between two saves of a training state. */
const SAVE_EVERY = 30;
const FINAL_REPEATS = 25;

/**
 * Makes a model smaller: see the stages in `STAGES`. Interrupted at any moment and called again with the same options and store it goes
 * on, and comes to the same end (as far as latencies repeat).
 *
 * @throws TuneError `unmet-budget` (its `details.findings` are the run's {@link TuneFindings}, `details.nearest` what comes nearest),
 * `bad-budget`, `invalid-option`, `other-run`; SupernetError, SearchError, CheckpointError of the steps, `aborted` among them
 *
 * @example
 * ```ts
 * const data = await textTask(rows, tokenizer);
 * const { model, small, full } = await tune({ model: 'hf://owner/name', data, settings: { budget: 'macs <= 0.5x' } });
 * console.log(small.accuracy, full.accuracy);
 * ```
 */
export async function tune(options: TuneOptions): Promise<TuneOutcome> {
  const run = new Run(options);
  try {
    await run.load();
    await run.train();
    await run.search();
    await run.choose();
    await run.refine();
    return await run.measure();
  } finally {
    run.dispose();
  }
}

class Run {
  readonly #options: TuneOptions;
  readonly #store: RunStore;
  #card!: ModelCard;
  #settings!: ResolvedSettings;
  #record!: RunRecord;
  #costs!: CostShape;
  #super: ElasticModel | undefined;
  #small: ElasticModel | undefined;
  #training: readonly LossPoint[] = [];
  #refining: readonly LossPoint[] = [];
  #result!: SearchResult;
  #choice!: ReturnType<typeof chooseByBudget>;
  #subnet!: SubnetConfig;
  #searched!: Quality;

  constructor(options: TuneOptions) {
    this.#options = options;
    this.#store = options.store ?? memoryRun();
  }

  async load(): Promise<void> {
    const { model, data, settings: given, signal } = this.#options;
    const start = performance.now();
    const progress = ({ loaded, total }: { readonly loaded: number; readonly total: number }) =>
      this.#tell('load', loaded, total);
    this.#tell('load', 0, 0);
    this.#card = this.#options.card ?? (await readCard(model));
    const config = headConfig(this.#card, data.task, data.classes, data.problem);
    const kept = await this.#store.start();
    const space = given.space ?? {};
    const loaded = await loadCheckpoint(kept ?? model, {
      ...(kept === undefined && { config, newHeadSeed: 1 + (given.seed ?? 0) }),
      space,
      signal,
      onProgress: progress,
    });
    this.#super = loaded.model;
    this.#settings = resolveSettings(given, data, loaded.config.hiddenSize);
    const { steps, batchSize, learningRate, objectives, population, quantize, seed } = this.#settings;
    const load = await digest([this.#card.location, config, space, seed, data.fingerprint]);
    const train = await digest([load, steps, batchSize, learningRate]);
    const { runner } = this.#options;
    const search = await digest([train, objectives, population, quantize, ...(runner ? [runner.name] : [])]);
    const keys = { load, train, search };
    const before = await this.#store.read();
    if (before) requireSame(before.keys, keys);
    this.#record = before ?? { version: 1, keys, newWeights: [...loaded.newWeights], seconds: {} };
    this.#costs = { tokens: data.tokens, quantize };
    if (kept === undefined) {
      await this.#reorder();
      await this.#store.saveStart(this.#super);
    }
    await this.#finish('load', start);
  }

  async train(): Promise<void> {
    const { steps } = this.#settings;
    const result = await this.#fineTune('train', this.#super!, 'super-network', { strategy: 'instatune', steps });
    this.#training = result;
  }

  async search(): Promise<void> {
    const { data, signal } = this.#options;
    const { objectives, evaluations, population, seed } = this.#settings;
    const start = performance.now();
    this.#tell('search', 0, evaluations);
    const model = this.#super!;
    await using latency = this.#latency(model);
    if (objectives.includes('latency') && this.#record.fullLatency === undefined) {
      const fullLatency = await latency.of(fullSubnet(model.space), signal);
      await this.#note({ fullLatency });
    }
    const problem = subnetProblem({ model, data, objectives, costs: this.#costs, latency });
    const run = {
      signal,
      onProgress: ({
        evaluations: done,
        budget,
        frontSize,
        etaMs,
      }: Parameters<NonNullable<Parameters<typeof resume>[1]['onProgress']>>[0]) =>
        this.#tell('search', done, budget, etaMs === undefined ? undefined : etaMs / 1000, `front ${frontSize}`),
    };
    const study = this.#store.study;
    this.#result =
      study && (await study.exists())
        ? await resume(problem, { ...run, study: study.path, evaluations })
        : await runSearch(problem, { ...run, evaluations, population, seed, ...(study && { study: study.path }) });
    await this.#finish('search', start);
  }

  async choose(): Promise<void> {
    const { budget, optimize } = this.#settings;
    this.#tell('choose', 0, 0);
    try {
      this.#choice = chooseByBudget(this.#result, parseBudget(budget), optimize ?? undefined);
    } catch (error) {
      throw this.#withFindings(error);
    }
    const { genes, number } = this.#choice.point;
    this.#subnet = genesToSubnet(this.#super!.space, genes);
    const key = await digest([this.#record.keys.search, genes]);
    // Another choice: what the last one was fine-tuned on by itself is nobody's any more.
    if (this.#record.chosen && this.#record.chosen.key !== key) await this.#store.forget('refine');
    await this.#note({ chosen: { key, genes: [...genes], number } });
  }

  async refine(): Promise<void> {
    const { data, signal } = this.#options;
    const { tuneSteps: steps } = this.#settings;
    const key = await digest([this.#record.chosen?.key, steps]);
    if (this.#record.refined && this.#record.refined.key !== key) await this.#store.forget('refine');
    const { loss: before } = this.#choice.point.values;
    this.#small = await extractModel(this.#super!, this.#subnet);
    if (steps > 0) {
      const options = { strategy: 'kd-only', gamma: 1, alpha: ALPHA, teacher: this.#super!, steps } as const;
      this.#refining = await this.#fineTune('refine', this.#small, 'refine', options);
    }
    let values: Quality = await qualityOf(this.#small, data.validation, data, { signal });
    const isBetter = steps > 0 && values.loss <= before!;
    if (!isBetter && steps > 0) {
      this.#small.dispose();
      this.#small = await extractModel(this.#super!, this.#subnet);
      values = await qualityOf(this.#small, data.validation, data, { signal });
    }
    this.#searched = values;
    await this.#note({ refined: { key, kept: isBetter, values: { ...values } } });
    const all = { ...this.#choice.point.values, ...values };
    const { bounds, point } = this.#choice;
    if (this.#choice.open.some((bound) => missOf(bound, all) > 0))
      throw this.#withFindings(unmet({ point, values: all }, bounds));
  }

  async measure(): Promise<TuneOutcome> {
    const { data, signal } = this.#options;
    const start = performance.now();
    const [model, small] = [this.#super!, this.#small!];
    const key = await digest([this.#record.refined?.key, data.fingerprint]);
    const { measured } = this.#record;
    if (measured?.key !== key) {
      const total = 2 * data.report.length;
      const quality = (network: ElasticModel, from: number) =>
        qualityOf(network, data.report, data, {
          signal,
          onProgress: ({ examples }) => this.#tell('measure', from + examples, total),
        });
      const [full, own] = [await quality(model, 0), await quality(small, data.report.length)];
      await using ratio = this.#latency(model);
      const latency = await ratio.of(this.#subnet, signal, FINAL_REPEATS);
      const costs = (subnet: SubnetConfig | undefined) => ({
        macs: macsOf(model, subnet, this.#costs),
        parameters: parametersOf(model, subnet),
        bytes: bytesOf(model, subnet, this.#costs),
        memory: memoryOf(model, subnet, this.#costs),
      });
      await this.#note({
        measured: {
          key,
          full: { ...full, latency: ratio.full!, ...costs(undefined) },
          small: { ...own, latency, ...costs(this.#subnet) },
        },
      });
    }
    await this.#finish('measure', start);
    this.#small = undefined; // the caller's now
    return {
      ...this.#findings(),
      choice: this.#choice,
      subnet: this.#subnet,
      fullSubnet: fullSubnet(model.space),
      refining: this.#refining,
      refined: this.#record.refined!.kept,
      searched: this.#searched,
      full: this.#record.measured!.full,
      small: this.#record.measured!.small,
      model: small,
    };
  }

  dispose(): void {
    this.#super?.dispose();
    this.#small?.dispose();
  }

  #latency(model: ElasticModel): RelativeLatency {
    const { data, runner } = this.#options;
    return new RelativeLatency(model, { tokens: data.tokens, full: this.#record.fullLatency, runner });
  }

  #findings(): TuneFindings {
    return {
      card: this.#card,
      data: this.#options.data,
      settings: this.#settings,
      training: this.#training,
      result: this.#result,
      newWeights: this.#record.newWeights ?? [],
      backend: tf.getBackend(),
      runtime: this.#options.runner?.name ?? `tfjs ${tf.getBackend()}`,
      seconds: this.#record.seconds,
    };
  }

  /** An unmet budget with all that a report of it shows. */
  #withFindings(error: unknown): unknown {
    if (!(error instanceof TuneError && error.code === 'unmet-budget')) return error;
    return new TuneError(error.code, error.message, { ...error.details, findings: this.#findings() });
  }

  async #fineTune(
    stage: Stage,
    model: ElasticModel,
    name: string,
    options: FineTuneOptions,
  ): Promise<readonly LossPoint[]> {
    const { data, signal } = this.#options;
    const { batchSize, learningRate, seed } = this.#settings;
    const start = performance.now();
    this.#tell(stage, 0, options.steps ?? 0);
    const { history } = await fineTune(model, data.train, {
      batchSize,
      learningRate,
      seed: seed + (stage === 'refine' ? 1 : 0),
      schedule: { warmup: 0.1 },
      optimizer: { weightDecay: 0.01 },
      ...options,
      signal,
      checkpoint: { store: this.#store.state(name), everySeconds: SAVE_EVERY },
      onProgress: ({ step, steps, loss, eta }) => this.#tell(stage, step, steps, eta, `loss ${loss.toFixed(3)}`),
    });
    await this.#finish(stage, start);
    return history;
  }

  /** Heads, units and, where they are searched, channels by importance, from training data only; the full network's function does not change. */
  async #reorder(): Promise<void> {
    const { train } = this.#options.data;
    const { batches, examples } = CALIBRATION;
    const count = Math.min(examples, train.length);
    const inputs: ModelInputs[] = [];
    for (let i = 0; i < Math.min(batches, Math.ceil(train.length / count)); i++) {
      const indices = Array.from({ length: count }, (_, row) => (i * count + row) % train.length);
      inputs.push(inputTensors(await train.batch(indices)));
    }
    try {
      const { signal, settings } = this.#options;
      const axes = ['heads', 'ffn', ...(settings.space?.hidden ? (['hidden'] as const) : [])] as const;
      await reorderByImportance(this.#super!, { criterion: 'activation', batches: inputs, axes, signal });
    } finally {
      tf.dispose(inputs.flatMap((batch) => Object.values(batch) as tf.Tensor[]));
    }
  }

  #tell(stage: Stage, done: number, total: number, eta?: number, note?: string): void {
    this.#options.onProgress?.({ stage, done, total, eta, note });
  }

  async #finish(stage: Stage, start: number): Promise<void> {
    const seconds = (this.#record.seconds[stage] ?? 0) + (performance.now() - start) / 1000;
    await this.#note({ seconds: { ...this.#record.seconds, [stage]: seconds } });
  }

  async #note(part: Partial<RunRecord>): Promise<void> {
    this.#record = { ...this.#record, ...part };
    await this.#store.write(this.#record);
  }
}

function requireSame(before: RunRecord['keys'], now: RunRecord['keys']): void {
  const differs = (['load', 'train', 'search'] as const).find((name) => before[name] !== now[name]);
  if (differs === undefined) return;
  const what = {
    load: 'another model, task, data, space or seed',
    train: 'other steps, batch size or learning rate',
    search: 'other objectives, population, quantisation or runtime',
  }[differs];
  throw new TuneError(
    'other-run',
    `this folder holds a run with ${what}: give those options again, another --out, or --fresh to begin anew (budget, optimize, tune-steps and evaluations may change)`,
    { before, now },
  );
}
