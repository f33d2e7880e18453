// How a command ends badly: what the user can mend is one line and status 2, what we should mend a stack and status 1.
import { CheckpointError } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';

/** A command line that asks for what cannot be. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Prints an error. @param command what it is called @returns the exit status */
export function reportError(error: unknown, stream: { write(text: string): unknown }, command = 'hip-chat'): number {
  if (error instanceof UsageError || error instanceof CheckpointError || error instanceof LlmError) {
    stream.write(`${command}: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}${hint(error)}\n`);
    return 'code' in error && error.code === 'internal' ? 1 : 2;
  }
  stream.write(`${command}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

/** What the command calls what a message speaks of. */
function hint(error: UsageError | CheckpointError | LlmError): string {
  if (error instanceof LlmError && error.code === 'context-full') return ' (--context)';
  const isHub = error instanceof CheckpointError && error.message.includes('the Hub');
  return isHub ? '; a folder of that name is not here either' : '';
}

/** Whether an error is what an abort makes of work. */
export function isAbort(error: unknown): boolean {
  return (error instanceof LlmError || error instanceof CheckpointError) && error.code === 'aborted';
}
