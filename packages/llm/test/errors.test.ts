// Typed errors carry their code, values and cause.
import { describe, expect, it } from 'vitest';
import { LlmError, throwIfAborted } from '../src/errors.ts';

describe('LlmError', () => {
  it('says what was aborted, and why', () => {
    const reason = new Error('the page was closed');
    const abort = new AbortController();
    expect(() => throwIfAborted(abort.signal, 'loading')).not.toThrow();
    abort.abort(reason);
    let thrown: unknown;
    try {
      throwIfAborted(abort.signal, 'loading');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(LlmError);
    expect(thrown).toMatchObject({ code: 'aborted', message: 'loading was aborted', cause: reason });
  });
});
