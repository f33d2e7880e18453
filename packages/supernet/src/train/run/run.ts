// One run of fine-tuning, step by step: what is dispatched, reported, saved and resumed.
import * as tf from '@tensorflow/tfjs';
import { batchTokens } from '../../data/dataset.ts';
import type { Dataset, HostBatch } from '../../data/dataset.ts';
import { createLoader } from '../../data/loader.ts';
import type { BatchLoader } from '../../data/loader.ts';
import type { ElasticModel } from '../../model/types.ts';
import { outOfMemory } from '../../model/wasm-memory.ts';
import { AdamW } from '../optimizer/adamw.ts';
import { WeightAverage } from '../optimizer/average.ts';
import { countSteps, resolveOptions } from './options.ts';
import type { FineTuneOptions, ResolvedOptions } from './options.ts';
import type { FineTuneProgress, FineTuneResult } from './progress.ts';
import { SeededRandom, deriveSeed } from '../../random.ts';
import { STEPS_IN_FLIGHT, disposeNumbers, outOfGpuMemory, readNumbers } from './in-flight.ts';
import type { Dispatched } from './in-flight.ts';
import { createSchedule } from '../optimizer/schedule.ts';
import { loadState, saveState } from '../state/state.ts';
import type { RunState } from '../state/state.ts';
import { dataFingerprint, noteStart, weightsFingerprint } from '../state/fingerprint.ts';
import { runFingerprint } from './run-fingerprint.ts';
import { UnusedBufferLimit } from '../../webgpu/pool.ts';
import { inMemoryScope } from '../../webgpu/memory-scope.ts';
import { Recorder } from '../../webgpu/recorder.ts';
import { trainStep } from '../step/step.ts';
import type { StepContext } from '../step/step-context.ts';
import { StepLog } from './step-log.ts';
import { objectiveAt, planStep } from '../step/strategy.ts';

/** A run: `start`, `advance` until all steps are done and read, `close`. */
export class Run {
  readonly steps: number;
  step = 0;
  readonly pending: Dispatched[] = [];
  finished = false;
  readonly #model: ElasticModel;
  readonly #data: Dataset | BatchLoader;
  readonly #loader: BatchLoader;
  readonly #options: FineTuneOptions;
  readonly #resolved: ResolvedOptions;
  readonly #optimizer: AdamW;
  readonly #schedule: (step: number) => number;
  readonly #random: SeededRandom;
  readonly #log: StepLog;
  #average: WeightAverage | undefined;
  readonly #unused = new UnusedBufferLimit();
  readonly #recorder: Recorder | undefined;
  #resumedFrom = 0;
  #saved = { step: -1, at: performance.now() };
  #failed = false;
  #claim: AsyncDisposable | undefined;
  #began: RunState['began'] = { data: null, weights: '' };

