// One task from pretrained weights to the table: plain, KD-only, super-network, search, sub-networks of the front.
import * as tf from '@tensorflow/tfjs';
import {
  countParameters,
  evaluate,
  extractModel,
  fineTune,
  fullSubnet,
  inputTensors,
  measureLatencies,
  reorderByImportance,
  subset,
  type Dataset,
  type ElasticModel,
  type FineTuneOptions,
  type ModelInputs,
  type SubnetConfig,
} from '@instatune/supernet';
import { withSampledWindows } from './sampled-text.ts';
import { SubnetSearch, type SearchedPoint, type TacticOutcome } from './search.ts';
import type { Recipe, Task, TaskData } from './tasks.ts';

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
  /** Seconds the task may take; the steps are cut to fit. @defaultValue no limit */
  readonly seconds?: number;
  /** Examples of the search and report splits, fewer for rehearsals. @defaultValue all */
  readonly limit?: number;
}

interface Trained {
  readonly secondsPerStep: number;
  readonly seconds: number;
  readonly loss: number;
}

/** MACs of the sub-networks of the table, at most, as shares of the full network's. */
const SHARES = [0.8, 0.6, 0.5, 0.4, 0.3];
/** Sub-networks of the table, at least. */
const LEAST_PICKS = 5;
/** Work of a KD-only and of a super-network step, in plain steps. */
const KD_WORK = 1.35;
const SUPER_WORK = 2.1;
/** Work of a probe's step (in-place distillation) in plain steps. */
const PROBE_WORK = 1.75;
/** Tokens of a sampled window that are a training window's. */
const SAMPLE_PROMPT = 16;
/** Losses come in bursts of so many steps on a GPU. */
const BURST = 8;
/** Share of the time that training may take. */
const TRAINING_SHARE = 0.62;

/** Runs a task. */
export async function studyTask(task: Task, options: StudyOptions): Promise<void> {
  const { log, signal } = options;
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
    await run.searchAndReport(signal);
  } finally {
    run.dispose();
  }
}

class Study {
  readonly #task: Task;
  #data: TaskData;
  readonly #options: StudyOptions;
  readonly #start: number;
  #recipe: Recipe;
  #plain: ElasticModel | undefined;
  #superNetwork: ElasticModel | undefined;
  #plainScore = Number.NaN;

  constructor(task: Task, data: TaskData, options: StudyOptions, start: number) {
    this.#task = task;
    this.#data = data;
    this.#options = options;
    this.#start = start;
    this.#recipe = options.recipe;
  }

