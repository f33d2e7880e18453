// Questions: all that is piped in as one, or line by line in a terminal.
import { createInterface } from 'node:readline';
import type { Chat } from '../chat/chat.ts';
import { reportError } from './end.ts';
import type { Surroundings } from './command.ts';

/** Everything that is piped in, without the space around it. */
export async function pipedText(stdin: NodeJS.ReadStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stdin) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts).toString('utf8').trim();
}

const HELP = '/undo takes the last question and its answer back, /quit ends; Ctrl-C stops an answer, twice ends';

/** Asks for lines until the end of the input. What goes wrong with a question is said, and the next one asked. @returns the exit status */
export async function converse(
  chat: Chat,
  ask: (text: string) => Promise<number>,
  { stdin, stdout, stderr, interrupts }: Surroundings,
): Promise<number> {
  const lines = createInterface({ input: stdin, output: stdout, prompt: '> ' });
  // The input may end while an answer is written: what was typed before is still asked, without a prompt.
  let isOpen = true;
  lines.on('close', () => (isOpen = false));
  // A terminal in raw mode sends Ctrl-C as a key.
  lines.on('SIGINT', () => interrupts.hear());
  stderr.write(`${HELP}\n`);
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === '/quit') break;
    if (text === '/undo') stderr.write(chat.undo() ? 'Taken back.\n' : 'There is nothing to take back.\n');
    else if (text.startsWith('/')) stderr.write(`${HELP}\n`);
    else if (text !== '') await ask(text).catch((error: unknown) => reportError(error, stderr));
    if (isOpen) lines.prompt();
  }
  lines.close();
  return 0;
}
