// Arguments of `llm serve`.
import { basename } from 'node:path';
import { parseArgs, type ArgsDef } from 'citty';
import { definition as chat } from '../arguments.ts';
import { UsageError } from '../end.ts';
import { checkNames, modelPlace, wholeNumber } from '../options.ts';

export const definition = {
  model: chat.model,
  draft: {
    type: 'string',
    description: 'smaller model of the same tokenizer that proposes tokens: answers are the same, sooner where it pays',
    valueHint: 'FOLDER_OR_FILE_OR_HUB_NAME',
  },
  embedder: {
    type: 'string',
    description: 'sentence encoder that answers /v1/embeddings: a folder, or a name on the Hugging Face Hub',
    valueHint: 'FOLDER_OR_HUB_NAME',
  },
  port: { type: 'string', description: 'port to listen on, 0 for any that is free (default 8080)', valueHint: 'N' },
  host: {
    type: 'string',
    description: 'address to listen on (default 127.0.0.1: this machine alone)',
    valueHint: 'ADDRESS',
  },
  name: { type: 'string', description: "what requests call the model (default: its file's name)", valueHint: 'NAME' },
  'api-key': {
    type: 'string',
    description: 'clients must send it (default: LLM_API_KEY of the environment, else none is asked for)',
    valueHint: 'KEY',
  },
  'allow-host': {
    type: 'string',
    description: 'host names to answer to, beside localhost and addresses; * for any',
    valueHint: 'A,B',
  },
  'allow-origin': {
    type: 'string',
    description: 'origins of pages that may call, beside those of this machine; * for any',
    valueHint: 'A,B',
  },
  slots: { type: 'string', description: 'requests that are answered at once (default 8)', valueHint: 'N' },
  queue: { type: 'string', description: 'requests that may wait, others are refused (default 64)', valueHint: 'N' },
  context: {
    type: 'string',
    description: 'tokens that one answer may hold with its prompt (default: what the model knows)',
    valueHint: 'N',
  },
  'cache-tokens': {
    type: 'string',
    description:
      'tokens that all requests and kept beginnings may hold (default: all slots full; on a GPU one context)',
    valueHint: 'N',
  },
  'body-limit': { type: 'string', description: 'bytes that a request may have (default 4194304)', valueHint: 'N' },
  dense: chat.dense,
  weights: chat.weights,
  backend: chat.backend,
  threads: chat.threads,
} satisfies ArgsDef;

/** What a command line asks for. */
export interface ServeArguments {
  /** Absolute path or address. */
  readonly model: string;
  readonly draft: string | undefined;
  readonly embedder: string | undefined;
  readonly embedderName: string;
  /** Names that requests may use; the first is the model's. */
  readonly names: readonly string[];
  readonly port: number | undefined;
  readonly host: string | undefined;
  readonly apiKey: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly slots: number | undefined;
  readonly queue: number | undefined;
  readonly context: number | undefined;
  readonly cacheTokens: number | undefined;
  readonly bodyLimit: number | undefined;
  readonly dense: boolean;
  readonly weights: string | undefined;
  readonly backend: string | undefined;
  readonly threads: number | undefined;
}

/** @param folder - relative paths start here @throws UsageError */
export function readServeArguments(
  raw: readonly string[],
  folder: string,
  environment: Readonly<Record<string, string | undefined>>,
): ServeArguments {
  checkNames(raw, definition, 'serve takes options alone');
  const args = parseArgs<typeof definition>([...raw], definition);
  if (!args.model) throw new UsageError('no model: give --model FOLDER_OR_FILE_OR_HUB_NAME');
  const model = modelPlace('model', args.model, folder);
  const port = wholeNumber('port', args.port, 0);
  if (port !== undefined && port > 65535)
    throw new UsageError(`--port is "${args.port}": give a whole number from 0 to 65535`);
  return {
    model,
    draft: args.draft === undefined ? undefined : modelPlace('draft', args.draft, folder),
    embedder: args.embedder === undefined ? undefined : modelPlace('embedder', args.embedder, folder),
    embedderName: nameOf(args.embedder ?? ''),
    names: [...new Set([args.name ?? nameOf(args.model), nameOf(args.model), args.model])],
    port,
    host: args.host,
    apiKey: args['api-key'] ?? environment['LLM_API_KEY'],
    allowedHosts: listOf(args['allow-host']),
    allowedOrigins: listOf(args['allow-origin']),
    slots: wholeNumber('slots', args.slots, 1),
    queue: wholeNumber('queue', args.queue, 0),
    context: wholeNumber('context', args.context, 1),
    cacheTokens: wholeNumber('cache-tokens', args['cache-tokens'], 1),
    bodyLimit: wholeNumber('body-limit', args['body-limit'], 1),
    dense: args.dense ?? false,
    weights: args.weights,
    backend: args.backend,
    threads: wholeNumber('threads', args.threads, 1),
  };
}

/** A name on the Hub as it is; of a path or an address its last part, without .gguf. */
function nameOf(place: string): string {
  const hub = /^(?:hf:\/\/)?([\w-][\w.-]*\/[\w.-]+?)(?:@[\w./-]+)?$/.exec(place)?.[1];
  return place.startsWith('hf://') && hub ? hub : basename(place).replace(/\.gguf$/, '');
}

function listOf(text: string | undefined): string[] {
  return (text ?? '').split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}
