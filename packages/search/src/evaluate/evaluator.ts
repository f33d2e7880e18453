// How candidates get measured: one interface for this process, a pool of threads and a queue of machines.

import type { IntermediateValues } from '../study/trial.ts';

/** One measurement to make. It says everything that decides the result, so it can be made anywhere. */
export interface EvaluationJob {
  readonly study: string;
  readonly number: number;
  readonly genes: readonly number[];
  readonly seed: number;
  /** `search`, or the split that is reported. */
  readonly split: string;
  /** Fingerprint of the problem: an evaluator with another problem must refuse. */
  readonly fingerprint: string;
}

/** A finished measurement; `failed` after the last retry, `stopped` where it was ended early. */
export type Evaluation =
  | {
      readonly status: 'complete';
      readonly values: Readonly<Record<string, number>>;
      readonly host: string;
      readonly worker: string;
      readonly startedAt: number;
      readonly durationMs: number;
      readonly attempts: number;
    }
  | {
      readonly status: 'failed';
      readonly error: string;
      readonly host: string;
      readonly worker: string;
      readonly attempts: number;
    }
  | {
      /** As `onReport` wanted. */
      readonly status: 'stopped';
      readonly host: string;
      readonly worker: string;
      readonly startedAt: number;
      readonly durationMs: number;
      readonly attempts: number;
    };

export interface EvaluateOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called when the measurement really begins (it may have waited for a worker). */
  readonly onStart?: (() => void) | undefined;
  /** What the measurement reports on its way, and whether it is to go on. Evaluators that cannot hear of it never call this. */
  readonly onReport?: OnReport | undefined;
}

/** @returns whether the measurement is to end */
export type OnReport = (report: IntermediateValues) => 'go-on' | 'stop' | Promise<'go-on' | 'stop'>;

/** Measures candidates. `evaluate` rejects only when it was aborted or the evaluator itself is unusable; a failing trial resolves as `failed`. */
export interface Evaluator {
  /** How many jobs are worth having in flight. */
  readonly concurrency: number;
  /**
   * Measurements run in other processes, so none of them can end this one: a trial that was running when this process died is not
   * suspected of it. @defaultValue false
   */
  readonly isolated?: boolean | undefined;
  evaluate(job: EvaluationJob, options?: EvaluateOptions): Promise<Evaluation>;
  close(): Promise<void>;
}
