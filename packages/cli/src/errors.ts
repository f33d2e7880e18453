// The one error class of the package: a code to branch on, the values, and a message that says the fix.

/** What went wrong, for programs. */
export type TuneErrorCode =
  /** An option that makes no sense, or two that do not fit. */
  | 'invalid-option'
  /** A budget that is none. */
  | 'bad-budget'
  /** Nothing that was found is within the budget; `details.nearest` is what comes nearest. */
  | 'unmet-budget'
  /** An optional package that an option needs is not installed; the message is how to install it. */
  | 'not-installed'
  /** What latencies are timed on (a browser's page) fails, or is gone. */
  | 'runtime-failed'
  /** Data that the task cannot be made of. */
  | 'invalid-data'
  /** The folder holds a run with other options. */
  | 'other-run';

/** A failure of tuning. */
export class TuneError extends Error {
  override readonly name = 'TuneError';
  readonly code: TuneErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: TuneErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
