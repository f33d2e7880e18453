// What a study remembers of one candidate: its genes, what was measured, where, when and how often it was tried.

/**
 * `pending` waits, `running` has a worker, `complete` has values, `failed` has an error and is not tried again, `stopped` was ended early for
 * what it reported on the way: it has `intermediate` values and no others.
 */
export type TrialStatus = 'pending' | 'running' | 'complete' | 'failed' | 'stopped';

/** What a trial reported on its way. */
export interface IntermediateValues {
  /** How far it was: the steps that were done, in the problem's unit (batches, epochs). */
  readonly step: number;
  /** Measured objectives as they stood, and whatever else was reported. */
  readonly values: Readonly<Record<string, number>>;
}

/** One candidate of a study. Genes are in canonical form; a study never holds two trials with the same `key`. */
export interface Trial {
  /** Position in the study, from 0: the order of proposal, not of completion. */
  readonly number: number;
  readonly round: number;
  /** Who proposed it: `baseline`, `random`, `warm`, or the tactic's name. */
  readonly origin: string;
  readonly genes: readonly number[];
  /** Canonical genes as text: equal keys are equal candidates. */
  readonly key: string;
  /** Handed to the evaluator: depends on the study's seed and the trial's number only. */
  readonly seed: number;
  readonly status: TrialStatus;
  /**
   * Every objective by name in its own unit and direction (exact ones too), then whatever else the problem measured. Objectives are finite; the
   * rest is as it was given: a meter that failed may have said NaN or null, which satisfies no budget.
   */
  readonly values?: Readonly<Record<string, number>>;
  readonly error?: string;
  /** How often it was begun, the one that runs and those that a process ended under included. */
  readonly attempts: number;
  readonly host?: string;
  readonly worker?: string;
  /** Milliseconds since 1970. */
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** Milliseconds inside the problem's own measurement. */
  readonly durationMs?: number;
  /** What it reported on its way, by step. */
  readonly intermediate?: readonly IntermediateValues[];
  /** Fencing token, where several may measure: how often the trial was handed out. Only who has the last one may say how it ended. */
  readonly lease?: number;
}

/** A trial with values. */
export interface CompleteTrial extends Trial {
  readonly status: 'complete';
  readonly values: Readonly<Record<string, number>>;
}

export function isComplete(trial: Trial): trial is CompleteTrial {
  return trial.status === 'complete' && trial.values !== undefined;
}

/** What the evaluator hands back for a trial that worked. */
export interface TrialOutcome {
  readonly values: Readonly<Record<string, number>>;
  readonly host: string;
  readonly worker: string;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly attempts: number;
}

/** A candidate as a tactic proposes it. */
export interface Candidate {
  readonly genes: readonly number[];
  readonly origin: string;
}

/** Values of a front member on the split that is reported, apart from the one the search chose by. */
export interface TrialReport {
  readonly number: number;
  readonly split: string;
  readonly values: Readonly<Record<string, number>>;
  readonly host: string;
  readonly durationMs: number;
}

/** What a round left behind besides its trials. */
export interface RoundInfo {
  readonly round: number;
  /** How the tactic came to its proposals: predictor names, errors, inner evaluations, seconds. */
  readonly info: Readonly<Record<string, unknown>>;
}

/** Complete, failed or stopped: nothing more to do. */
export function isDone({ status }: Trial): boolean {
  return status === 'complete' || status === 'failed' || status === 'stopped';
}
