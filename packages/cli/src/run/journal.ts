// What a run notes down as it goes: results of finished stages and their times in its record, and progress for whoever watches.
import { fineTune, type Dataset, type ElasticModel, type FineTuneOptions, type LossPoint } from '@instatune/supernet';
import type { ResolvedSettings } from '../steps/settings.ts';
import type { Stage, TuneProgress } from '../steps/stages.ts';
import { requireSame } from './keys.ts';
import type { RunRecord } from './record.ts';
import type { RunStore } from './store.ts';

/** Seconds between two saves of a training state. */
const SAVE_EVERY = 30;

/** The record of one run, with its store. */
export class Journal {
  readonly store: RunStore;
  readonly #onProgress: ((progress: TuneProgress) => void) | undefined;
  #record: RunRecord | undefined;

  constructor(store: RunStore, onProgress: ((progress: TuneProgress) => void) | undefined) {
    this.store = store;
    this.#onProgress = onProgress;
  }

  /**
   * @param also keys that are as good, of a record that was written before
   * @throws TuneError `other-run` where the store holds a run with other options
   */
  async open(keys: RunRecord['keys'], newWeights: readonly string[], also = keys): Promise<void> {
    const before = await this.store.read();
    if (before) requireSame(before.keys, before.keys.load === also.load ? also : keys);
    this.#record = before ?? { version: 1, keys, newWeights: [...newWeights], seconds: {} };
  }

  get record(): RunRecord {
    return this.#record!;
  }

  async note(part: Partial<RunRecord>): Promise<void> {
    this.#record = { ...this.record, ...part };
    await this.store.write(this.#record);
  }

  /** Adds the time since `start` to a stage's. */
  async finish(stage: Stage, start: number): Promise<void> {
    const { seconds } = this.record;
    await this.note({ seconds: { ...seconds, [stage]: (seconds[stage] ?? 0) + (performance.now() - start) / 1000 } });
  }

  tell(stage: Stage, done: number, total: number, eta?: number, note?: string): void {
    this.#onProgress?.({ stage, done, total, eta, note });
  }

  /** Trains a model, going on from the state that is kept under the name. */
  async train(
    stage: Stage,
    model: ElasticModel,
    name: string,
    { data, settings, ...options }: FineTuneOptions & { readonly data: Dataset; readonly settings: ResolvedSettings },
  ): Promise<readonly LossPoint[]> {
    const { batchSize, learningRate, seed } = settings;
    const start = performance.now();
    this.tell(stage, 0, options.steps ?? 0);
    const { history } = await fineTune(model, data, {
      batchSize,
      learningRate,
      seed: seed + (stage === 'refine' ? 1 : 0),
      schedule: { warmup: 0.1 },
      optimizer: { weightDecay: 0.01 },
      ...options,
      checkpoint: { store: this.store.state(name), everySeconds: SAVE_EVERY },
      onProgress: ({ step, steps, loss, eta }) => this.tell(stage, step, steps, eta, `loss ${loss.toFixed(3)}`),
    });
    await this.finish(stage, start);
    return history;
  }
}