  async train(): Promise<void> {
    await this.#fitSteps();
    const plain = await this.#trainPlain();
    await this.#sample();
    if (this.#recipe.distilled ?? true) {
      const distilled = await this.#data.loadModel();
      const kd = await this.#fineTune('KD-only', distilled, this.#distillation());
      await this.#row('KD-only', distilled, kd);
      distilled.dispose();
    }

    this.#superNetwork = await this.#data.loadModel();
    await this.#reorder(this.#superNetwork);
    const { superNetwork, superRate = 1 } = this.#recipe;
    const learningRate = this.#recipe.learningRate * superRate;
    const trained = await this.#fineTune('super-network', this.#superNetwork, {
      strategy: 'instatune',
      ...superNetwork,
      learningRate,
      ...(superNetwork.gamma !== 0 && { teacher: this.#plain as ElasticModel }),
    });
    await this.#row('super-network', this.#superNetwork, trained, {
      learningRate: Number(learningRate.toPrecision(3)),
      timeAgainstPlain: round(trained.secondsPerStep / plain.secondsPerStep, 3),
    });
  }

  /** Text that the teacher writes, for all that learn from it. */
  async #sample(): Promise<void> {
    const { sampled: windows } = this.#recipe;
    if (!windows) return;
    const { seed, signal, log } = this.#options;
    const start = performance.now();
    const options = { windows, prompt: SAMPLE_PROMPT, seed, signal };
    this.#data = { ...this.#data, distil: await withSampledWindows(this.#plain!, this.#data.train, options) };
    log(`${this.#task.name}: ${windows} windows written in ${round((performance.now() - start) / 1000, 1)} s`);
  }

  /** Options of a network that learns from the plain fine-tuned one. */
  #distillation(): FineTuneOptions {
    return { ...this.#recipe.superNetwork, strategy: 'kd-only', gamma: 1, teacher: this.#plain as ElasticModel };
  }

  /** Plain fine-tuning at each rate and length; the search split decides which one everything is held against. */
  async #trainPlain(): Promise<Trained> {
    const { metric } = this.#task;
    const sign = metric === 'accuracy' ? 1 : -1;
    let best: { trained: Trained; model: ElasticModel; searched: number; reported: number } | undefined;
    for (const { rate, steps: share = 1, asDistilled = false } of this.#recipe.plain) {
      const model = await this.#data.loadModel();
      const learningRate = this.#recipe.learningRate * rate;
      const steps = Math.max(1, Math.round(this.#recipe.steps * share));
      const options: FineTuneOptions = { strategy: 'plain', learningRate, steps };
      const examples = asDistilled ? {} : { data: this.#data.train };
      const trained = await this.#fineTune('plain fine-tune', model, options, examples);
      const { reported, searched } = await this.#row('plain fine-tune', model, trained, {
        steps,
        learningRate: Number(learningRate.toPrecision(3)),
        ...(asDistilled && { examples: 'as distillation sees them' }),
      });
      if (!best || sign * searched > sign * best.searched) {
        best?.model.dispose();
        best = { trained, model, searched, reported };
      } else model.dispose();
    }
    this.#plain = best!.model;
    this.#plainScore = best!.reported;
    return best!.trained;
  }

  async searchAndReport(signal: AbortSignal): Promise<void> {
    const { log, searchSeeds, emit } = this.#options;
    const model = this.#superNetwork!;
    const search = new SubnetSearch(this.#task, model, this.#data.search);
    const outcomes: TacticOutcome[] = [];
    for (const seed of searchSeeds) {
      for (const tactic of ['linas', 'nsga2', 'random'] as const) {
        outcomes.push(await search.run(tactic, this.#recipe.evaluations, seed, signal));
        log(
          `${this.#task.name}: ${tactic} seed ${seed}: ${outcomes.at(-1)!.front.length} on the front, ${search.measured} sub-networks measured`,
        );
      }
      if (seed === searchSeeds[0]) await this.#subNetworks(search, outcomes[0]!);
      if (this.#secondsLeft() < 8) break;
    }
    const volumes = search.hypervolumes(outcomes);
    for (const [index, { tactic, seed, front, seconds }] of outcomes.entries()) {
      emit({
        task: this.#task.name,
        row: 'search',
        tactic,
        seed,
        measurements: this.#recipe.evaluations,
        hypervolume: round(volumes[index]!, 5),
        front: front.length,
        seconds: round(seconds, 1),
      });
    }
  }

  dispose(): void {
    this.#plain?.dispose();
    this.#superNetwork?.dispose();
  }

  #secondsLeft(): number {
    const { seconds = Number.POSITIVE_INFINITY } = this.#options;
    return seconds - (performance.now() - this.#start) / 1000;
  }

  /** Cuts the steps so that all trainings fit the time: a few super-network steps on throw-away weights tell the pace, and warm up. */
  async #fitSteps(): Promise<void> {
    if (this.#options.seconds === undefined) return;
    const probe = await this.#data.loadModel();
    const { secondsPerStep } = await this.#fineTune(
      'probe',
      probe,
      { strategy: 'instatune', gamma: 0, steps: 14 },
      { skip: 8 },
    );
    probe.dispose();
    const { plain, distilled = true } = this.#recipe;
    const work = plain.reduce((sum, { steps: share = 1 }) => sum + share, (distilled ? KD_WORK : 0) + SUPER_WORK);
    const perStep = (secondsPerStep / PROBE_WORK) * work;
    const steps = Math.floor((this.#secondsLeft() * TRAINING_SHARE) / perStep);
    this.#recipe = { ...this.#recipe, steps: Math.max(20, Math.min(this.#recipe.steps, steps)) };
    this.#options.log(
      `${this.#task.name}: ${round(secondsPerStep * 1000, 1)} ms a super-network step, ${this.#recipe.steps} of ${this.#options.recipe.steps} steps fit`,
    );
  }

  /**
   * Trains, on the examples as distillation sees them unless given others; the pace leaves the first steps out, in which
   * shaders and buffers are made.
   */
  async #fineTune(
    what: string,
    model: ElasticModel,
    options: FineTuneOptions,
    { skip, data }: { readonly skip?: number; readonly data?: Dataset } = {},
  ): Promise<Trained> {
    const { steps, batchSize, learningRate, common } = this.#recipe;
    const { signal, seed, log } = this.#options;
    const planned = options.steps ?? steps;
    const first = skip ?? (planned > 4 * BURST ? BURST * Math.ceil((planned * 0.05) / BURST) : 1);
    const start = performance.now();
    let mark = start;
    let lastLog = start;
    let loss = Number.NaN;
    await fineTune(model, data ?? this.#data.distil ?? this.#data.train, {
      steps,
      batchSize,
      learningRate,
      seed,
      ...common,
      ...options,
      signal,
      onProgress: (progress) => {
        loss = Number.isNaN(loss) ? progress.loss : 0.98 * loss + 0.02 * progress.loss;
        const now = performance.now();
        if (progress.step === first) mark = now;
        if (now - lastLog > 10_000) {
          lastLog = now;
          log(
            `${this.#task.name}: ${what} ${progress.step}/${progress.steps} loss ${loss.toFixed(4)} eta ${progress.eta.toFixed(0)} s`,
          );
        }
      },
    });
    const end = performance.now();
    return { seconds: (end - start) / 1000, secondsPerStep: (end - mark) / 1000 / (planned - first), loss };
  }

  /** Heads and units by importance, from training data only; the full network's function does not change. */
  async #reorder(model: ElasticModel): Promise<void> {
    const batches: ModelInputs[] = [];
    for (let i = 0; i < 4; i++) {
      const indices = Array.from({ length: 32 }, (_, row) => (i * 997 + row * 31) % this.#data.train.length);
      batches.push(inputTensors(await this.#data.train.batch(indices)));
    }
    await reorderByImportance(model, { criterion: 'activation', batches });
    tf.dispose(batches.flatMap((batch) => Object.values(batch) as tf.Tensor[]));
  }

  async #score(model: ElasticModel, data: Dataset, subnet?: SubnetConfig): Promise<{ accuracy: number; loss: number }> {
    return evaluate(model, data, { batchSize: this.#task.evaluationBatch, ...(subnet && { subnet }) });
  }

  async #row(
    row: string,
    model: ElasticModel,
    trained: Trained,
    more: Record<string, unknown> = {},
  ): Promise<{ reported: number; searched: number }> {
    const result = await this.#score(model, this.#data.report);
    const searched = await this.#score(model, this.#data.search);
    const search = new SubnetSearch(this.#task, model, this.#data.search);
    const full = fullSubnet(model.space);
    this.#options.emit({
      task: this.#task.name,
      weights: this.#task.weights,
      reported: this.#task.reported,
      row,
      ...this.#metrics(result),
      searchSplit: round(searched[this.#task.metric], 4),
      macs: search.macs(full),
      parameters: countParameters(model.config),
      steps: this.#recipe.steps,
      batch: this.#recipe.batchSize,
      learningRate: this.#recipe.learningRate,
      trainingSeconds: round(trained.seconds, 1),
      msPerStep: round(trained.secondsPerStep * 1000, 1),
      trainingLoss: round(trained.loss, 4),
      seed: this.#options.seed,
      ...more,
    });
    return { reported: result[this.#task.metric], searched: searched[this.#task.metric] };
  }

  /** Sub-networks of the LINAS front, chosen on the search split only, on the reported split, with measured latency. */
  async #subNetworks(search: SubnetSearch, outcome: TacticOutcome): Promise<void> {
    const model = this.#superNetwork!;
    const full = search.macs(fullSubnet(model.space));
    const picks = pickByShare(outcome.front, full, this.#task.metric);
    const subnets = [fullSubnet(model.space), ...picks.map(({ point }) => point.subnet)];
    const latencies = await measureLatencies(model, subnets, {
      ...this.#task.latency,
      repeats: 15,
      warmup: 3,
      signal: this.#options.signal,
    });
    this.#options.emit({
      task: this.#task.name,
      row: 'full network latency',
      latencyMs: round(latencies[0]!.medianMs, 3),
      latencyBatch: 1,
      ...(this.#task.tokens && { latencyTokens: this.#task.tokens }),
    });
    for (const [index, { share, point }] of picks.entries()) {
      const result = await this.#score(model, this.#data.report, point.subnet);
      this.#options.emit({
        ...this.#subNetworkRow('sub-network', { share, point, full }, result, point.value),
        parameters: countParameters(model.config, point.subnet),
        latencyMs: round(latencies[index + 1]!.medianMs, 3),
        layers: point.subnet.layers,
        heads: point.subnet.heads.slice(0, point.subnet.layers),
        ffn: point.subnet.ffn.slice(0, point.subnet.layers),
      });
    }
    for (const { share, point } of picks) if (point.macs < full) await this.#tune(share, point, full);
  }

  /** What the row of a sub-network says, whether it is one of the super-network or by itself. */
  #subNetworkRow(
    row: string,
    { share, point, full }: { readonly share: number; readonly point: SearchedPoint; readonly full: number },
    result: { readonly accuracy: number; readonly loss: number },
    searched: number,
  ): Record<string, unknown> {
    return {
      task: this.#task.name,
      row,
      bestWithin: share,
      ...this.#metrics(result),
      againstPlain: round((result[this.#task.metric] - this.#plainScore) / this.#plainScore, 4),
      searchSplit: round(searched, 4),
      macs: point.macs,
      fewerMacs: round(1 - point.macs / full, 4),
    };
  }

  /** A sub-network by itself, distilled a little longer: what is left to gain once a size is chosen. */
  async #tune(share: number, point: SearchedPoint, full: number): Promise<void> {
    const { tune, learningRate } = this.#recipe;
    if (!tune) return;
    const model = await extractModel(this.#superNetwork!, point.subnet);
    try {
      const { steps } = tune;
      const rate = learningRate * tune.rate;
      const trained = await this.#fineTune('tuned', model, { ...this.#distillation(), steps, learningRate: rate });
      const result = await this.#score(model, this.#data.report);
      const searched = await this.#score(model, this.#data.search);
      this.#options.emit({
        ...this.#subNetworkRow(
          'sub-network, fine-tuned on',
          { share, point, full },
          result,
          searched[this.#task.metric],
        ),
        parameters: countParameters(this.#superNetwork!.config, point.subnet),
        steps,
        learningRate: Number(rate.toPrecision(3)),
        trainingSeconds: round(trained.seconds, 1),
      });
    } finally {
      model.dispose();
    }
  }

  #metrics({ accuracy, loss }: { accuracy: number; loss: number }): Record<string, number> {
    return this.#task.metric === 'accuracy'
      ? { accuracy: round(accuracy, 4), loss: round(loss, 4) }
      : { loss: round(loss, 4) };
  }
}

/** The best point of the front within each share of the full network's MACs, each once; then others, until there are enough. */
function pickByShare(front: readonly SearchedPoint[], full: number, metric: Task['metric']) {
  const better = (a: SearchedPoint, b: SearchedPoint) =>
    metric === 'accuracy' ? a.value > b.value : a.value < b.value;
  const picks: { share: number; point: SearchedPoint }[] = [];
  const add = (share: number, point: SearchedPoint | undefined): void => {
    if (point && !picks.some((pick) => pick.point === point)) picks.push({ share, point });
  };
  for (const share of [1, ...SHARES]) {
    const within = front.filter(({ macs }) => macs <= share * full);
    add(
      share,
      within.reduce<SearchedPoint | undefined>(
        (held, point) => (held && !better(point, held) ? held : point),
        undefined,
      ),
    );
  }
  const byCost = [...front].sort((p, q) => q.macs - p.macs);
  for (let i = 0; picks.length < Math.min(LEAST_PICKS, front.length); i++) {
    const point = byCost[Math.round((i * (byCost.length - 1)) / (LEAST_PICKS - 1)) % byCost.length];
    add(Number(((point?.macs ?? 0) / full).toPrecision(2)), point);
    if (i > 4 * byCost.length) break;
  }
  return picks;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
