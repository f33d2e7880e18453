// Runs a search or a resume under the terminal: progress, Ctrl-C, evaluator, report.
import type { Evaluator, RunOptions, SearchProblem, SearchResult } from '@instatune/search';
import { progressLine } from './progress-line.ts';
import { finish } from './shared.ts';

export interface TerminalRun {
  readonly problem: SearchProblem;
  readonly evaluator: Evaluator | undefined;
  readonly quiet: boolean;
  readonly html: string | undefined;
  /** How to go on after Ctrl-C. */
  readonly resumeCommand: string;
  start(options: RunOptions): Promise<SearchResult>;
}

/** Exit status 130 after Ctrl-C or SIGTERM, with everything measured safe in the study. */
export async function runInTerminal(run: TerminalRun): Promise<void> {
  const { problem, evaluator, quiet, html, resumeCommand } = run;
  const abort = new AbortController();
  const stop = () => abort.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const line = quiet ? undefined : progressLine();
  let evaluations = 0;
  try {
    const result = await run.start({
      evaluator,
      signal: abort.signal,
      onProgress(progress) {
        evaluations = progress.evaluations;
        line?.update(progress);
      },
    });
    line?.stop();
    await finish(result, problem, html);
  } catch (error) {
    line?.stop();
    if (!abort.signal.aborted) throw error;
    process.stderr.write(`interrupted after ${evaluations} evaluations; go on with: ${resumeCommand}\n`);
    process.exitCode = 130;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await evaluator?.close();
    await problem.dispose?.();
  }
}
