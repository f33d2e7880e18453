// The demo's options: defaults, the quick variant, validation, and the budget language.
import * as v from 'valibot';
import { DemoError } from './errors.ts';

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const count = v.pipe(v.number(), v.integer(), v.minValue(1));

/** Everything that decides a run. Two runs with equal options (seed included) fine-tune and search alike. */
export const optionsSchema = v.object({
  /** Folder of the pretrained checkpoint. */
  model: v.string(),
  /** Training text; empty: this repository's own sources. */
  text: v.array(v.string()),
  /** Long document; undefined: type definitions on this machine. */
  document: v.optional(v.string()),
  out: v.string(),
  seed: v.pipe(v.number(), v.integer(), v.minValue(0)),
  quick: v.boolean(),
  /** E.g. "latency<=0.6x"; undefined: the knee. */
  budget: v.optional(v.string()),
  maxLoss: v.optional(positive),
  backend: v.picklist(['auto', 'cpu', 'wasm', 'webgpu']),
  fineTune: v.object({
    steps: count,
    batch: count,
    sequence: v.pipe(count, v.minValue(8)),
    learningRate: positive,
    warmupSteps: v.pipe(v.number(), v.integer(), v.minValue(0)),
    checkpointEverySeconds: positive,
  }),
  search: v.object({ evaluations: v.pipe(count, v.minValue(4)), round: v.pipe(count, v.minValue(2)), validationWindows: count }),
  longContext: v.object({ lengths: v.array(v.pipe(count, v.minValue(64))), k: count, denseLayers: v.pipe(v.number(), v.integer(), v.minValue(0)), generate: count }),
});

export type DemoOptions = v.InferOutput<typeof optionsSchema>;

/** What the command line (or the page) gives; everything has a default. */
export interface DemoInput {
  readonly model?: string | undefined;
  readonly text?: readonly string[] | undefined;
  readonly document?: string | undefined;
  readonly out?: string | undefined;
  readonly seed?: number | undefined;
  readonly quick?: boolean | undefined;
  readonly budget?: string | undefined;
  readonly maxLoss?: number | undefined;
  readonly backend?: string | undefined;
  readonly steps?: number | undefined;
  readonly evaluations?: number | undefined;
}

/** Fills in defaults. @throws DemoError `invalid-option` naming the option, the value and the fix. */
export function resolveOptions(input: DemoInput, defaultModel: string): DemoOptions {
  const quick = input.quick ?? false;
  if (input.budget !== undefined) parseBudget(input.budget);
  const candidate = {
    model: input.model ?? defaultModel,
    text: [...(input.text ?? [])],
    ...(input.document === undefined ? {} : { document: input.document }),
    out: input.out ?? 'out',
    seed: input.seed ?? 0,
    quick,
    ...(input.budget === undefined ? {} : { budget: input.budget }),
    ...(input.maxLoss === undefined ? {} : { maxLoss: input.maxLoss }),
    backend: input.backend ?? 'auto',
    fineTune: {
      steps: input.steps ?? (quick ? 24 : 120),
      batch: quick ? 4 : 8,
      sequence: 128,
      learningRate: 1e-3,
      warmupSteps: quick ? 3 : 10,
      checkpointEverySeconds: 15,
    },
    search: { evaluations: input.evaluations ?? (quick ? 10 : 32), round: quick ? 5 : 8, validationWindows: quick ? 4 : 8 },
    longContext: { lengths: quick ? [4096, 8192] : [4096, 8192, 16384, 32768], k: 512, denseLayers: 1, generate: 64 },
  };
  const result = v.safeParse(optionsSchema, candidate);
  if (!result.success) {
    const issue = result.issues[0];
    const path = v.getDotPath(issue) ?? 'option';
    throw new DemoError('invalid-option', `--${path} is ${JSON.stringify(issue.input)}: ${issue.message}`);
  }
  return result.output;
}

/** A parsed `--budget`: an upper bound on one objective, absolute or relative to the full model ("0.6x"). */
export interface Budget {
  readonly objective: 'latency' | 'macs' | 'loss';
  readonly limit: number;
  readonly relative: boolean;
}

/** Parses "latency<=0.6x", "macs<=5e9", "loss<=3.2". @throws DemoError `invalid-option` */
export function parseBudget(text: string): Budget {
  const match = /^\s*(latency|macs|loss)\s*<=\s*(\d*\.?\d+(?:e[+-]?\d+)?)(x|ms)?\s*$/i.exec(text);
  const limit = Number(match?.[2]);
  if (!match || !(limit > 0)) {
    throw new DemoError('invalid-option', `--budget is "${text}": write latency<=0.6x, latency<=20ms, macs<=5e9 or loss<=3.2`);
  }
  return { objective: match[1]!.toLowerCase() as Budget['objective'], limit, relative: match[3]?.toLowerCase() === 'x' };
}
