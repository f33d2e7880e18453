// The terminal chat, with its streams as parameters: load, read the document, answer what is piped in or typed.
import { readFile } from 'node:fs/promises';
import { renderUsage, type CommandDef } from 'citty';
import type { Chat } from '../chat/chat.ts';
import type { EngineOptions, WeightChoice } from '../engine/types.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { loadLanguageModel } from '../model/load.ts';
import { definition, readArguments, type ChatArguments } from './arguments.ts';
import { converse, pipedText } from './converse.ts';
import { isAbort, reportError, UsageError } from './end.ts';
import { installWebgpu } from './gpu.ts';
import { Interrupts } from './interrupts.ts';
import { count, Status, usageLine } from './status.ts';

const command: CommandDef<typeof definition> = {
  meta: {
    name: 'hip-chat',
    description: 'A chat with a language model on this machine. A question piped in is answered, and the command ends.',
  },
  args: definition,
};

export interface Surroundings {
  /** Relative paths start here. */
  readonly folder: string;
  readonly stdin: NodeJS.ReadStream;
  /** Gets answers, nothing else. */
  readonly stdout: NodeJS.WriteStream;
  /** Gets progress, figures and errors. */
  readonly stderr: NodeJS.WriteStream;
  readonly interrupts: Interrupts;
}

/** Runs one command line. @returns the exit status: 0, 2 for what the user can mend, 130 after an interrupt, 1 for everything else */
export async function runCommand(raw: readonly string[], surroundings: Surroundings): Promise<number> {
  const { folder, stdin, stdout, stderr, interrupts } = surroundings;
  if (raw.includes('--help') || raw.includes('-h')) {
    stdout.write(`${await renderUsage(command)}\n`);
    return 0;
  }
  const status = new Status(stderr);
  try {
    const args = readArguments(raw, folder);
    const question = stdin.isTTY ? undefined : await pipedText(stdin);
    if (question === '') throw new UsageError('nothing was piped in: pipe a question, or type one in a terminal');
    using model = await interrupts.during((signal) => load(args, status, signal));
    using chat = model.chat({
      system: args.system,
      defaults: { maxTokens: args.maxTokens, seed: args.seed, temperature: args.temperature },
    });
    if (args.document !== undefined) await readDocument(chat, args.document, status, interrupts);
    const ask = (text: string) => answer(chat, text, surroundings, status);
    return question === undefined ? await converse(chat, ask, surroundings) : await ask(question);
  } catch (error) {
    status.clear();
    if (!isAbort(error)) return reportError(error, stderr);
    stderr.write('Interrupted.\n');
    return 130;
  }
}

async function load(args: ChatArguments, status: Status, signal: AbortSignal): Promise<LanguageModel> {
  const startedAt = performance.now();
  if (args.backend === 'webgpu') await installWebgpu();
  const model = await loadLanguageModel(args.model, {
    weights: args.weights as WeightChoice | undefined,
    contextTokens: args.context,
    attention: args.dense ? 'dense' : undefined,
    backend: args.backend as EngineOptions['backend'],
    threads: args.threads,
    signal,
    onProgress: ({ loaded, total }) => status.progress('loading', loaded / 1e6, total / 1e6, 'MB'),
  });
  const { family, layers, hiddenSize } = model.config;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const size = `${count(model.memory.weights / 1e6)} MB of weights`;
  status.line(
    `[${family}, ${layers} layers of ${hiddenSize}, ${size}, loaded in ${seconds} s on ${model.backend}; context ${count(model.contextTokens)} tokens]`,
  );
  return model;
}

async function readDocument(chat: Chat, path: string, status: Status, interrupts: Interrupts): Promise<void> {
  const startedAt = performance.now();
  const text = await readFile(path, 'utf8');
  if (text.trim() === '') throw new UsageError(`--document ${path}: the file holds no text`);
  const tokens = await interrupts.during((signal) =>
    chat.read(text, { signal, onProgress: (done, total) => status.progress('reading', done, total, 'tokens') }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  status.line(
    `[document: ${count(tokens)} tokens read in ${seconds.toFixed(1)} s, ${count(tokens / seconds)} tokens/s]`,
  );
}

/** Streams one answer. @returns the exit status: 0, or 130 where it was interrupted */
async function answer(chat: Chat, text: string, { stdout, interrupts }: Surroundings, status: Status): Promise<number> {
  return interrupts.during(async (signal) => {
    status.begin();
    const reply = chat.send(text, {
      signal,
      onProgress: (done, total) => status.progress('reading', done, total, 'tokens'),
    });
    let isAborted = false;
    let written = '';
    try {
      for await (const piece of reply) {
        status.clear();
        stdout.write(piece);
        written = piece;
      }
    } catch (error) {
      isAborted = isAbort(error);
      if (!isAborted) throw error;
    } finally {
      if (written !== '' && !written.endsWith('\n')) stdout.write('\n');
    }
    if (reply.usage) status.line(usageLine(reply.usage));
    return isAborted ? 130 : 0;
  });
}
