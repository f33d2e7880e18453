// How a command ends badly: errors of this package are the user's to mend (one sentence, exit status 2), others are ours.
import { SearchError, messageOf } from '@instatune/search';

export function reportError(error: unknown): void {
  if (error instanceof SearchError) {
    process.stderr.write(`instatune: ${error.message}\n`);
    process.exitCode = 2;
    return;
  }
  process.stderr.write(`instatune: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`);
  process.exitCode = 1;
}
