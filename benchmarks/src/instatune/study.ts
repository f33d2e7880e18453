// One task from pretrained weights to the table: plain, KD-only, super-network, search, sub-networks of the front.
import * as tf from '@tensorflow/tfjs';
import {
  reorderByImportance,
  subset,
  TeacherCache,
  type Dataset,
  type ElasticModel,
  type FineTuneOptions,
  type SpaceChoices,
} from '@instatune/supernet';
import { withCalibration } from './calibration.ts';
import type { KeptOptions, Trained } from './kept.ts';
import { leastMissed } from './least-missed.ts';
import type { Score } from './per-example.ts';
import { round, Rows } from './rows.ts';
import { withSampledWindows } from './sampled-text.ts';
import { StageClock, stagesOf } from './stage-clock.ts';
import { searchAndReport } from './sub-networks.ts';
import type { Recipe, Task, TaskData } from './tasks.ts';
import { scoreTeacher } from './teacher.ts';
import { Trainer } from './trainer.ts';

export interface StudyOptions {
  readonly shared: string;
  readonly seed: number;
  readonly recipe: Recipe;
  /** Seeds of the searches; the first one's LINAS front is the table's. */
  readonly searchSeeds: readonly number[];
  /** Rows of the table as they come. */
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
  /** Where trainings are kept between runs. @defaultValue nowhere */
  readonly kept?: KeptOptions;
  /** Seconds the task may take; the steps are cut to fit. @defaultValue no limit */
  readonly seconds?: number;
  /** Time of day in milliseconds at which all rows must be there: steps that do not fit are left out, training by training. @defaultValue none */
  readonly deadline?: number;
  /** Examples of the search and report splits, fewer for rehearsals. @defaultValue all */
  readonly limit?: number;
}

/** A plain fine-tuning, and its scores. */
interface PlainTry {
  readonly trained: Trained;
  readonly model: ElasticModel;
  readonly searched: Score;
  readonly reported: Score;
}

/** Tokens of a sampled window that are a training window's. */
const SAMPLE_PROMPT = 16;
/** Share of the time that training may take. */
const TRAINING_SHARE = 0.62;

/** Runs a task. */
export async function studyTask(task: Task, options: StudyOptions): Promise<void> {
  const { log } = options;
  const start = performance.now();
  const { limit } = options;
  const cut = (dataset: Dataset): Dataset =>
    limit === undefined || limit >= dataset.length
      ? dataset
      : subset(
          dataset,
          Array.from({ length: limit }, (_, i) => i),
        );
  const whole = await task.open(options.shared, options.seed, options.recipe);
  const data: TaskData = { ...whole, search: cut(whole.search), report: cut(whole.report) };
  log(
    `${task.name}: ${data.train.length} training, ${data.search.length} search, ${data.report.length} reported examples`,
  );
  const run = new Study(task, data, options, start);
  try {
    await run.train();
    await run.search();
  } finally {
    run.dispose();
  }
}

class Study {
  readonly #task: Task;
  #data: TaskData;
  readonly #options: StudyOptions;
  readonly #start: number;
  readonly #trainer: Trainer;
  readonly #rows: Rows;
  #recipe: Recipe;
  /** Models of the teacher, the picked plain fine-tuned one first. */
  #teacher: ElasticModel[] = [];
  /** What they said so far: text is read once. */
  #answers: TeacherCache | undefined;
  #superNetwork: ElasticModel | undefined;
  readonly #clock: StageClock | undefined;

  constructor(task: Task, data: TaskData, options: StudyOptions, start: number) {
    this.#task = task;
    this.#data = data;
    this.#options = options;
    this.#start = start;
    this.#recipe = options.recipe;
    const { seed, signal, log, deadline } = options;
    if (deadline !== undefined) this.#clock = new StageClock(deadline, stagesOf(this.#recipe));
    this.#rows = new Rows(task, data, options.emit);
    this.#trainer = new Trainer({ name: task.name, seed, signal, log, ...(options.kept && { kept: options.kept }) });
  }

