// The command line's arguments: what they are called, and how their text becomes options.
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs, type ArgsDef } from 'citty';
import { distance } from './distance.ts';
import { UsageError } from './end.ts';

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
  checkNames(raw);
  const args = parseArgs<typeof definition>([...raw], definition);
  const number = (
    name: 'max-tokens' | 'context' | 'seed' | 'temperature' | 'threads',
    least: number,
  ): number | undefined => {
    const text = args[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    const isRight =
      text.trim() !== '' &&
      value >= least &&
      (name === 'temperature' ? Number.isFinite(value) : Number.isSafeInteger(value));
    if (isRight) return value;
    throw new UsageError(
      `--${name} is "${text}": give ${name === 'temperature' ? 'a number' : 'a whole number'}${least === -Infinity ? '' : ` ≥ ${least}`}`,
    );
  };
  if (!args.model) throw new UsageError('no model: give --model FOLDER_OR_FILE_OR_HUB_NAME');
  const document = args.document === undefined ? undefined : resolve(folder, args.document);
  if (document !== undefined && !statSync(document, { throwIfNoEntry: false })?.isFile()) {
    throw new UsageError(`--document ${args.document}: there is no such file`);
  }
  return {
    model: modelPlace(args.model, folder),
    document,
    system: args.system,
    maxTokens: number('max-tokens', 1),
    context: number('context', 1),
    dense: args.dense ?? false,
    seed: number('seed', -Infinity),
    temperature: number('temperature', 0),
    weights: args.weights,
    backend: args.backend,
    threads: number('threads', 1),
  };
}

/** An address as it is, a path that exists, a name on the Hub. @throws UsageError for none of them */
function modelPlace(name: string, folder: string): string {
  if (/^(https?|hf):\/\//.test(name)) return name;
  const path = resolve(folder, name);
  if (existsSync(path)) return path;
  const isHubName = /^[\w-][\w.-]*\/[\w.-]+(@[\w./-]+)?(\/.+\.gguf)?$/.test(name);
  if (isHubName) return `hf://${name}`;
  throw new UsageError(
    `--model ${name}: there is no such file or folder, and it is no name on the Hub (owner/name) nor an address`,
  );
}

/** Refuses options that do not exist, and words that belong to none. @throws UsageError */
function checkNames(raw: readonly string[]): void {
  const known: Readonly<Record<string, { readonly type: string }>> = definition;
  for (let i = 0; i < raw.length; i++) {
    const argument = raw[i] as string;
    const [, negated, name, inline] = /^--(no-)?([^=]+)(=)?/s.exec(argument) ?? [];
    if (name === undefined) {
      const hint = argument.startsWith('-') ? nearest(argument.replace(/^-+/, '')) : 'questions are typed, or piped in';
      throw new UsageError(`"${argument}" belongs to no option: ${hint}`);
    }
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!option || (negated && option.type !== 'boolean'))
      throw new UsageError(`there is no option --${negated ?? ''}${name}: ${nearest(name)}`);
    if (option.type !== 'string' || inline) continue;
    const value = raw[i + 1];
    if (value === undefined || value.startsWith('--')) throw new UsageError(`--${name} needs a value`);
    i++;
  }
}

function nearest(name: string): string {
  const names = [...Object.keys(definition), 'help'];
  const [best] = names.map((known) => ({ known, far: distance(name, known) })).sort((a, b) => a.far - b.far);
  if (best && best.far <= Math.max(2, name.length / 3)) return `did you mean --${best.known}?`;
  return `use ${names.map((known) => `--${known}`).join(', ')}`;
}
