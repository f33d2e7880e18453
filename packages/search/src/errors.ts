// The one error class of the package: a code to branch on, the offending values, and a message that says the fix.

/** What went wrong, for programs. */
export type SearchErrorCode =
  | 'invalid-problem'
  | 'invalid-option'
  | 'invalid-genes'
  | 'bad-constraint'
  | 'no-baseline'
  | 'no-feasible-candidate'
  | 'measurement-failed'
  | 'corrupt-study'
  | 'wrong-schema'
  | 'space-mismatch'
  | 'empty-warm-start'
  | 'study-exists'
  | 'study-missing'
  | 'study-busy'
  | 'study-unreadable'
  | 'study-unwritable'
  | 'study-taken'
  | 'lease-lost'
  | 'worker-crashed'
  | 'trial-timeout'
  | 'problem-module'
  | 'queue-unreachable'
  | 'missing-package'
  | 'empty-front';

/** Failures of the study's file and of its ownership, which no trial is to blame for. */
export const STUDY_CODES: ReadonlySet<SearchErrorCode> = new Set([
  'study-busy',
  'study-unwritable',
  'study-unreadable',
  'study-taken',
  'corrupt-study',
  'lease-lost',
]);

/** A failure of the search, its study file or its evaluators. `details` holds the values the message names. */
export class SearchError extends Error {
  override readonly name = 'SearchError';
  readonly code: SearchErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: SearchErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