  async train(): Promise<void> {
    await this.#fitSteps();
    const plain = await this.#trainPlain();
    await this.#appointTeacher();
    await this.#sample();
    if (this.#recipe.distilled ?? true) {
      const distilled = await this.#data.loadModel();
      const kdSteps = this.#recipe.distilledSteps ?? this.#recipe.steps;
      const kd = await this.#fineTune(
        'KD-only',
        distilled,
        { ...this.#distillation(), steps: kdSteps },
        {
          seconds: this.#clock?.begin('distilled'),
        },
      );
      await this.#row('KD-only', distilled, kd);
      if (this.#recipe.teacher?.distilled) await this.#promote(distilled);
      else distilled.dispose();
    }

    this.#superNetwork = await this.#data.loadModel(await this.#space());
    if (this.#recipe.fromTeacher) this.#startAsTeacher(this.#superNetwork);
    await this.#reorder(this.#superNetwork);
    const { superNetwork, superRate = 1 } = this.#recipe;
    const learningRate = this.#recipe.learningRate * superRate;
    const how: FineTuneOptions = {
      strategy: 'instatune',
      ...superNetwork,
      learningRate,
      ...(superNetwork.gamma !== 0 && { teacher: this.#cachedTeacher() }),
    };
    const seconds = this.#clock?.begin('super-network');
    const trained = await this.#fineTune('super-network', this.#superNetwork, how, { seconds });
    await this.#row('super-network', this.#superNetwork, trained, {
      learningRate: Number(learningRate.toPrecision(3)),
      timeAgainstPlain: round(trained.secondsPerStep / plain.secondsPerStep, 3),
    });
  }

  /** The recipe's space, with the blocks that may be left out. */
  async #space(): Promise<SpaceChoices> {
    const { space, skip } = this.#recipe;
    if (!skip) return space;
    const some = Array.from({ length: Math.min(16, this.#data.search.length) }, (_, i) => i);
    const { evaluationBatch: batchSize } = this.#task;
    const { precision } = this.#recipe.common;
    const found = await leastMissed(this.#teacher[0]!, subset(this.#data.search, some), skip, { batchSize, precision });
    this.#rows.emit('blocks that may be left out', { ...found });
    return { ...space, skip: found };
  }

  #startAsTeacher(model: ElasticModel): void {
    for (const [name, variable] of model.weights) variable.assign(this.#teacher[0]!.weights.get(name) as tf.Tensor);
  }

  /** Text that the teacher writes, for all that learn from it. */
  async #sample(): Promise<void> {
    const { sampled: windows } = this.#recipe;
    if (!windows) return;
    const { seed, signal, log } = this.#options;
    const start = performance.now();
    const options = { windows, prompt: SAMPLE_PROMPT, seed, signal };
    this.#data = { ...this.#data, distil: await withSampledWindows(this.#teacher, this.#data.train, options) };
    log(`${this.#task.name}: ${windows} windows written in ${round((performance.now() - start) / 1000, 1)} s`);
  }

  /** Options of a network that learns from the teacher alone. */
  #distillation(): FineTuneOptions {
    return { ...this.#recipe.superNetwork, strategy: 'kd-only', gamma: 1, teacher: this.#cachedTeacher() };
  }

  #cachedTeacher(): TeacherCache {
    // In host memory, the default.
    const maxBytes = tf.getBackend() === 'webgpu' ? this.#recipe.answers : undefined;
    this.#answers ??= new TeacherCache(this.#teacher, { maxBytes });
    return this.#answers;
  }

  /** A network that learnt from the teacher becomes a part of it. */
  async #promote(model: ElasticModel): Promise<void> {
    this.#answers?.dispose();
    this.#answers = undefined;
    this.#teacher.push(model);
    await this.#teacherRow();
  }

  /** Plain fine-tuning at each rate and length; the loss on the search split decides which one everything is held against. */
  async #trainPlain(): Promise<Trained> {
    const tries: (PlainTry & { readonly own: boolean })[] = [];
    for (const { rate, steps: share = 1, asDistilled = false } of this.#recipe.plain) {
      const steps = Math.max(1, Math.round(this.#recipe.steps * share));
      const learningRate = this.#recipe.learningRate * rate;
      const examples = asDistilled ? {} : { data: this.#data.train };
      const result = await this.#plainRow({}, { steps, learningRate }, examples, {
        ...(asDistilled && { examples: 'as distillation sees them' }),
      });
      tries.push({ ...result, own: !asDistilled });
    }
    const best = tries.reduce((held, other) => (other.searched.loss < held.searched.loss ? other : held));
    const isTeacher = ({ own }: (typeof tries)[number]) => own && this.#recipe.teacher?.tries === true;
    for (const other of tries) if (other !== best && !isTeacher(other)) other.model.dispose();
    this.#teacher = [best, ...tries.filter((other) => other !== best && isTeacher(other))].map(({ model }) => model);
    this.#rows.plain = best.reported;
    return best.trained;
  }

  /** One plain fine-tuning, of the task's weights or of others. */
  async #plainRow(
    { weights }: { readonly weights?: string },
    options: { readonly steps: number; readonly learningRate: number },
    examples: { readonly data?: Dataset },
    more: Record<string, unknown> = {},
  ): Promise<PlainTry> {
    const model = weights ? await this.#data.loadOther?.(weights) : await this.#data.loadModel();
    if (!model) throw new Error(`${this.#task.name} has no other weights than ${this.#task.weights}`);
    const trained = await this.#fineTune(
      'plain fine-tune',
      model,
      { ...this.#recipe.labels, strategy: 'plain', ...options },
      { ...examples, seconds: this.#clock?.begin('plain') },
    );
    const row = weights ? `plain fine-tune of ${weights}` : 'plain fine-tune';
    const learningRate = Number(options.learningRate.toPrecision(3));
    const scores = await this.#row(row, model, trained, {
      steps: options.steps,
      batch: this.#recipe.labels?.batchSize ?? this.#recipe.batchSize,
      learningRate,
      ...(weights && { weights }),
      ...more,
    });
    return { trained, model, ...scores };
  }

