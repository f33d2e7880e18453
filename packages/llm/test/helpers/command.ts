// The command in this process, between streams of a test.
import { PassThrough } from 'node:stream';
import { runCommand } from '../../src/cli/command.ts';
import { Interrupts } from '../../src/cli/interrupts.ts';

/** What is typed into a terminal, or piped in. */
type Input = { readonly typed: readonly string[] } | { readonly piped: string };

export async function command(args: readonly string[], input: Input) {
  const isTTY = 'typed' in input;
  const stdin = Object.assign(new PassThrough(), { isTTY });
  for (const line of isTTY ? input.typed : []) stdin.write(`${line}\n`);
  stdin.end(isTTY ? '' : input.piped);
  const out = { stdout: '', stderr: '' };
  const collect = (name: keyof typeof out, terminal: boolean) => {
    const stream = Object.assign(new PassThrough(), { isTTY: terminal });
    stream.on('data', (data: Buffer) => (out[name] += data.toString()));
    return stream as unknown as NodeJS.WriteStream;
  };
  const code = await runCommand([...args, ...(args.includes('--model') ? ['--threads', '1'] : [])], {
    folder: '/',
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: collect('stdout', false),
    stderr: collect('stderr', isTTY),
    interrupts: new Interrupts((status) => {
      throw new Error(`ended with ${status}`);
    }),
  });
  return { code, ...out };
}
