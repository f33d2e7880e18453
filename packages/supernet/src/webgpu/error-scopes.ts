// Error scopes around what allocates and dispatches.
import { startRepeatedWork } from './dispatch-cache.ts';
import type { RecordingBackend } from './recording-backend.ts';
import type { RecordingEvent } from './recording-report.ts';

/** Runs what allocates and dispatches in error scopes of its own. @returns why recordings stop, when the device has said so */
export function inScopes(
  { device }: RecordingBackend,
  run: () => void,
): Promise<Extract<RecordingEvent, { kind: 'stopped' }> | undefined> {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  let scopes: Promise<({ readonly message: string } | null)[]>;
  try {
    run();
    // Errors of dispatches come with their submission.
    startRepeatedWork();
  } finally {
    scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    // After an error of the work itself nobody waits for these.
    scopes.catch(() => undefined);
  }
  return scopes.then(([memory, validation]) => {
    if (memory) return { kind: 'stopped', reason: 'out-of-memory', message: memory.message };
    return validation ? { kind: 'stopped', reason: 'invalid', message: validation.message } : undefined;
  });
}
