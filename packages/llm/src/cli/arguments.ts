// The command line's arguments: what they are called, and how their text becomes options.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs, type ArgsDef } from 'citty';
import { UsageError } from './end.ts';
import { anyNumber, checkNames, modelPlace, wholeNumber } from './options.ts';

export const definition = {
  model: {
    type: 'string',
    description:
      'folder of a model, a GGUF file, hf://owner/name or owner/name on the Hugging Face Hub, an http(s):// address',
    valueHint: 'FOLDER_OR_FILE_OR_HUB_NAME',
  },
  document: {
    type: 'string',
    description: 'text to read before the first question, which is about it',
    valueHint: 'FILE',
  },
  system: {
    type: 'string',
    description: "what the model is told first (default: its template's own)",
    valueHint: 'TEXT',
  },
  'max-tokens': {
    type: 'string',
    description: "longest answer (default: the model's advice, else 512)",
    valueHint: 'N',
  },
  context: {
    type: 'string',
    description: 'tokens that the conversation may hold (default: what the model knows)',
    valueHint: 'N',
  },
  dense: { type: 'boolean', description: 'attend to every token, at any length (default: HiP where it is faster)' },
  seed: { type: 'string', description: 'makes sampled answers repeatable (default 0)', valueHint: 'N' },
  temperature: {
    type: 'string',
    description: "0 takes the likeliest token (default: the model's advice, else 0)",
    valueHint: 'T',
  },
  weights: {
    type: 'string',
    description: 'stored, f32, f16, q8 or q4 (default stored: as the file has them)',
    valueHint: 'TYPE',
  },
  backend: {
    type: 'string',
    description:
      'wasm, webgpu (needs the package webgpu beside this one), or auto: a GPU where this runtime has one (default auto)',
    valueHint: 'NAME',
  },
  threads: { type: 'string', description: 'threads to compute on (default: the cores)', valueHint: 'N' },
} satisfies ArgsDef;

/** What a command line asks for. */
export interface ChatArguments {
  /** Absolute path or address. */
  readonly model: string;
  readonly document: string | undefined;
  readonly system: string | undefined;
  readonly maxTokens: number | undefined;
  readonly context: number | undefined;
  readonly dense: boolean;
  readonly seed: number | undefined;
  readonly temperature: number | undefined;
  readonly weights: string | undefined;
  readonly backend: string | undefined;
  readonly threads: number | undefined;
}

/** @param folder - relative paths start here @throws UsageError */
export function readArguments(raw: readonly string[], folder: string): ChatArguments {
  checkNames(raw, definition, 'questions are typed, or piped in');
  const args = parseArgs<typeof definition>([...raw], definition);
  if (!args.model) throw new UsageError('no model: give --model FOLDER_OR_FILE_OR_HUB_NAME');
  const document = args.document === undefined ? undefined : resolve(folder, args.document);
  if (document !== undefined && !statSync(document, { throwIfNoEntry: false })?.isFile()) {
    throw new UsageError(`--document ${args.document}: there is no such file`);
  }
  return {
    model: modelPlace('model', args.model, folder),
    document,
    system: args.system,
    maxTokens: wholeNumber('max-tokens', args['max-tokens'], 1),
    context: wholeNumber('context', args.context, 1),
    dense: args.dense ?? false,
    seed: wholeNumber('seed', args.seed, -Infinity),
    temperature: anyNumber('temperature', args.temperature, 0),
    weights: args.weights,
    backend: args.backend,
    threads: wholeNumber('threads', args.threads, 1),
  };
}
