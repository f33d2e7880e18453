// Everything a search is told, checked once; the part that a study must remember, as JSON.
import * as v from 'valibot';
import { SearchError } from '../errors.ts';
import type { Evaluator } from '../evaluate/evaluator.ts';
import type { GivenCandidate } from '../given/candidate.ts';
import type { KnownMeasurement, KnownMeasurements } from '../given/known.ts';
import type { Study } from '../study/study.ts';
import type { TacticName } from '../tactics/create.ts';
import type { Tactic } from '../tactics/tactic.ts';
import type { WarmStartOptions } from '../warm-start.ts';
import type { SearchProgress } from './progress.ts';
import type { EarlyStoppingOptions } from './stopping.ts';

export interface RunOptions {
  /** Where candidates are measured; closed by whoever made it. @defaultValue in this process, one at a time */
  readonly evaluator?: Evaluator | undefined;
  /**
   * How often a trial is measured again during which this process died (a kernel ends the largest for want of memory). Such trials are
   * measured one by one, and are `failed` beyond this; not with evaluators that measure in other processes. @defaultValue 2
   */
  readonly retries?: number | undefined;
  /**
   * Of a study with asynchronous proposals: how long a trial stays with a process that gives no sign of life, before others measure it.
   * @defaultValue 120000
   */
  readonly leaseMs?: number | undefined;
  /** Stops the search; the study keeps everything finished, and `resume` goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called after every trial and at every change of phase; in this process, so keep it short. */
  readonly onProgress?: ((progress: SearchProgress) => void) | undefined;
}

/** When candidates are proposed. */
export type Proposals = 'rounds' | 'asynchronous';

export interface SearchOptions extends RunOptions {
  /** A name, a name with settings, or a tactic made by `linas()`, `nsga2()`, `random()`, `successive()`. @defaultValue 'linas' */
  readonly tactic?: TacticName | Tactic | ({ readonly name: TacticName } & Readonly<Record<string, unknown>>);
  /** Candidates to measure, failed ones and the baseline included; `measurements` are not. */
  readonly evaluations: number;
  /** Candidates a round, for a tactic given by name. @defaultValue 50 */
  readonly population?: number | undefined;
  /**
   * When candidates are proposed. `rounds`: `population` of them once all of the round before are measured; the same trials for a seed however
   * they are measured. `asynchronous`: some whenever few wait, from what is measured by then, so that no lane waits for a round's slowest;
   * several processes may run one study at once (`resume` joins it). @defaultValue 'rounds'
   */
  readonly proposals?: Proposals | undefined;
  /**
   * Ends trials on their way that others dominate by then, with a margin: for problems that `report` as they measure. @defaultValue false
   */
  readonly earlyStopping?: boolean | EarlyStoppingOptions | undefined;
  /** @defaultValue 0 */
  readonly seed?: number | undefined;
  /** A SQLite file (Node), created if need be, or `{ path, name }` for one of several studies in a file. @defaultValue in memory only */
  readonly study?: string | { readonly path: string; readonly name?: string } | undefined;
  /** More constraints than the problem's own: "latency <= 20", "macs <= 0.6x", "accuracy >= baseline - 1%". */
  readonly constraints?: readonly string[] | undefined;
  /** Measured first, in this order, after the baseline: genes, or values by the names of variables. */
  readonly candidates?: readonly GivenCandidate[] | undefined;
  /**
   * What was measured before, elsewhere: part of the front and of what is learnt from, not of `evaluations`. Tables, Optuna's and other
   * studies' files: `readMeasurements` of `@instatune/search/node`.
   */
  readonly measurements?: KnownMeasurements | readonly KnownMeasurement[] | undefined;
  readonly warmStart?:
    | WarmStartOptions
    | { readonly path: string; readonly name?: string; readonly trust?: readonly string[]; readonly share?: number }
    | undefined;
  /** Measure the final front again on this split (and the baseline), apart from what the search chose by. */
  readonly reportSplit?: string | undefined;
  /** Where the problem comes from, remembered so that the command line can load it again. @defaultValue not remembered */
  readonly module?: { readonly specifier: string; readonly options: Readonly<Record<string, unknown>> } | undefined;
}

/** What `resume` needs to run the same search. */
const settingsSchema = v.object({
  evaluations: v.number(),
  constraints: v.array(v.string()),
  /** The problem's, whose units its constraints need. */
  attributes: v.optional(v.array(v.object({ name: v.string(), unit: v.optional(v.string()) }))),
  /** Names of the problem's measured constraints. */
  inequality: v.optional(v.array(v.string())),
  reportSplit: v.optional(v.string()),
  proposals: v.optional(v.picklist(['rounds', 'asynchronous'])),
  earlyStopping: v.optional(v.object({ rungs: v.array(v.number()), margin: v.number(), leastTrials: v.number() })),
  candidates: v.optional(v.array(v.array(v.number()))),
  tactic: v.record(v.string(), v.unknown()),
  module: v.optional(v.object({ specifier: v.string(), options: v.record(v.string(), v.unknown()) })),
  warmStart: v.optional(
    v.object({
      path: v.optional(v.string()),
      name: v.optional(v.string()),
      trust: v.array(v.string()),
      share: v.number(),
      /** The trials it knew: a study that has grown since must not change what is proposed. */
      trials: v.optional(v.array(v.number())),
    }),
  ),
});

export type StudySettings = v.InferOutput<typeof settingsSchema>;

/** @throws SearchError `corrupt-study` */
export function parseSettings(study: Study): StudySettings {
  const result = v.safeParse(settingsSchema, study.header.settings);
  if (!result.success) {
    throw new SearchError(
      'corrupt-study',
      `study "${study.header.name}" has unreadable settings (${result.issues[0].message}): start a new study`,
      { settings: study.header.settings },
    );
  }
  return result.output;
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const numbersSchema = v.object({
  evaluations: count,
  population: v.optional(v.pipe(v.number(), v.integer(), v.minValue(2))),
  seed: v.optional(v.pipe(v.number(), v.safeInteger())),
  retries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  leaseMs: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(2 ** 31 - 1))),
  proposals: v.optional(v.picklist(['rounds', 'asynchronous'])),
});

/** Names of {@link RunOptions}. */
export const RUN_OPTIONS = ['evaluator', 'retries', 'leaseMs', 'signal', 'onProgress'] as const;
/** Names of {@link SearchOptions}. */
export const SEARCH_OPTIONS = [
  ...RUN_OPTIONS,
  'tactic',
  'evaluations',
  'population',
  'proposals',
  'earlyStopping',
  'seed',
  'study',
  'constraints',
  'candidates',
  'measurements',
  'warmStart',
  'reportSplit',
  'module',
] as const;

/** @throws SearchError `invalid-option` naming the option, its value and the fix */
export function checkNumbers(options: {
  readonly evaluations: number;
  readonly population?: number | undefined;
  readonly seed?: number | undefined;
  readonly retries?: number | undefined;
  readonly leaseMs?: number | undefined;
  readonly proposals?: Proposals | undefined;
}): void {
  const { evaluations, population, seed, retries, leaseMs, proposals } = options;
  const result = v.safeParse(numbersSchema, { evaluations, population, seed, retries, leaseMs, proposals });
  if (result.success) return;
  const issue = result.issues[0];
  const name = v.getDotPath(issue) ?? 'options';
  throw new SearchError('invalid-option', `${name} is ${JSON.stringify(issue.input)}: ${issue.message}`, {
    name,
    value: issue.input,
  });
}
