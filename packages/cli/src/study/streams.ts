// What happens when whoever reads the output stops reading (`| head -1`): the work goes on to its end.
import { messageOf } from '@instatune/search';

/** Without it the first message after the reader left ends the process in the middle of its work. */
export function outliveReaders(): void {
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return; // the reader has what it wanted
    process.stderr.write(`instatune: cannot write to standard output: ${messageOf(error)}\n`);
    process.exitCode = 1;
  });
  // One error follows for each further message. Of standard error there is nobody left to tell.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
}
