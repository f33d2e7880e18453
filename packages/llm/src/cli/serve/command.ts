// llm serve, with its streams as parameters: load, listen, end when told to.
import { renderUsage, type CommandDef } from 'citty';
import type { Embedder } from '../../embedder/types.ts';
import type { EngineOptions, WeightChoice } from '../../engine/types.ts';
import type { LanguageModel } from '../../model/language-model.ts';
import { loadLanguageModel } from '../../model/load.ts';
import type { ApiError } from '../../serve/api-error.ts';
import { createServer } from '../../serve/server.ts';
import { isAbort, reportError } from '../end.ts';
import { installWebgpu } from '../gpu.ts';
import { count, Status } from '../status.ts';
import { definition, readServeArguments, type ServeArguments } from './arguments.ts';

const command: CommandDef<typeof definition> = {
  meta: {
    name: 'llm serve',
    description: 'Answers clients of the OpenAI API with a model of this machine: chat, completions, embeddings.',
  },
  args: definition,
};

export interface ServeSurroundings {
  /** Relative paths start here. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets the address, nothing else. */
  readonly stdout: NodeJS.WriteStream;
  /** Gets progress and errors. */
  readonly stderr: NodeJS.WriteStream;
  /** Aborted when the server shall end. */
  readonly signal: AbortSignal;
}

/** Serves until told to end. @returns the exit status: 0, 2 for what the user can mend, 1 for everything else */
export async function runServe(raw: readonly string[], surroundings: ServeSurroundings): Promise<number> {
  const { folder, environment, stdout, stderr, signal } = surroundings;
  if (raw.includes('--help') || raw.includes('-h')) {
    stdout.write(`${await renderUsage(command)}\n`);
    return 0;
  }
  const status = new Status(stderr);
  try {
    const args = readServeArguments(raw, folder, environment);
    using model = await load(args, status, signal);
    const encoder = await loadEncoder(args);
    using _embedder = encoder?.embedder;
    await using server = createServer(model, {
      ...args,
      embedder: encoder,
      onError: (error, request) => log(error, request, stderr),
    });
    const { url } = await server.listen({ port: args.port, host: args.host });
    const isOpen = !['127.0.0.1', '::1', 'localhost'].includes(args.host ?? '127.0.0.1') && args.apiKey === undefined;
    if (isOpen) status.line('[whoever reaches this address may ask: --api-key asks for a key]');
    stdout.write(`${args.names[0] as string} on ${url}/v1\n`);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const { running } = server.load;
    status.line(`[ending${running > 0 ? `, ${running} answers have a few seconds` : ''}]`);
    await server.close();
    return 0;
  } catch (error) {
    status.clear();
    return isAbort(error) ? 0 : reportError(error, stderr, 'llm serve');
  }
}

async function load(args: ServeArguments, status: Status, signal: AbortSignal): Promise<LanguageModel> {
  if (args.backend === 'webgpu') await installWebgpu();
  const model = await loadLanguageModel(args.model, {
    weights: args.weights as WeightChoice | undefined,
    contextTokens: args.context,
    cacheTokens: args.cacheTokens,
    // As many beginnings are kept as requests are answered.
    conversations: 2 * (args.slots ?? 8),
    attention: args.dense ? 'dense' : undefined,
    backend: args.backend as EngineOptions['backend'],
    threads: args.threads,
    draft: args.draft,
    signal,
    onProgress: ({ loaded, total }) => status.progress('loading', loaded / 1e6, total / 1e6, 'MB'),
  });
  status.line(
    `[${model.config.family}, ${count(model.memory.weights / 1e6)} MB of weights on ${model.backend}; context ${count(model.contextTokens)} tokens]`,
  );
  return model;
}

/** A named encoder, where one is asked for. */
async function loadEncoder({
  embedder,
  embedderName,
  threads,
}: ServeArguments): Promise<{ readonly name: string; readonly embedder: Embedder } | undefined> {
  if (embedder === undefined) return undefined;
  const { loadEmbedder } = await import('../../embedder/index.ts');
  return { name: embedderName, embedder: await loadEmbedder(embedder, { threads }) };
}

/** A line for what clients did wrong, the cause for what we did. */
function log(
  error: ApiError,
  { method, path }: { readonly method: string; readonly path: string },
  stderr: NodeJS.WriteStream,
): void {
  stderr.write(
    `${new Date().toISOString()} ${method} ${path} ${error.status} ${error.message.replaceAll(/\s*\n\s*/g, ' ')}\n`,
  );
  const { cause } = error;
  if (error.status === 500 && cause instanceof Error) stderr.write(`${cause.stack ?? cause.message}\n`);
}
