// What a run says of its steps: the numbers of each as they are read, and what they add up to.
import { SupernetError } from '../../errors.ts';
import type { Dispatched } from './in-flight.ts';
import { Pace } from './progress.ts';
import type { LossPoint } from '../state/state.ts';
import type { FineTuneProgress } from './progress.ts';

/** The steps of one run that were read. */
export class StepLog {
  /** Every step's loss, also of the part before a resume. */
  readonly history: LossPoint[] = [];
  readonly #steps: number;
  #pace = new Pace();
  #tokens = 0;

  /** @param steps of the whole run */
  constructor(steps: number) {
    this.#steps = steps;
  }

  /** Training tokens (images) of the steps that were noted. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Starts the clock anew. */
  start(): void {
    this.#pace = new Pace();
  }

  /** Seconds by the clock. */
  elapsed(): number {
    return this.#pace.elapsed();
  }

  /**
   * @param numbers gradient norm, then the loss of each pass
   * @throws SupernetError `non-finite`
   */
  note({ step, epoch, tokens, learningRate }: Dispatched, numbers: readonly number[]): FineTuneProgress {
    const [gradientNorm = Number.NaN, ...losses] = numbers;
    const loss = losses.reduce((sum, value) => sum + value, 0);
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw new SupernetError(
        'non-finite',
        `step ${step}: loss ${loss}, gradient norm ${gradientNorm}: lower the learning rate (now ${learningRate}) or warm up longer`,
        { step, loss, gradientNorm, learningRate },
      );
    }
    this.history.push({ step, loss, learningRate });
    this.#tokens += tokens;
    const { elapsed, secondsPerStep, tokensPerSecond } = this.#pace.tick(tokens);
    const steps = this.#steps;
    const eta = (steps - step) * secondsPerStep;
    return { step, steps, epoch, loss, losses, gradientNorm, learningRate, tokens, tokensPerSecond, elapsed, eta };
  }
}
