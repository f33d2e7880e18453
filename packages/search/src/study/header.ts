// What identifies a study, and lets another process go on with it.

/** What identifies a study and lets another process go on with it. */
export interface StudyHeader {
  readonly name: string;
  /** Random, set at creation: names the study's jobs on a queue. */
  readonly uid: string;
  readonly problem: string;
  /** The search space and the objectives, as JSON-able data; two studies can be joined only where these agree. */
  readonly space: readonly unknown[];
  readonly objectives: readonly {
    readonly name: string;
    readonly direction: 'minimize' | 'maximize';
    readonly kind: 'measured' | 'exact';
    readonly unit?: string;
  }[];
  readonly fingerprint: string;
  readonly tactic: string;
  /** The tactic's options, constraints and budget, as JSON: what `resume` runs with. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seed: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}
