// How a run ends badly: what the user can mend is one sentence and status 2, what we should mend a stack and status 1.
import { HipError } from '@hip/attention';
import { SearchError } from '@instatune/search';
import { SupernetError } from '@instatune/supernet';
import { DemoError } from '../pipeline/errors.ts';

/** True for what an abort makes pipelines throw. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  return error === signal.reason || (error instanceof SupernetError && error.code === 'aborted');
}

/** Prints the error to standard error. @returns the exit status */
export function reportError(error: unknown, stream: { write(text: string): unknown }): number {
  if (error instanceof DemoError) {
    stream.write(`demo: ${error.message}\n`);
    return 2;
  }
  if (error instanceof SupernetError || error instanceof SearchError || error instanceof HipError) {
    stream.write(`demo: ${error.message} (${error.name} ${error.code})\n`);
    return 1;
  }
  stream.write(`demo: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}
