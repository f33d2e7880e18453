// What a run remembers on disk while it goes, so that an interrupted one (Ctrl-C, kill -9, power) goes on where it was.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { join } from 'node:path';
import * as v from 'valibot';
import { DemoError } from './errors.ts';
import { readIfThere, writeWhole } from './files.ts';
import { optionsSchema, type DemoOptions } from './options.ts';
import {
  chosenSchema,
  curveSchema,
  exportedSchema,
  finetuneSchema,
  generationSchema,
  readerSchema,
  searchSchema,
  type CurvePoint,
} from './result.ts';

const num = v.number();

/** One prefill of the long document. */
const passSchema = v.object({
  ms: num,
  attentionMs: v.optional(num),
  perplexity: num,
  bytes: num,
  /** Of HiP passes. */
  recall: v.optional(num),
});

const factsSchema = v.object({
  /** Files the texts came from. */
  sources: v.object({ text: v.string(), document: v.string() }),
  /** Full model before training. */
  pretrained: v.optional(v.object({ loss: num, reportLoss: num })),
  finetune: v.optional(finetuneSchema),
  reportLossFineTuned: v.optional(num),
  search: v.optional(searchSchema),
  chosen: v.optional(chosenSchema),
  /** By length, then by kind of attention. */
  passes: v.record(v.string(), v.object({ dense: v.optional(passSchema), hip: v.optional(passSchema) })),
  generation: v.optional(generationSchema),
  /** Who was asked for the pass-keys. */
  readers: v.optional(v.array(readerSchema)),
  exported: v.optional(exportedSchema),
});

const stateSchema = v.object({ version: v.literal(1), options: optionsSchema, facts: factsSchema });

export type Facts = v.InferOutput<typeof factsSchema>;
export type Pass = v.InferOutput<typeof passSchema>;

/** The state folder of one run. Every change is on disk when its call returns. */
export class RunState {
  readonly options: DemoOptions;
  readonly folder: string;
  #facts: Facts;

  private constructor(folder: string, options: DemoOptions, facts: Facts) {
    this.folder = folder;
    this.options = options;
    this.#facts = facts;
  }

  /** Starts over: whatever an earlier run left in `out/state` goes. */
  static create(
    out: string,
    options: DemoOptions,
    texts: { readonly train: Int32Array; readonly document: Int32Array; readonly sources: Facts['sources'] },
  ): RunState {
    const folder = join(out, 'state');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeWhole(join(folder, 'train.tokens'), bytesOf(texts.train));
    writeWhole(join(folder, 'document.tokens'), bytesOf(texts.document));
    const state = new RunState(folder, options, { sources: texts.sources, passes: {} });
    state.#save();
    return state;
  }

  /** Whether `out` holds a run. */
  static exists(out: string): boolean {
    return existsSync(join(out, 'state', 'run.json'));
  }

  /** Opens the run in `out`. @throws DemoError `nothing-to-resume`, `corrupt-state` */
  static open(out: string): RunState {
    const folder = join(out, 'state');
    const text = readIfThere(join(folder, 'run.json'));
    if (text === undefined) {
      throw new DemoError('nothing-to-resume', `there is no run to resume in "${out}": start one without --resume`);
    }
    try {
      const { options, facts } = v.parse(stateSchema, JSON.parse(text));
      return new RunState(folder, options, facts);
    } catch (cause) {
      throw new DemoError('corrupt-state', `${join(folder, 'run.json')} is damaged: start over without --resume`, {
        cause,
      });
    }
  }

  get facts(): Facts {
    return this.#facts;
  }

  /** A fact that an earlier step must have left. @throws DemoError `corrupt-state` */
  need<Name extends keyof Facts>(name: Name): NonNullable<Facts[Name]> {
    const fact = this.#facts[name];
    if (fact === undefined) {
      throw new DemoError('corrupt-state', `${this.path('run.json')} lacks "${name}": start over without --resume`);
    }
    return fact;
  }

  /** Token ids as they were when the run began, whatever has become of the files. @throws DemoError `corrupt-state` */
  tokens(which: 'train' | 'document'): Int32Array {
    const path = this.path(`${which}.tokens`);
    try {
      const bytes = readFileSync(path);
      return new Int32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    } catch (cause) {
      throw new DemoError('corrupt-state', `${path} is damaged or missing: start over without --resume`, { cause });
    }
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Adds facts. */
  record(facts: Partial<Facts>): void {
    this.#facts = { ...this.#facts, ...facts };
    this.#save();
  }

  recordPass(tokens: number, kind: 'dense' | 'hip', pass: Pass): void {
    const { passes } = this.#facts;
    this.record({ passes: { ...passes, [tokens]: { ...passes[tokens], [kind]: pass } } });
  }

  /** Appends to the loss curve. A step that is trained again after a kill is written again: the last one counts. */
  addCurvePoint(point: CurvePoint & { readonly seconds: number; readonly tokens: number }): void {
    appendFileSync(this.path('curve.jsonl'), `${JSON.stringify(point)}\n`);
  }

  /** The loss curve up to a step, by step, and the seconds and tokens it took. */
  curve(upTo: number): {
    readonly points: ReadonlyMap<number, CurvePoint>;
    readonly seconds: number;
    readonly tokens: number;
  } {
    const schema = v.object({ ...curveSchema.entries, seconds: num, tokens: num });
    const lines = new Map<number, v.InferOutput<typeof schema>>();
    for (const line of (readIfThere(this.path('curve.jsonl')) ?? '').split('\n')) {
      const parsed = v.safeParse(schema, parseLine(line));
      if (parsed.success && parsed.output.step <= upTo) lines.set(parsed.output.step, parsed.output);
    }
    const all = [...lines.values()];
    return {
      points: new Map(all.map((line) => [line.step, v.parse(curveSchema, line)])),
      seconds: all.reduce((sum, { seconds }) => sum + seconds, 0),
      tokens: all.reduce((sum, { tokens }) => sum + tokens, 0),
    };
  }

  #save(): void {
    writeWhole(
      this.path('run.json'),
      JSON.stringify({ version: 1, options: this.options, facts: this.#facts }, null, 1),
    );
  }
}

/**
 * Refuses to resume with other options than the run was started with.
 *
 * @param given only what the user gave; options that were left out follow the run
 * @throws DemoError `invalid-option`
 */
export function checkResumable(stored: DemoOptions, wanted: DemoOptions, given: readonly (keyof DemoOptions)[]): void {
  for (const name of given) {
    if (isDeepStrictEqual(stored[name], wanted[name])) continue;
    const text = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
    throw new DemoError(
      'invalid-option',
      `--resume goes on with the options the run was started with, and ${name} was ${text(stored[name])}, not ${text(wanted[name])}: leave it out, or start over without --resume`,
    );
  }
}

function bytesOf(tokens: Int32Array): Uint8Array {
  return new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
}

/** A line that a kill cut short is no line. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
