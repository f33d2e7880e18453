// Who steps together: steps that are asked for while others run, or at the same time, are made in one submit.
import type { ModelSession } from '@hip/kernels-webgpu';
import { pause } from '../pause.ts';
import { Batch, MOST_TOGETHER, type StepResult } from './batch.ts';
import type { WebgpuModel } from './model.ts';

/** What is asked of a step. */
export type Want =
  | { readonly kind: 'none' }
  | { readonly kind: 'logits' }
  | { readonly kind: 'candidates'; readonly temperature: number };

/** A step of one sequence. */
export interface Job {
  readonly session: ModelSession;
  readonly id: number;
  readonly position: number;
  readonly want: Want;
  /** Called when its turn has come. @throws what ends it */
  check(): void;
  resolve(result: StepResult): void;
  reject(error: unknown): void;
}

export class Scheduler {
  readonly #batch: Batch;
  readonly #most: number;
  readonly #waiting: Job[] = [];
  #running = false;
  /** Steps that were made together last. */
  #last = 1;
  /** Ends {@link #gathered}. */
  #complete: () => void = () => undefined;

  constructor(model: WebgpuModel) {
    this.#batch = new Batch(model);
    // Pages of one conversation at a time come from the host.
    this.#most = model.options.offload === undefined ? MOST_TOGETHER : 1;
  }

  /** Appends a token to a sequence. */
  step(job: Omit<Job, 'resolve' | 'reject'>): Promise<StepResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...job, check: () => job.check(), resolve, reject });
      if (!this.#running) void this.#run();
      else if (this.#waiting.length >= this.#last) this.#complete();
    });
  }

  /** Resolves when as many wait as stepped together before, or others have had their turn. */
  #gathered(): Promise<void> {
    return new Promise((resolve) => {
      this.#complete = resolve;
      void pause().then(resolve);
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Conversations that stepped together are told together, and ask again one after another.
    if (this.#last > 1) await this.#gathered();
    while (this.#waiting.length > 0) {
      const jobs = this.#waiting.splice(0, this.#most);
      this.#last = jobs.length;
      await this.#batch.run(jobs);
      // Some of them ask for their next step at once.
      if (this.#waiting.length > 0) await pause();
    }
    this.#running = false;
  }
}