  /** The picked network, or an ensemble around it. */
  async #appointTeacher(): Promise<void> {
    const { teacher = {} } = this.#recipe;
    if (teacher.beside) {
      const { weights, ...options } = teacher.beside;
      const { model } = await this.#plainRow({ weights }, options, { data: this.#data.train });
      this.#teacher.push(model);
    }
    if (this.#teacher.length > 1) await this.#teacherRow();
  }

  /** How good an ensemble is. */
  async #teacherRow(): Promise<void> {
    const score = (data: Dataset) => scoreTeacher(this.#teacher, data, this.#task.evaluationBatch);
    const [reported, searched] = [await score(this.#data.report), await score(this.#data.search)];
    this.#rows.emit('teacher', {
      ...this.#rows.metrics(reported),
      ...this.#rows.againstPlain(reported),
      searchSplit: round(searched[this.#task.metric], 4),
      searchLoss: round(searched.loss, 4),
      models: this.#teacher.length,
    });
  }

  /** Searches on the trained super-network, and what they found. */
  async search(): Promise<void> {
    const { searchSeeds, log, signal } = this.#options;
    await searchAndReport({
      task: this.#task,
      recipe: this.#recipe,
      superNetwork: this.#superNetwork!,
      train: this.#data.train,
      search: this.#data.search,
      report: this.#data.report,
      rows: this.#rows,
      searchSeeds,
      distil: (model, options, seconds) =>
        this.#fineTune('tuned', model, { ...this.#distillation(), ...options }, { seconds }),
      secondsToTune: () => this.#clock?.begin('tuned') ?? Number.POSITIVE_INFINITY,
      secondsLeft: () => this.#secondsLeft(),
      log,
      signal,
    });
    const { examples, bytes, hits, misses } = this.#answers?.statistics() ?? {};
    if (hits)
      log(`${this.#task.name}: ${examples} answers of the teacher in ${bytes} bytes, ${hits} hits, ${misses} misses`);
  }

  dispose(): void {
    this.#answers?.dispose();
    for (const model of this.#teacher) model.dispose();
    this.#superNetwork?.dispose();
  }

  #secondsLeft(): number {
    const { seconds = Number.POSITIVE_INFINITY } = this.#options;
    const left = this.#clock?.secondsLeft() ?? Number.POSITIVE_INFINITY;
    return Math.min(left, seconds - (performance.now() - this.#start) / 1000);
  }

  /** Cuts the steps so that all trainings fit the time. */
  async #fitSteps(): Promise<void> {
    if (this.#options.seconds === undefined) return;
    const probe = await this.#data.loadModel();
    const examples = this.#data.distil ?? this.#data.train;
    const seconds = () => this.#secondsLeft() * TRAINING_SHARE;
    const steps = await this.#trainer.stepsWithin(seconds, probe, examples, this.#recipe);
    probe.dispose();
    this.#recipe = { ...this.#recipe, steps };
  }

  /** Trains, on the examples as distillation sees them unless given others. */
  async #fineTune(
    what: string,
    model: ElasticModel,
    options: FineTuneOptions,
    {
      data = this.#data.distil ?? this.#data.train,
      seconds,
    }: { readonly data?: Dataset; readonly seconds?: number | undefined } = {},
  ): Promise<Trained> {
    return this.#trainer.train(what, model, data, this.#recipe, options, seconds);
  }

  /** Heads and units by importance, from training data only; the full network's function does not change. */
  async #reorder(model: ElasticModel): Promise<void> {
    const { batchSize, reorder: axes } = this.#recipe;
    await withCalibration(this.#data.train, 4, Math.min(32, batchSize), (batches) =>
      reorderByImportance(model, { criterion: 'activation', batches, axes }),
    );
  }

  /** The row of a whole network. */
  #row(row: string, model: ElasticModel, trained: Trained, more: Record<string, unknown> = {}) {
    const { steps, batchSize, learningRate } = this.#recipe;
    const { seed } = this.#options;
    return this.#rows.network(row, model, trained, { steps, batch: batchSize, learningRate, seed, ...more });
  }
}
