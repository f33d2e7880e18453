// The command line over the pipeline, with its streams and its signal as parameters.
import { once } from 'node:events';
import { resolve } from 'node:path';
import { parseArgs, renderUsage, type CommandDef } from 'citty';
import { DemoError } from '../pipeline/errors.ts';
import { DEFAULT_MODEL } from '../pipeline/model.ts';
import { resolveOptions } from '../pipeline/options.ts';
import { runDemo } from '../pipeline/run.ts';
import { checkResumable, RunState } from '../pipeline/state.ts';
import { headline } from '../report/headline.ts';
import { checkArguments, definition, givenOptions, inputOf, type Arguments } from './arguments.ts';
import { isAbort, reportError } from './end.ts';
import { Console } from './progress.ts';

const command: CommandDef<typeof definition> = {
  meta: {
    name: 'npm run demo --',
    description:
      'Fine-tunes a language model as a super-network, searches a sub-network, runs it over a long document with dense and with HiP attention.',
  },
  args: definition,
};

export interface Surroundings {
  /** Relative paths start here. */
  readonly folder: string;
  /** Gets the headline table. */
  readonly stdout: { write(text: string): unknown };
  /** Gets progress and errors. */
  readonly stderr: NodeJS.WriteStream;
  /** Stops the run at the next step that can be resumed from. */
  readonly signal: AbortSignal;
}

/** Runs one command line. @returns the exit status: 0, 2 for what the user can mend, 130 after an abort, 1 for everything else */
export async function runCommand(
  raw: readonly string[],
  { folder, stdout, stderr, signal }: Surroundings,
): Promise<number> {
  if (raw.includes('--help') || raw.includes('-h')) {
    stdout.write(`${await renderUsage(command)}\n`);
    return 0;
  }
  const terminal = new Console(stderr);
  const onAbort = (): void => terminal.note('stopping after this step; Ctrl-C again ends at once');
  signal.addEventListener('abort', onAbort);
  let out = resolve(folder, 'out');
  try {
    checkArguments(raw);
    const args = parseArgs<typeof definition>([...raw], definition);
    out = resolve(folder, args.out ?? 'out');
    if (args.page) return await runPage(args, stderr, signal);
    const wanted = resolveOptions(inputOf(args, raw, folder), DEFAULT_MODEL);
    const state = args.resume ? RunState.open(out) : undefined;
    if (state) checkResumable(state.options, wanted, givenOptions(raw));
    const result = await runDemo({
      options: state?.options ?? wanted,
      out,
      ...(state && { state }),
      signal,
      onEvent: (event) => terminal.show(event),
    });
    terminal.stop();
    stdout.write(`\n${headline(result)}`);
    return 0;
  } catch (error) {
    terminal.stop();
    if (!isAbort(error, signal)) return reportError(error, stderr);
    stderr.write(
      RunState.exists(out)
        ? 'Interrupted. Everything finished is kept: add --resume to go on.\n'
        : 'Interrupted before there was anything to keep.\n',
    );
    return 130;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Serves the page until the signal. */
async function runPage(
  { port: text = '0' }: Arguments,
  stderr: NodeJS.WriteStream,
  signal: AbortSignal,
): Promise<number> {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new DemoError('invalid-option', `--port is "${text}": use a whole number from 0 to 65535`);
  }
  // Vite is loaded for the page only.
  const { servePage } = await import('../web/server.ts');
  await using server = await servePage({ port }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EADDRINUSE') throw cause;
    throw new DemoError('invalid-option', `--port ${port} is taken: use another, or none`, { cause });
  });
  stderr.write(`page         ${server.url} (Ctrl-C ends it)\n`);
  if (!signal.aborted) await once(signal, 'abort');
  return 0;
}
