// The trainings of a study: one recipe, one log, and the pace of each.
import { countParameters, fineTune, type Dataset, type ElasticModel, type FineTuneOptions } from '@instatune/supernet';
import { trainedOrKept, type KeptOptions, type Trained } from './kept.ts';
import { recordingLog, recordingSummary } from './recording-log.ts';
import type { Recipe } from './tasks.ts';
import { endedBy, trainWithin } from './within.ts';

/** What every training of a study shares. */
export interface TrainerOptions {
  readonly name: string;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Where trainings are kept between runs. @defaultValue nowhere */
  readonly kept?: KeptOptions;
}

/** Work of a super-network step without a teacher (a probe's), and of one model of a teacher, in plain steps. */
const SUPER_WORK = 1.75;
const TEACHER_WORK = 0.35;
/** Losses come in bursts of so many steps on a GPU. */
const BURST = 8;
/** Milliseconds between two lines of the log. */
const LOG_EVERY = 10_000;

export class Trainer {
  readonly #options: TrainerOptions;

  constructor(options: TrainerOptions) {
    this.#options = options;
  }

  /** Trains by the recipe; the pace leaves the first steps out, in which shaders and buffers are made. */
  async train(
    what: string,
    model: ElasticModel,
    data: Dataset,
    recipe: Recipe,
    options: FineTuneOptions & { readonly skip?: number },
    seconds = Number.POSITIVE_INFINITY,
  ): Promise<Trained> {
    const { kept, name, seed } = this.#options;
    const train = () => this.#within(seconds, what, model, data, recipe, options);
    if (!kept || what === 'probe') return train();
    const { steps = recipe.steps, learningRate = recipe.learningRate } = options;
    const parts = [name, what, steps, learningRate.toPrecision(3), countParameters(model.config), seed];
    return trainedOrKept(model, parts.join(' '), kept, train);
  }

  /** Trains for so many seconds at most. */
  #within(
    seconds: number,
    what: string,
    model: ElasticModel,
    data: Dataset,
    recipe: Recipe,
    options: FineTuneOptions & { readonly skip?: number },
  ): Promise<Trained> {
    const { name, signal, log } = this.#options;
    const most = options.steps ?? recipe.steps;
    const onFewer = (steps: number) => log(`${name}: ${what} takes too long: ${steps} instead of ${most} steps`);
    return trainWithin<Trained>({ model, most, seconds, signal, onFewer }, (steps, stop, onStep) =>
      this.#train(what, model, data, recipe, { ...options, steps }, stop, onStep),
    );
  }

  async #train(
    what: string,
    model: ElasticModel,
    data: Dataset,
    recipe: Recipe,
    options: FineTuneOptions & { readonly steps: number; readonly skip?: number },
    stop: AbortSignal,
    onStep: (step: number) => void,
  ): Promise<Trained> {
    const { name, signal, seed, log } = this.#options;
    const { skip, ...more } = options;
    const { steps } = more;
    const first = skip ?? (steps > 4 * BURST ? BURST * Math.ceil((steps * 0.05) / BURST) : 1);
    const start = performance.now();
    let mark = start;
    let lastLog = start;
    let loss = Number.NaN;
    let done = 0;
    const result = await fineTune(model, data, {
      batchSize: recipe.batchSize,
      learningRate: recipe.learningRate,
      seed,
      recording: recordingLog(`${name}: ${what}`, log),
      ...recipe.common,
      ...more,
      signal: stop,
      onProgress: (progress) => {
        done = progress.step;
        onStep(done);
        loss = Number.isNaN(loss) ? progress.loss : 0.98 * loss + 0.02 * progress.loss;
        const now = performance.now();
        if (progress.step === first) mark = now;
        if (now - lastLog < LOG_EVERY) return;
        lastLog = now;
        log(`${name}: ${what} ${progress.step}/${steps} loss ${loss.toFixed(4)} eta ${progress.eta.toFixed(0)} s`);
      },
    }).catch(endedBy(signal));
    if (result?.recording) log(`${name}: ${what} ${recordingSummary(result.recording)}`);
    if (done < steps) log(`${name}: ${what} is stopped after ${done} of ${steps} steps: its time is over`);
    const now = performance.now();
    const secondsPerStep = (now - mark) / 1000 / Math.max(1, done - first);
    return { seconds: (now - start) / 1000, secondsPerStep, loss, steps: done };
  }

  /** Steps of a recipe that fit the seconds left: a few super-network steps on throw-away weights tell the pace, and warm up. */
  async stepsWithin(secondsLeft: () => number, model: ElasticModel, data: Dataset, recipe: Recipe): Promise<number> {
    const probe = { strategy: 'instatune', gamma: 0, steps: 14, skip: 8 } as const;
    const { secondsPerStep } = await this.train('probe', model, data, recipe, probe);
    const { plain, distilled = true, teacher = {} } = recipe;
    const models =
      (teacher.tries ? plain.filter(({ asDistilled }) => !asDistilled).length : 1) + (teacher.beside ? 1 : 0);
    const distillations = (distilled ? 1 + models * TEACHER_WORK : 0) + SUPER_WORK + models * TEACHER_WORK;
    const work = plain.reduce((sum, { steps = 1 }) => sum + steps, distillations);
    const steps = Math.max(
      20,
      Math.min(recipe.steps, Math.floor((secondsLeft() * SUPER_WORK) / secondsPerStep / work)),
    );
    this.#options.log(
      `${this.#options.name}: ${(secondsPerStep * 1000).toFixed(1)} ms a super-network step, ${steps} of ${recipe.steps} steps fit`,
    );
    return steps;
  }
}
