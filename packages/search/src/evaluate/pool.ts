// A pool of members that measure, threads or processes: which one is free, what becomes of a trial whose member died.
// Own code over node:worker_threads because tinypool leaves a task unsettled when its worker calls process.exit.
import { existsSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { SearchError } from '../errors.ts';
import type { Evaluation, EvaluationJob, EvaluateOptions, Evaluator, OnReport } from './evaluator.ts';
import { problemSpecifier } from './load-problem.ts';
import type { MemberData, MemberMessage, ReportAnswer } from './member.ts';

export interface PoolOptions {
  /**
   * The module that exports `problem` or `createProblem`: a path, a file URL (`new URL('./problem.ts', import.meta.url)`) or a package's name; or a
   * built-in problem's name. Each member loads it once.
   */
  readonly module: string | URL;
  /** Handed to the module's `createProblem`; must survive structured cloning. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** How often a trial is tried again after its member died under it. @defaultValue 1 */
  readonly retries?: number;
  /** A measurement (loading the problem not counted) longer than this ends its member and counts as a crash. @defaultValue none */
  readonly timeoutMs?: number;
}

/** What a living member tells. */
export type MemberEvent =
  | { readonly kind: 'message'; readonly message: MemberMessage }
  | { readonly kind: 'crash'; readonly error: string };

/** A thread or a process that measures one job at a time. */
export interface Member {
  post(message: EvaluationJob | ReportAnswer): void;
  /** One listener at a time; undefined: what it tells is not waited for. */
  listen(listener: ((event: MemberEvent) => void) | undefined): void;
  readonly isAlive: boolean;
  end(): Promise<void>;
}

export interface PoolKind {
  /** What a member is called: `thread`, `process`. */
  readonly noun: string;
  readonly count: number;
  readonly isolated: boolean;
  readonly start: (data: MemberData) => Member;
}

/** What setTimeout can wait for; beyond it, it fires at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

type Ending =
  | { readonly kind: 'crash'; readonly error: string }
  | { readonly kind: 'aborted' }
  /** What takes reports failed. */
  | { readonly kind: 'broken'; readonly error: unknown }
  | Exclude<MemberMessage, { kind: 'started' | 'report' }>;

/** One place in the pool: a member that is replaced when it dies. */
class Slot {
  readonly id: number;
  readonly #start: () => Member;
  #member: Member | undefined;

  constructor(id: number, start: () => Member) {
    this.id = id;
    this.#start = start;
  }

  /** Sends one job and waits for its end, whatever that is. */
  async run(
    job: EvaluationJob,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
    onReport: OnReport = () => 'go-on',
  ): Promise<Ending> {
    if (!this.#member?.isAlive) this.#member = this.#start();
    const member = this.#member;
    let timer: NodeJS.Timeout | undefined;
    let abort = () => {};
    const ending = await new Promise<Ending>((settle) => {
      member.listen((event) => {
        if (event.kind === 'crash') settle(event);
        else if (event.message.kind === 'report') {
          const { report } = event.message;
          (async () => onReport(report))().then(
            (answer) => member.isAlive && member.post({ kind: 'answer', answer }),
            (error: unknown) => settle({ kind: 'broken', error }),
          );
        } else if (event.message.kind !== 'started') settle(event.message);
        else if (timeoutMs !== undefined)
          timer = setTimeout(() => settle({ kind: 'crash', error: `took longer than ${timeoutMs} ms` }), timeoutMs);
      });
      abort = () => settle({ kind: 'aborted' });
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      else member.post(job);
    });
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    member.listen(undefined);
    if (!['done', 'error', 'stopped'].includes(ending.kind)) await this.close();
    return ending;
  }

  async close(): Promise<void> {
    const member = this.#member;
    this.#member = undefined;
    await member?.end();
  }
}

/** Names of {@link PoolOptions}. */
export const POOL_OPTIONS = ['module', 'options', 'retries', 'timeoutMs'] as const;

/** The file that a member runs, beside this one: .ts in the source tree, .mjs once built. @throws SearchError `invalid-option` in an app's bundle, where it was left behind */
export function memberFile(name: string, noun: string): URL {
  const here: string | undefined = import.meta.url; // undefined in some CommonJS bundles
  const file = here && new URL(here.endsWith('.ts') ? `./${name}.ts` : `./${name}.mjs`, here);
  if (file && existsSync(file)) return file;
  throw new SearchError(
    'invalid-option',
    `no file of the worker ${noun} at ${file || `${name}.mjs`}: keep @instatune/search external when bundling for Node (esbuild: --external:@instatune/search), so that it is found in node_modules`,
    { file: file ? file.href : undefined },
  );
}

/** @throws SearchError `invalid-option` */
export function checkOption(
  name: string,
  value: number | undefined,
  valid: (value: number) => boolean,
  use: string,
): void {
  if (value === undefined || valid(value)) return;
  throw new SearchError('invalid-option', `${name} is ${value}: use ${use}`, { [name]: value });
}

/** How many members a pool has. @throws SearchError `invalid-option` */
export function memberCount(name: string, given: number | undefined): number {
  const count = given ?? availableParallelism();
  checkOption(name, count, (value) => Number.isInteger(value) && value >= 1, 'a whole number ≥ 1');
  return count;
}

/** @throws SearchError `invalid-option` */
export function createPool({ noun, count, isolated, start }: PoolKind, options: PoolOptions): Evaluator {
  const { retries = 1, timeoutMs } = options;
  checkOption('retries', retries, (value) => Number.isInteger(value) && value >= 0, 'a whole number ≥ 0');
  checkOption(
    'timeoutMs',
    timeoutMs,
    (value) => value > 0 && value <= LONGEST_TIMEOUT,
    `milliseconds from 1 to ${LONGEST_TIMEOUT} (24 days), or leave it out`,
  );
  const data: MemberData = { module: problemSpecifier(String(options.module)), options: options.options ?? {} };
  const slots = Array.from({ length: count }, (_, id) => new Slot(id, () => start(data)));
  const free = [...slots];
  const waiting: ((slot: Slot) => void)[] = [];
  const host = hostname();

  const acquire = () => {
    const slot = free.shift();
    return slot ? Promise.resolve(slot) : new Promise<Slot>((resolve) => waiting.push(resolve));
  };
  const release = (slot: Slot) => {
    const next = waiting.shift();
    if (next) next(slot);
    else free.push(slot);
  };

  return {
    concurrency: count,
    isolated,
    async evaluate(job: EvaluationJob, { signal, onStart, onReport }: EvaluateOptions = {}): Promise<Evaluation> {
      const slot = await acquire();
      const worker = `${noun} ${slot.id}`;
      // A pending message keeps no unreferenced member alive: hold this process until the job ends.
      const hold = setInterval(() => {}, 2 ** 30);
      try {
        signal?.throwIfAborted();
        onStart?.();
        for (let attempts = 1; ; attempts++) {
          const ending = await slot.run(job, timeoutMs, signal, onReport);
          if (ending.kind === 'done') {
            const { values, startedAt, durationMs } = ending;
            return { status: 'complete', values, host, worker, startedAt, durationMs, attempts };
          }
          if (ending.kind === 'stopped') {
            const { startedAt, durationMs } = ending;
            return { status: 'stopped', host, worker, startedAt, durationMs, attempts };
          }
          if (ending.kind === 'broken') throw ending.error;
          if (ending.kind === 'aborted') throw signal?.reason;
          if (ending.kind === 'unusable') throw new SearchError(ending.code, ending.error, { module: data.module });
          if (ending.kind === 'error') return { status: 'failed', error: ending.error, host, worker, attempts };
          if (attempts > retries)
            return { status: 'failed', error: `${ending.error} (${attempts} attempts)`, host, worker, attempts };
        }
      } finally {
        clearInterval(hold);
        release(slot);
      }
    },
    async close() {
      await Promise.all(slots.map((slot) => slot.close()));
    },
  };
}
