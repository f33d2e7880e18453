// npm run demo: the command line over the pipeline.
import { resolve } from 'node:path';
import { parseArgs, renderUsage, type CommandDef } from 'citty';
import { DEFAULT_MODEL } from '../pipeline/model.ts';
import { resolveOptions } from '../pipeline/options.ts';
import { runDemo } from '../pipeline/run.ts';
import { checkResumable, RunState } from '../pipeline/state.ts';
import { headline } from '../report/headline.ts';
import { checkArguments, definition, givenOptions, inputOf, userFolder } from './arguments.ts';
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

/** Aborts at Ctrl-C or SIGTERM; the second time the process ends at once. */
function interruptions(onFirst: () => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143);
      controller.abort(new Error(`interrupted by ${name}`));
      onFirst();
    });
  }
  return controller.signal;
}

async function main(raw: readonly string[]): Promise<number> {
  if (raw.includes('--help') || raw.includes('-h')) {
    process.stdout.write(`${await renderUsage(command)}\n`);
    return 0;
  }
  const console = new Console(process.stderr);
  const signal = interruptions(() => console.note('stopping after this step; Ctrl-C again ends at once'));
  const folder = userFolder();
  let out = resolve(folder, 'out');
  try {
    checkArguments(raw);
    const args = parseArgs<typeof definition>([...raw], definition);
    out = resolve(folder, args.out ?? 'out');
    const wanted = resolveOptions(inputOf(args, raw, folder), DEFAULT_MODEL);
    const state = args.resume ? RunState.open(out) : undefined;
    if (state) checkResumable(state.options, wanted, givenOptions(raw));
    const result = await runDemo({
      options: state?.options ?? wanted,
      out,
      ...(state && { state }),
      signal,
      onEvent: (event) => console.show(event),
    });
    console.stop();
    process.stdout.write(`\n${headline(result)}`);
    return 0;
  } catch (error) {
    console.stop();
    if (isAbort(error, signal)) {
      const resumable = RunState.exists(out);
      process.stderr.write(
        resumable
          ? 'Interrupted. Everything finished is kept: add --resume to go on.\n'
          : 'Interrupted before there was anything to keep.\n',
      );
      return 130;
    }
    return reportError(error);
  }
}

// Worker threads and GPU devices would keep the process up.
process.exit(await main(process.argv.slice(2)));
