// The demo's options: defaults, the quick variant, validation.
import * as v from 'valibot';
import { DEFAULT_CONFIG } from '@hip/mask-search';
import { parseConstraint } from '@instatune/search';
import { DemoError } from './errors.ts';

const positive = v.pipe(v.number('use a number'), v.finite('use a number'), v.gtValue(0, 'use a number > 0'));
const whole = (lowest: number) =>
  v.pipe(
    v.number('use a whole number'),
    v.integer('use a whole number'),
    v.minValue(lowest, `use a whole number >= ${lowest}`),
  );

/** Keys of a chunk of HiP's last stage, of which only whole ones are kept. */
const KEYS_CHUNK = DEFAULT_CONFIG.stages!.at(-1)!.chunk;
/** HiP's first stage keeps four times as many, and counts to 2³⁰. */
const MOST_KEYS = 2 ** 27;

/** Everything that decides a run. Runs with equal options (seed included) fine-tune alike, and search alike where measurements repeat. */
export const optionsSchema = v.object({
  /** Folder of the pretrained checkpoint. */
  model: v.string(),
  /** Training text; empty: this repository's own sources. */
  text: v.array(v.string()),
  /** Long document; undefined: type definitions on this machine. */
  document: v.optional(v.string()),
  seed: whole(0),
  quick: v.boolean(),
  /** Bounds like "latency <= 0.6x"; none: the knee. */
  budget: v.array(v.string()),
  backend: v.picklist(['auto', 'cpu', 'wasm', 'webgpu'], 'use auto, cpu, wasm or webgpu'),
  fineTune: v.object({
    steps: whole(1),
    batch: whole(1),
    /** Tokens of a training window. */
    sequence: whole(8),
    learningRate: positive,
    warmupSteps: whole(0),
    /** Seconds of work a kill may cost. */
    checkpointEverySeconds: positive,
    /** Steps between two points of the validation curve. */
    validateEvery: whole(1),
  }),
  search: v.object({
    evaluations: whole(4),
    /** Candidates a round. */
    round: whole(2),
    /** Windows of validation text per candidate. */
    validationWindows: whole(1),
    /** What is traded against loss. MACs are exact, so that such a search repeats bit for bit. */
    cost: v.picklist(['latency', 'macs'], 'use latency or macs'),
  }),
  longContext: v.object({
    /** Ascending prefill lengths, tokens. */
    lengths: v.pipe(v.array(whole(16)), v.minLength(1, 'give at least one length')),
    /** Keys HiP keeps per query block, besides sink and window: whole chunks of its last stage. */
    k: v.pipe(
      whole(KEYS_CHUNK),
      v.multipleOf(KEYS_CHUNK, `use a multiple of ${KEYS_CHUNK}`),
      v.maxValue(MOST_KEYS, `use at most ${MOST_KEYS}`),
    ),
    /** First layers that stay dense under HiP. */
    denseLayers: whole(0),
    /** Tokens to generate. */
    generate: whole(1),
  }),
});

export type DemoOptions = v.InferOutput<typeof optionsSchema>;

/** What the command line (or the page) gives; everything has a default. */
export interface DemoInput {
  readonly model?: string | undefined;
  readonly text?: readonly string[] | undefined;
  readonly document?: string | undefined;
  readonly seed?: number | undefined;
  readonly quick?: boolean | undefined;
  readonly budget?: readonly string[] | undefined;
  readonly maxLoss?: number | undefined;
  readonly backend?: string | undefined;
  readonly steps?: number | undefined;
  readonly batch?: number | undefined;
  readonly sequence?: number | undefined;
  readonly learningRate?: number | undefined;
  readonly evaluations?: number | undefined;
  readonly cost?: string | undefined;
  readonly lengths?: readonly number[] | undefined;
  readonly keys?: number | undefined;
  readonly generate?: number | undefined;
}

/** Quantities a budget may name, with their units. */
export const BUDGET_NAMES: ReadonlyMap<string, string | undefined> = new Map([
  ['latency', 'ms'],
  ['loss', 'nats'],
  ['macs', undefined],
  ['parameters', undefined],
]);

const DEFAULTS = {
  full: {
    steps: 120,
    batch: 2,
    // Long windows: fine-tuning on short ones costs the model its grip on long documents.
    sequence: 512,
    evaluations: 40,
    round: 10,
    validationTokens: 4096,
    lengths: [4096, 8192, 16384, 32768],
  },
  quick: {
    steps: 24,
    batch: 2,
    sequence: 256,
    evaluations: 12,
    round: 6,
    validationTokens: 1024,
    lengths: [4096, 8192],
  },
} as const;

/** Fills in defaults. @throws DemoError `invalid-option` naming the option, the value and the fix. */
export function resolveOptions(input: DemoInput, defaultModel: string): DemoOptions {
  const quick = input.quick ?? false;
  const defaults = DEFAULTS[quick ? 'quick' : 'full'];
  const steps = input.steps ?? defaults.steps;
  const sequence = input.sequence ?? defaults.sequence;
  const evaluations = input.evaluations ?? defaults.evaluations;
  const cost = input.cost ?? 'latency';
  const maxLoss = checked(v.optional(positive), input.maxLoss, () => 'max-loss');
  const candidate = {
    model: input.model ?? defaultModel,
    text: [...(input.text ?? [])],
    ...(input.document === undefined ? {} : { document: input.document }),
    seed: input.seed ?? 0,
    quick,
    budget: [...(input.budget ?? []), ...(maxLoss === undefined ? [] : [`loss <= ${maxLoss}`])],
    backend: input.backend ?? 'auto',
    fineTune: {
      steps,
      batch: input.batch ?? defaults.batch,
      sequence,
      learningRate: input.learningRate ?? 1e-3,
      warmupSteps: Math.floor(steps / 12),
      checkpointEverySeconds: 15,
      validateEvery: Math.max(1, Math.ceil(steps / 6)),
    },
    search: {
      evaluations,
      round: Math.max(2, Math.min(defaults.round, Math.floor(evaluations / 2))),
      validationWindows: Math.min(24, Math.max(4, Math.ceil(defaults.validationTokens / sequence))),
      cost,
    },
    longContext: {
      lengths: [...(input.lengths ?? defaults.lengths)].sort((a, b) => a - b),
      k: input.keys ?? DEFAULT_CONFIG.k,
      denseLayers: 0,
      generate: input.generate ?? 64,
    },
  };
  const options = checked(optionsSchema, candidate, optionNameOf);
  for (const text of options.budget) checkBudget(text, options.search.cost);
  return options;
}

function checkBudget(text: string, cost: 'latency' | 'macs'): void {
  let name: string;
  try {
    ({ name } = parseConstraint(text, BUDGET_NAMES));
  } catch (cause) {
    throw new DemoError('invalid-option', `--budget: ${(cause as Error).message}`, { cause });
  }
  if (name === 'latency' && cost === 'macs') {
    throw new DemoError(
      'invalid-option',
      `--budget is "${text}", and --cost macs measures no latency: bound macs instead`,
    );
  }
}

/** Names of the command line for places in the options. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  'fineTune.learningRate': 'learning-rate',
  'longContext.k': 'keys',
};

function optionNameOf(path: string): string {
  const list = /^(.*)\.\d+$/.exec(path)?.[1] ?? path;
  return OPTION_NAMES[list] ?? list.split('.').at(-1)!;
}

function checked<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  nameOf: (path: string) => string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0]!;
  throw new DemoError(
    'invalid-option',
    `--${nameOf(v.getDotPath(issue) ?? '')} is ${JSON.stringify(issue.input)}: ${issue.message}`,
  );
}
