// The command line's arguments: what they are called, and how their text becomes options.
import { closest } from 'fastest-levenshtein';
import { resolve } from 'node:path';
import type { ArgsDef, ParsedArgs } from 'citty';
import { DemoError } from '../pipeline/errors.ts';
import type { DemoInput, DemoOptions } from '../pipeline/options.ts';

export const definition = {
  text: {
    type: 'string',
    description:
      "your own text to fine-tune on; more files may follow (default: this repository's TypeScript and Markdown)",
    valueHint: 'FILE…',
  },
  document: {
    type: 'string',
    description: 'the long document to run over (default: type definitions on this machine)',
    valueHint: 'FILE',
  },
  budget: {
    type: 'string',
    description: 'bounds on the chosen sub-network, e.g. "latency<=0.6x" or "macs<=5e9, loss<=3.2" (default: the knee)',
    valueHint: 'BOUNDS',
  },
  'max-loss': { type: 'string', description: 'the same as the budget loss<=NATS', valueHint: 'NATS' },
  seed: { type: 'string', description: 'makes fine-tuning and search repeatable (default 0)', valueHint: 'N' },
  quick: {
    type: 'boolean',
    description: 'fewer steps and evaluations, documents up to 8K: at most 2 minutes',
    default: false,
  },
  resume: { type: 'boolean', description: 'go on with the interrupted run in --out', default: false },
  out: {
    type: 'string',
    description: "folder for report.html, result.json, model/ and the run's state (default out)",
    valueHint: 'FOLDER',
  },
  page: { type: 'boolean', description: 'serve the playground on this machine instead', default: false },
  port: { type: 'string', description: 'port of the page (default: a free one)', valueHint: 'N' },
  model: {
    type: 'string',
    description: 'folder of a Hugging Face causal language model (default: the committed books-lm-6m)',
    valueHint: 'FOLDER',
  },
  backend: {
    type: 'string',
    description: 'auto, cpu, wasm or webgpu (default auto: webgpu on a real GPU, else wasm)',
    valueHint: 'NAME',
  },
  steps: { type: 'string', description: 'fine-tuning steps', valueHint: 'N' },
  batch: { type: 'string', description: 'windows a step', valueHint: 'N' },
  sequence: { type: 'string', description: 'tokens of a window', valueHint: 'N' },
  'learning-rate': { type: 'string', description: 'peak learning rate', valueHint: 'RATE' },
  evaluations: { type: 'string', description: 'sub-networks to measure', valueHint: 'N' },
  cost: {
    type: 'string',
    description: 'what is traded against loss: latency, measured here, or macs, exact and so repeatable anywhere',
    valueHint: 'NAME',
  },
  lengths: { type: 'string', description: 'prefill lengths, e.g. 4096,8192', valueHint: 'N,N…' },
  keys: { type: 'string', description: 'keys HiP keeps per query block, a multiple of 16', valueHint: 'N' },
  generate: { type: 'string', description: 'tokens to generate at the end', valueHint: 'N' },
} satisfies ArgsDef;

export type Arguments = ParsedArgs<typeof definition>;

/** Where the user is: npm runs scripts in the package's folder and says in INIT_CWD where it was called. */
export function userFolder(): string {
  return process.env['INIT_CWD'] ?? process.cwd();
}

/** Refuses options that do not exist and words that belong to none. @throws DemoError `invalid-option` */
export function checkArguments(raw: readonly string[]): void {
  const known: Record<string, { readonly type: string }> = definition;
  let takesMore = false;
  for (let i = 0; i < raw.length; i++) {
    const argument = raw[i]!;
    const match = /^--(no-)?([^=]+)(=)?/.exec(argument);
    if (!match) {
      if (!takesMore)
        throw new DemoError(
          'invalid-option',
          `"${argument}" belongs to no option: files to fine-tune on go after --text`,
        );
      continue;
    }
    const [, , name, inline] = match;
    const option = known[name!];
    if (!option) {
      const meant = closest(name!, Object.keys(known));
      throw new DemoError(
        'invalid-option',
        `there is no option --${name} (the nearest is --${meant}): use ${Object.keys(known)
          .map((key) => `--${key}`)
          .join(', ')}`,
      );
    }
    takesMore = name === 'text';
    if (option.type !== 'string' || inline) continue;
    const value = raw[i + 1];
    if (value === undefined || value.startsWith('--')) throw new DemoError('invalid-option', `--${name} needs a value`);
    i++;
  }
}

/** The files after --text, however often it is given. */
export function textFiles(raw: readonly string[]): string[] {
  const files: string[] = [];
  let isText = false;
  for (const argument of raw) {
    const option = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
    if (!option) {
      if (isText) files.push(argument);
      continue;
    }
    isText = option[1] === 'text';
    if (isText && option[2] !== undefined) files.push(option[2]);
  }
  return files;
}

/** @throws DemoError `invalid-option` */
export function inputOf(args: Arguments, raw: readonly string[], folder: string): DemoInput {
  const path = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : resolve(folder, value);
  const number = (name: keyof typeof definition): number | undefined => {
    const text = args[name] as string | undefined;
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value))
      throw new DemoError('invalid-option', `--${name} is "${text}": use a number`);
    return value;
  };
  const lengths = args.lengths?.split(',').map((text) => {
    const value = Number(text);
    if (text.trim() === '' || Number.isNaN(value))
      throw new DemoError('invalid-option', `--lengths is "${args.lengths}": use numbers with commas between`);
    return value;
  });
  return {
    model: path(args.model),
    text: textFiles(raw).map((file) => resolve(folder, file)),
    document: path(args.document),
    seed: number('seed'),
    quick: args.quick,
    budget: args.budget?.split(/[,;]/).map((text) => text.trim()),
    maxLoss: number('max-loss'),
    backend: args.backend,
    steps: number('steps'),
    batch: number('batch'),
    sequence: number('sequence'),
    learningRate: number('learning-rate'),
    evaluations: number('evaluations'),
    cost: args.cost,
    lengths,
    keys: number('keys'),
    generate: number('generate'),
  };
}

/** Which options a command line speaks of: what must agree with a run that is resumed. */
export function givenOptions(raw: readonly string[]): (keyof DemoOptions)[] {
  const places: Partial<Record<keyof typeof definition, keyof DemoOptions>> = {
    text: 'text',
    document: 'document',
    budget: 'budget',
    'max-loss': 'budget',
    seed: 'seed',
    quick: 'quick',
    model: 'model',
    backend: 'backend',
    steps: 'fineTune',
    batch: 'fineTune',
    sequence: 'fineTune',
    'learning-rate': 'fineTune',
    evaluations: 'search',
    cost: 'search',
    lengths: 'longContext',
    keys: 'longContext',
    generate: 'longContext',
  };
  const names = raw.map((argument) => /^--(?:no-)?([^=]+)/.exec(argument)?.[1]);
  return [...new Set(names.flatMap((name) => places[name as keyof typeof places] ?? []))];
}
