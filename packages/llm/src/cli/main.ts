#!/usr/bin/env node
// hip-chat and llm: the process around the command lines. `llm serve` serves, everything else is a chat.
import { runCommand } from './command.ts';
import { Interrupts } from './interrupts.ts';

// Whoever reads the answer may stop early: `hip-chat … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const { stdin, stdout, stderr, env } = process;
// npm runs scripts in the package's folder and says in INIT_CWD where it was called.
const folder = env['INIT_CWD'] ?? process.cwd();
const [first, ...rest] = process.argv.slice(2);
const status = await (first === 'serve' ? serve(rest) : chat());
// What was written must reach a pipe before the process ends.
await new Promise<void>((resolve) => void stdout.write('', () => resolve()));
process.exit(status);

function chat(): Promise<number> {
  const interrupts = new Interrupts((code) => process.exit(code));
  process.on('SIGINT', () => void interrupts.hear());
  process.on('SIGTERM', () => process.exit(143));
  return runCommand(process.argv.slice(2), { folder, stdin, stdout, stderr, interrupts });
}

/** The first signal ends the server with grace, the second at once. */
async function serve(args: readonly string[]): Promise<number> {
  const end = new AbortController();
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (end.signal.aborted) process.exit(128 + number);
      end.abort(new Error(name));
    });
  }
  const { runServe } = await import('./serve/command.ts');
  return runServe(args, { folder, environment: env, stdout, stderr, signal: end.signal });
}
