// What a run reports: per step, and at the end.
import type { RecordingStatistics } from '../../webgpu/recording-report.ts';
import type { LossPoint } from '../state/state.ts';

/** One finished step. */
export interface FineTuneProgress {
  /** Steps done, 1 … steps. */
  readonly step: number;
  readonly steps: number;
  /** Full passes over the data completed. */
  readonly epoch: number;
  /** Objective of the step: the sum over its networks, nats. */
  readonly loss: number;
  /** Objective of each network of the step, in order (super-network first where there is one). */
  readonly losses: readonly number[];
  /** Global gradient norm before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Training tokens (images: images) of this step. */
  readonly tokens: number;
  /** Training tokens (images) per second, averaged over the last steps; every token counts once, however many networks saw it. */
  readonly tokensPerSecond: number;
  /** Seconds this run has taken (a resumed run: since it was resumed). */
  readonly elapsed: number;
  /** Seconds still to go. */
  readonly eta: number;
}

/** What a finished run returns. */
export interface FineTuneResult {
  readonly steps: number;
  readonly epochs: number;
  /** Every step's loss, also of the part before a resume. */
  readonly history: readonly LossPoint[];
  /** Training tokens (images) of this run. */
  readonly tokens: number;
  readonly seconds: number;
  /** Step it was resumed from; 0 = started fresh. */
  readonly resumedFrom: number;
  /** Passes that were recorded and played, where the backend can. */
  readonly recording?: RecordingStatistics;
}

/** Weight of the newest step in the running means. */
const SMOOTHING = 0.2;

/** Running rates for {@link FineTuneProgress}. */
export class Pace {
  readonly #start = performance.now();
  #last = this.#start;
  #secondsPerStep: number | undefined;
  #tokensPerSecond: number | undefined;

  /** Call once per finished step. */
  tick(tokens: number): { elapsed: number; secondsPerStep: number; tokensPerSecond: number } {
    const now = performance.now();
    const seconds = Math.max(1e-9, (now - this.#last) / 1000);
    this.#last = now;
    this.#secondsPerStep = blend(this.#secondsPerStep, seconds);
    this.#tokensPerSecond = blend(this.#tokensPerSecond, tokens / seconds);
    return {
      elapsed: (now - this.#start) / 1000,
      secondsPerStep: this.#secondsPerStep,
      tokensPerSecond: this.#tokensPerSecond,
    };
  }

  /** Seconds since the start. */
  elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }
}

function blend(mean: number | undefined, value: number): number {
  return mean === undefined ? value : mean + SMOOTHING * (value - mean);
}
