// Options of fine-tuning: defaults and checks.
import { positiveInteger } from '../../counts.ts';
import type { LoaderOptions } from '../../data/loader.ts';
import { SupernetError } from '../../errors.ts';
import { dropoutRates } from '../../model/dropout.ts';
import type { DropoutRates } from '../../model/dropout.ts';
import { checkPrecision } from '../../model/precision.ts';
import type { Precision } from '../../model/precision.ts';
import type { AttentionFunction } from '../../model/types.ts';
import type { RecordingOptions } from '../../webgpu/recording-report.ts';
import type { AdamWOptions } from '../optimizer/adamw-options.ts';
import type { AverageOptions } from '../optimizer/average.ts';
import type { FineTuneProgress } from './progress.ts';
import type { ScheduleOptions } from '../optimizer/schedule.ts';
import type { StateStore } from '../state/store.ts';
import type { Strategy } from '../step/strategy.ts';
import { STRATEGIES, needsTeacher } from '../step/strategy.ts';
import { membersOf } from '../teacher/teacher.ts';
import type { Teacher } from '../teacher/teacher.ts';
import type { TeacherCache } from '../teacher/teacher-cache.ts';

/** Options of `fineTune`. */
export interface FineTuneOptions {
  /** @defaultValue 'instatune' */
  readonly strategy?: Strategy | undefined;
  /** Share of the label losses; the rest is distillation. @defaultValue 0.3 */
  readonly alpha?: number | undefined;
  /** 0: sub-networks learn from the super-network of the same step; 1: all learn from `teacher`; hybrid: first 1, then 0. @defaultValue 0 */
  readonly gamma?: 0 | 1 | 'hybrid' | undefined;
  /** Share of the steps with γ = 1 in the hybrid. @defaultValue 0.5 */
  readonly teacherShare?: number | undefined;
  /** Random sub-networks a step (M). @defaultValue 1 */
  readonly subnets?: number | undefined;
  /** Distillation temperature ρ; the KL terms are scaled by ρ². @defaultValue 1 */
  readonly temperature?: number | undefined;
  /**
   * Factor on the mean squared difference of hidden states after every layer to those of the teacher's first model, over real tokens, where a
   * network learns from `teacher` (TinyBERT, Jiao 2020, §3): of the student's hidden size, its channels in the student's order. That
   * model is run each step then, whatever a {@link TeacherCache} keeps.
   * @defaultValue 0
   */
  readonly hiddenStates?: number | undefined;
  /**
   * Of sentence encoders: factor on the KL of in-batch similarities that is learnt beside 1 − cos of the embeddings. With few texts 0 keeps
   * neighbours better (benchmarks/device/known-models.md).
   * @defaultValue 1
   */
  readonly similarities?: number | undefined;
  /**
   * A fixed, already fine-tuned model, or an ensemble of such: γ = 1, hybrid and `kd-only` need it. Its models are not
   * changed and not disposed. A {@link TeacherCache} reads every text once only.
   */
  readonly teacher?: Teacher | TeacherCache | undefined;
  /** Optimisation steps; wins over `epochs`. */
  readonly steps?: number | undefined;
  /** Passes over the data. @defaultValue 1 */
  readonly epochs?: number | undefined;
  /** Examples (or a token budget) of one micro-batch. @defaultValue 8 */
  readonly batchSize?: LoaderOptions['batchSize'] | undefined;
  /** Micro-batches summed before a step. @defaultValue 1 */
  readonly accumulate?: number | undefined;
  /** Peak learning rate. @defaultValue 5e-4 */
  readonly learningRate?: number | undefined;
  readonly schedule?: ScheduleOptions | undefined;
  readonly optimizer?: AdamWOptions | undefined;
  /** Limit of the global gradient norm; Infinity turns clipping off. @defaultValue 1 */
  readonly clipNorm?: number | undefined;
  /** Drop-out probabilities; a number is that of states alone. @defaultValue 0 */
  readonly dropout?: number | DropoutRates | undefined;
  /**
   * An exponential moving average of the weights (Polyak & Juditsky 1992): what the model holds when the run has ended. A run that is
   * stopped before leaves the weights themselves. @defaultValue none
   */
  readonly average?: AverageOptions | undefined;
  /**
   * `mixed`: products of float16 factors with float32 sums, on the GPU's matrix units, gradients scaled so that float16 holds them; weights,
   * moments and everything else stay float32 (Micikevicius 2018). Needs tfjs-webgpu on a device that has them: `setUpTfjs({ mixed: true })`.
   * @defaultValue 'float32'
   */
  readonly precision?: Precision | undefined;
  /**
   * On WebGPU, after `reuseWebGpuBindings()`: passes that come again (whole networks on batches of a shape that was seen before) are recorded
   * and played, which costs the host a fraction of its time; the numbers are the same, and tfjs' own until a replay was seen to give them. `false`
   * encodes each anew.
   * @defaultValue true
   */
  readonly recording?: boolean | RecordingOptions | undefined;
  /** @defaultValue dense attention in tfjs */
  readonly attention?: AttentionFunction | undefined;
  /** Order of the data, sub-networks and drop-out. @defaultValue 0 */
  readonly seed?: number | undefined;
  /** Stops between steps: the state is saved (with a store), then `aborted` is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FineTuneProgress) => void) | undefined;
  /** Where the state goes. @defaultValue nowhere */
  readonly checkpoint?: CheckpointOptions | undefined;
}

