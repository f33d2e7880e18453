// What running a study needs, in rounds or asynchronously.
import type { Evaluator } from '../evaluate/evaluator.ts';
import type { Space } from '../space.ts';
import type { Study } from '../study/study.ts';
import type { Trial } from '../study/trial.ts';
import type { Tactic } from '../tactics/tactic.ts';
import type { WarmStart } from '../warm-start.ts';
import type { ConstraintSet } from './constraint-set.ts';
import type { Stopping } from './stopping.ts';

export interface DriverOptions {
  readonly space: Space;
  readonly study: Study;
  readonly tactic: Tactic;
  readonly evaluator: Evaluator;
  /** Trials to have in all, those that were known not counted. */
  readonly budget: number;
  /** Canonical genes to measure first. */
  readonly given: readonly (readonly number[])[];
  readonly constraints: ConstraintSet;
  readonly warm: WarmStart | undefined;
  /** How often a trial is measured again during which this process died. */
  readonly retries: number;
  readonly stopping: Stopping | undefined;
  /** Whether proposals are. */
  readonly asynchronous: boolean;
  readonly signal: AbortSignal | undefined;
  onProposing(round: number): void;
  onTrial(trial: Trial): void;
}
