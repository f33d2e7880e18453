// How a command ends badly: typed errors are the user's to mend (one sentence, exit status 2), others are ours.
import { CheckpointError } from '@hip/checkpoints';
import { messageOf, SearchError } from '@instatune/search';
import { TuneError } from '../errors.ts';

export function reportError(error: unknown): void {
  if (
    error instanceof SearchError ||
    error instanceof TuneError ||
    error instanceof CheckpointError ||
    isOfSupernet(error)
  ) {
    process.stderr.write(`instatune: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  process.stderr.write(`instatune: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
  process.exitCode = 1;
}

/** By its name: its class would bring tfjs to commands that need none. */
function isOfSupernet(error: unknown): error is Error {
  return error instanceof Error && error.name === 'SupernetError';
}