/** When and where training state is saved. */
export interface CheckpointOptions {
  readonly store: StateStore;
  /** @defaultValue 60 */
  readonly everySeconds?: number | undefined;
  /** Save after every n steps, whatever the time. */
  readonly everySteps?: number | undefined;
  /** Go on from the stored state where there is one. @defaultValue true */
  readonly resume?: boolean | undefined;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly strategy: Strategy;
  readonly alpha: number;
  readonly gamma: 0 | 1 | 'hybrid';
  readonly teacherShare: number;
  readonly subnets: number;
  readonly temperature: number;
  readonly hiddenStates: number;
  readonly similarities: number;
  readonly accumulate: number;
  readonly learningRate: number;
  readonly clipNorm: number;
  readonly dropout: number | DropoutRates;
  readonly average: AverageOptions | undefined;
  readonly precision: Precision;
  readonly seed: number;
}

/** Fills in defaults. @throws SupernetError `invalid-option` naming the option, the value and what it may be */
export function resolveOptions(options: FineTuneOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    strategy: options.strategy ?? 'instatune',
    alpha: options.alpha ?? 0.3,
    gamma: options.gamma ?? 0,
    teacherShare: options.teacherShare ?? 0.5,
    subnets: options.subnets ?? 1,
    temperature: options.temperature ?? 1,
    hiddenStates: options.hiddenStates ?? 0,
    similarities: options.similarities ?? 1,
    accumulate: options.accumulate ?? 1,
    learningRate: options.learningRate ?? 5e-4,
    clipNorm: options.clipNorm ?? 1,
    dropout: options.dropout ?? 0,
    average: options.average,
    precision: options.precision ?? 'float32',
    seed: options.seed ?? 0,
  };
  const { strategy, gamma, alpha, teacherShare, subnets, temperature, accumulate, learningRate, clipNorm, dropout } =
    resolved;
  const { everySteps = 1, everySeconds = 60 } = options.checkpoint ?? {};
  const check = (name: string, value: unknown, valid: boolean, expected: string): void => {
    if (!valid)
      throw new SupernetError('invalid-option', `${name} = ${String(value)}: expected ${expected}`, { name, value });
  };
  check('strategy', strategy, STRATEGIES.includes(strategy), STRATEGIES.join(', '));
  check('gamma', gamma, [0, 1, 'hybrid'].includes(gamma), "0, 1 or 'hybrid'");
  check('alpha', alpha, alpha >= 0 && alpha <= 1, 'a number 0…1');
  check('teacherShare', teacherShare, teacherShare >= 0 && teacherShare <= 1, 'a number 0…1');
  check('subnets', subnets, Number.isInteger(subnets) && subnets >= 0, 'an integer ≥ 0');
  check('subnets', subnets, resolved.strategy !== 'random' || subnets > 0, 'at least 1 for the strategy random');
  check('temperature', temperature, temperature > 0 && Number.isFinite(temperature), 'a positive number');
  const { hiddenStates, similarities } = resolved;
  check('similarities', similarities, similarities >= 0 && Number.isFinite(similarities), 'a number ≥ 0');
  check('hiddenStates', hiddenStates, hiddenStates >= 0 && Number.isFinite(hiddenStates), 'a number ≥ 0');
  check('accumulate', accumulate, Number.isInteger(accumulate) && accumulate >= 1, 'a positive integer');
  check('learningRate', learningRate, learningRate > 0 && Number.isFinite(learningRate), 'a positive number');
  check('clipNorm', clipNorm, clipNorm > 0, 'a positive number or Infinity');
  for (const [place, rate] of Object.entries(dropoutRates(dropout))) {
    const name = typeof dropout === 'number' ? 'dropout' : `dropout.${place}`;
    check(name, rate, rate >= 0 && rate < 1, '0 ≤ dropout < 1');
  }
  const { decay = 0 } = resolved.average ?? {};
  check('average.decay', decay, decay >= 0 && decay < 1, '0 ≤ decay < 1');
  check('seed', resolved.seed, Number.isInteger(resolved.seed), 'an integer');
  const { maxBytes = 1 } = typeof options.recording === 'object' ? options.recording : {};
  check('recording.maxBytes', maxBytes, maxBytes > 0, 'a positive number');
  const isCount = Number.isInteger(everySteps) && everySteps >= 1;
  check('checkpoint.everySteps', everySteps, isCount, 'a positive integer');
  check('checkpoint.everySeconds', everySeconds, everySeconds >= 0, 'a number ≥ 0');
  if (needsTeacher(resolved) && !options.teacher) {
    throw new SupernetError(
      'invalid-option',
      `strategy ${resolved.strategy} with gamma ${resolved.gamma} distils from a fixed teacher: give options.teacher, or gamma 0`,
      { strategy: resolved.strategy, gamma: resolved.gamma },
    );
  }
  if (options.teacher) membersOf(options.teacher);
  checkPrecision(resolved.precision);
  return resolved;
}

/** Steps of a run. @throws SupernetError `invalid-option` */
export function countSteps(options: FineTuneOptions, batchesPerEpoch: number | undefined): number {
  const perStep = options.accumulate ?? 1;
  const { epochs = 1 } = options;
  let { steps } = options;
  if (!(epochs > 0 && Number.isFinite(epochs))) {
    throw new SupernetError('invalid-option', `epochs = ${epochs}: expected a positive number`, { epochs });
  }
  if (steps === undefined) {
    if (batchesPerEpoch === undefined) {
      throw new SupernetError('invalid-option', 'a stream has no known length: give options.steps instead of epochs');
    }
    steps = Math.max(1, Math.floor((epochs * batchesPerEpoch) / perStep));
  }
  return positiveInteger('steps', steps);
}
