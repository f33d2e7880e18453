// The stages of a run in order, and what is told while they go on.

export const STAGES = ['load', 'train', 'search', 'choose', 'refine', 'measure', 'export'] as const;
export type Stage = (typeof STAGES)[number];

/** What a person reads of each. */
export const STAGE_TITLES: Readonly<Record<Stage, string>> = {
  load: 'loading',
  train: 'fine-tuning as a super-network',
  search: 'searching sub-networks',
  choose: 'choosing by the budget',
  refine: 'fine-tuning the chosen one',
  measure: 'measuring on held-out data',
  export: 'writing',
};

/** Progress of a run. */
export interface TuneProgress {
  readonly stage: Stage;
  /** Steps, measurements, examples done and in all; 0 of 0 where they are not counted. */
  readonly done: number;
  readonly total: number;
  /** Seconds that the stage may still take. */
  readonly eta?: number | undefined;
  /** A few figures of the stage: the loss, the front. */
  readonly note?: string | undefined;
}