  constructor(model: ElasticModel, data: Dataset | BatchLoader, options: FineTuneOptions) {
    this.#model = model;
    this.#data = data;
    this.#options = options;
    this.#resolved = resolveOptions(options);
    const { seed } = this.#resolved;
    const batchSize = options.batchSize ?? 8;
    this.#loader = 'next' in data ? data : createLoader(data, { batchSize, seed });
    this.steps = countSteps(options, this.#loader.batchesPerEpoch);
    this.#log = new StepLog(this.steps);
    this.#schedule = createSchedule(this.steps, options.schedule);
    this.#optimizer = new AdamW(model, options.optimizer);
    this.#random = new SeededRandom(deriveSeed(seed, 4));
    const { recording = true } = options;
    if (recording) this.#recorder = new Recorder(recording === true ? {} : recording);
  }

  async start(): Promise<void> {
    const { checkpoint, average } = this.#options;
    if (average) this.#average = new WeightAverage(this.#model, average);
    if (checkpoint) {
      // Until all of it is read, a stored state must not be replaced: one that cannot be used here is not to be lost.
      this.#failed = true;
      this.#claim = await checkpoint.store.claim?.();
      const weights = await weightsFingerprint(this.#model);
      this.#began = { data: await dataFingerprint(this.#data), weights };
      const state =
        checkpoint.resume === false
          ? undefined
          : await loadState(
              checkpoint.store,
              this.#model,
              this.#trained(),
              runFingerprint(this.#options, this.#resolved, this.steps),
              this.#began,
            );
      noteStart(this.#model, weights);
      if (state) {
        this.#began = state.began;
        this.step = this.#resumedFrom = state.step;
        this.#saved.step = state.step;
        this.#random.restore(state.random);
        await this.#loader.restore(state.loader);
        for (const point of state.history) this.#log.history.push(point);
      }
      this.#failed = false;
    }
    this.#log.start();
  }

  /** Dispatches the next step and returns the reports that are ready. */
  async advance(): Promise<FineTuneProgress[]> {
    const reports: FineTuneProgress[] = [];
    if (this.step < this.steps) {
      this.pending.push(await this.#dispatch());
      // A GPU computes the newest step while the ones before it are read; elsewhere the numbers are there already.
      if (tf.getBackend() !== 'webgpu') reports.push(...(await this.flush()));
      else if (this.pending.length > STEPS_IN_FLIGHT) reports.push(...(await this.flush(STEPS_IN_FLIGHT)));
    } else {
      reports.push(...(await this.flush()));
    }
    await this.#recorder?.settle();
    this.#unused.check();
    if (this.#saveIsDue()) {
      reports.push(...(await this.flush()));
      await this.save();
    }
    // Timers and abort signals get a turn on synchronous backends.
    await new Promise((resolve) => setTimeout(resolve, 0));
    return reports;
  }

  /** Reads the numbers of the oldest dispatched steps. */
  async flush(count = this.pending.length): Promise<FineTuneProgress[]> {
    const steps = this.pending.splice(0, count);
    const numbers = await readNumbers(steps);
    for (const { exhausted, step } of steps) this.#requireMemory(await exhausted, step);
    return steps.map((step, index) => this.#report(step, numbers[index] as number[]));
  }

  /** Saves the state unless it is saved already. */
  async save(): Promise<void> {
    const store = this.#options.checkpoint?.store;
    if (!store || this.#saved.step === this.step || this.#failed) return;
    await saveState(store, this.#model, this.#trained(), {
      step: this.step,
      random: this.#random.state(),
      loader: this.#loader.state(),
      history: this.#log.history,
      fingerprint: runFingerprint(this.#options, this.#resolved, this.steps),
      began: this.#began,
    });
    this.#saved = { step: this.step, at: performance.now() };
  }

  /** The model holds the average from here on. */
  useAverage(): void {
    this.#average?.apply();
  }

  /** What a state holds beside the weights. */
  #trained() {
    return { optimizer: this.#optimizer, ...(this.#average && { average: this.#average }) };
  }

  result(): FineTuneResult {
    const recording = this.#recorder?.statistics;
    return {
      steps: this.step,
      epochs: this.#loader.epoch,
      history: this.#log.history,
      tokens: this.#log.tokens,
      seconds: this.#log.elapsed(),
      resumedFrom: this.#resumedFrom,
      ...(recording && recording.encoded > 0 && { recording }),
    };
  }

  async close(): Promise<void> {
    try {
      if (!this.finished && !this.#failed) {
        await this.flush();
        await this.save();
      }
    } finally {
      disposeNumbers(this.pending);
      this.#recorder?.dispose();
      this.#optimizer.dispose();
      this.#average?.dispose();
      await this.#claim?.[Symbol.asyncDispose]();
    }
  }

  async #dispatch(): Promise<Dispatched> {
    const { accumulate, learningRate, temperature, hiddenStates, similarities, clipNorm, dropout, precision } =
      this.#resolved;
    const { teacher, attention } = this.#options;
    const batches: HostBatch[] = [];
    for (let i = 0; i < accumulate; i++) batches.push(await this.#loader.next());
    const rate = learningRate * this.#schedule(this.step);
    const plan = planStep(this.#model.space, objectiveAt(this.step, this.steps, this.#resolved), this.#random.next);
    try {
      const context: StepContext = {
        model: this.#model,
        optimizer: this.#optimizer,
        temperature,
        hiddenStates,
        similarities,
        clipNorm,
        dropout,
        mixed: precision === 'mixed',
        recorder: this.#recorder,
        ...(teacher && { teacher }),
        ...(attention && { attention }),
      };
      const seed = this.#random.uint32() >>> 8;
      const { value: output, exhausted } = inMemoryScope(() => trainStep(context, batches, plan, rate, seed));
      this.step++;
      this.#average?.update(this.step);
      const tokens = batches.reduce((sum, batch) => sum + batchTokens(batch), 0);
      return { output, exhausted, step: this.step, epoch: this.#loader.epoch, tokens, learningRate: rate };
    } catch (error) {
      // Half a step may have been applied: such a state is not to be saved.
      this.#failed = true;
      throw outOfMemory(error, Math.max(...batches.map(batchTokens))) ?? error;
    }
  }

  /** A GPU that has no memory left computes nothing and says nothing: such a state is not to be saved. */
  #requireMemory(message: string | undefined, step: number): void {
    if (message === undefined) return;
    this.#failed = true;
    throw outOfGpuMemory(step, message, this.#recorder?.statistics.bytes);
  }

  #report(step: Dispatched, numbers: readonly number[]): FineTuneProgress {
    try {
      return this.#log.note(step, numbers);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  #saveIsDue(): boolean {
    const { checkpoint } = this.#options;
    if (!checkpoint || this.step === this.steps) return false;
    const { everySeconds = 60, everySteps } = checkpoint;
    const seconds = (performance.now() - this.#saved.at) / 1000;
    return (everySteps !== undefined && this.step % everySteps === 0) || seconds >= everySeconds;
  }
}
