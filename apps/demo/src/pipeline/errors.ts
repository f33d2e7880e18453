// Errors a user of the demo can mend: one clear sentence, a code, exit status 2.

export type DemoErrorCode =
  | 'invalid-option'
  | 'missing-file'
  | 'text-too-short'
  | 'corrupt-checkpoint'
  | 'unexpected-logits'
  | 'no-candidate'
  | 'nothing-to-resume'
  | 'corrupt-state';

/** Bad input to the demo. The message is one sentence that names the value and the fix. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
  readonly code: DemoErrorCode;

  constructor(code: DemoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
