// Perplexity and pass-key accuracy on real weights: dense, HiP, multi-stage, sink + window and random blocks at the same number of keys.
// HIP_QUALITY_CACHE: where finished windows are kept; HIP_QUALITY_WORKERS: how many run at a time; HIP_QUALITY_ONLY: a pattern of rows;
// HIP_QUALITY_BACKEND: wasm (default) or webgpu.
import { availableParallelism } from 'node:os';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { Tinypool } from 'tinypool';
import { sharedPath } from '@hip/testing';
import type { Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';
import { ABLATIONS, METHODS, type Method } from './quality/methods.ts';
import { LENGTHS } from './quality/pass-keys.ts';
import { recallRows } from './quality/recall.ts';
import { windowOf, type Job, type JobResult } from './quality/window.ts';

const BOOKS = ['herman-melville_moby-dick.txt', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude.txt'];
const MODELS = ['books-lm-14m', 'books-lm-6m'];
/** Pass-key windows and questions per length and window: 64 questions per length. */
const WINDOWS = 8;
const PER_LENGTH = 8;
const BACKEND: Job['backend'] = process.env['HIP_QUALITY_BACKEND'] === 'webgpu' ? 'webgpu' : 'wasm';
/** Raise when a change of the benchmark makes earlier results wrong. */
const VERSION = 4;

interface Task extends Job {
  readonly modelName: string;
  readonly table: 'quality' | 'ablation';
}

/** Finished jobs, one JSON line each: a run that was stopped goes on where it was. */
class Results {
  readonly #path = resolve(process.env['HIP_QUALITY_CACHE'] ?? 'out/quality.jsonl');
  readonly #done = new Map<string, JobResult>();

  constructor() {
    if (!existsSync(this.#path)) return;
    for (const line of readFileSync(this.#path, 'utf8').split('\n')) {
      try {
        const { key, result } = JSON.parse(line) as { key: string; result: JobResult };
        this.#done.set(key, result);
      } catch {
        // The last line of a killed run may be half written.
      }
    }
  }

  static key({ modelName, book, method, lengths, kind, index, perLength }: Task): string {
    const { label: _, ...settings } = method;
    const value = [
      VERSION,
      modelName,
      book.split('/').at(-1),
      settings,
      lengths,
      kind,
      index,
      kind === 'loss' ? 0 : perLength,
    ];
    return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 24);
  }

  get(task: Task): JobResult | undefined {
    return this.#done.get(Results.key(task));
  }

  add(task: Task, result: JobResult): void {
    const key = Results.key(task);
    this.#done.set(key, result);
    mkdirSync(dirname(this.#path), { recursive: true });
    appendFileSync(
      this.#path,
      `${JSON.stringify({ key, model: task.modelName, method: task.method.label, result })}\n`,
    );
  }
}

function tasksOf(modelName: string, method: Method, quick: boolean, table: Task['table']): Task[] {
  const model = sharedPath('models', modelName);
  const books = BOOKS.map((book) => sharedPath('data', 'books', book));
  if (!model || books.some((book) => !book))
    throw new Error('the quality benchmark needs ../shared/models and ../shared/data/books');
  const lengths = quick ? LENGTHS.slice(0, 1) : LENGTHS;
  const common = {
    modelName,
    model,
    method,
    lengths,
    perLength: PER_LENGTH,
    threads: 1,
    table,
    backend: BACKEND,
    wasmPath: process.env['HIP_WASM_PATH'],
  };
  return [
    ...books.map((book): Task => ({ ...common, book: book!, kind: 'loss', index: 0 })),
    ...Array.from({ length: quick ? 1 : WINDOWS }, (_, index): Task => ({
      ...common,
      book: books[1]!,
      kind: 'pass-keys',
      index,
    })),
  ];
}

/** One row: a method of one model, figures by length. */
function rowOf(tasks: readonly Task[], results: Results): Record<string, unknown> | undefined {
  const { modelName, method, lengths, table } = tasks[0]!;
  const finished = tasks.map((task) => results.get(task));
  if (finished.some((result) => !result)) return undefined;
  const row: Record<string, unknown> = {
    table,
    model: modelName,
    method: method.label,
    ...(method.name === 'dense' ? {} : { k: method.k, denseLayers: method.denseLayers }),
  };
  lengths.forEach((tokens, i) => {
    const at = finished.map((result) => result!.lengths[i]!);
    const total = (name: 'loss' | 'targets' | 'exact' | 'digits' | 'questions'): number =>
      at.reduce((sum, entry) => sum + (entry[name] ?? 0), 0);
    const label = `${tokens / 1024}K`;
    row[`perplexity${label}`] = Number(Math.exp(total('loss') / total('targets')).toFixed(3));
    row[`passKey${label}`] = Number((total('exact') / total('questions')).toFixed(4));
    row[`digits${label}`] = Number((total('digits') / (5 * total('questions'))).toFixed(4));
    row['trialsPerLength'] = total('questions');
  });
  return row;
}

export const benchmark: Benchmark = {
  name: 'quality',
  description: 'perplexity and pass-key accuracy of dense, HiP, window and random blocks on real weights',
  async run({ quick, log, signal }) {
    const results = new Results();
    const groups = [
      ...(quick ? MODELS.slice(1) : MODELS).flatMap((model) =>
        (quick ? METHODS.slice(0, 5) : METHODS).map((method) => tasksOf(model, method, quick, 'quality')),
      ),
      ...(quick ? [] : MODELS).flatMap((model) => ABLATIONS.map((method) => tasksOf(model, method, quick, 'ablation'))),
    ];
    const only = process.env['HIP_QUALITY_ONLY'];
    const wanted = groups.filter(
      ([task]) =>
        !only ||
        `${task!.modelName} ${task!.table} ${task!.method.label} ${task!.method.k} ${task!.method.denseLayers}`.match(
          only,
        ),
    );
    const seen = new Set<string>();
    const open = wanted.flat().filter((task) => {
      const key = Results.key(task);
      if (seen.has(key) || results.get(task)) return false;
      seen.add(key);
      return true;
    });
    // Window by window: a worker keeps what its methods have in common. HIP_QUALITY_ONLY runs the rows in parts.
    const windows = [...Map.groupBy(open, windowOf).values()];
    const failures: string[] = [];
    const workers = Number(process.env['HIP_QUALITY_WORKERS'] ?? availableParallelism());
    log(`${open.length} of ${wanted.flat().length} windows to run, ${workers} at a time`);
    if (open.length > 0) {
      let finished = 0;
      const runOne = async (pool: Tinypool, task: Task): Promise<void> => {
        const what = `${task.modelName} ${task.method.label} k=${task.method.k} l_d=${task.method.denseLayers} ${task.kind} ${task.index}`;
        try {
          const result = (await pool.run(task, { name: 'runJob', signal })) as JobResult;
          results.add(task, result);
          log(`${++finished}/${open.length} ${what}: ${result.seconds.toFixed(1)} s`);
        } catch (error) {
          signal.throwIfAborted();
          failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
          log(`failed: ${failures.at(-1)}`);
        }
      };
      const work = async (): Promise<void> => {
        const pool = new Tinypool({
          filename: process.env['HIP_QUALITY_WORKER'] ?? new URL('./quality/worker.ts', import.meta.url).href,
          minThreads: 1,
          maxThreads: 1,
          isolateWorkers: false,
          // Dawn wants a process of its own.
          env: process.env as Record<string, string>,
          runtime: BACKEND === 'webgpu' ? 'child_process' : 'worker_threads',
        });
        try {
          for (let tasks = windows.shift(); tasks; tasks = windows.shift())
            for (const task of tasks) await runOne(pool, task);
        } finally {
          await pool.destroy();
        }
      };
      await Promise.all(Array.from({ length: Math.min(workers, windows.length) }, work));
    }
    const rows = wanted.map((tasks) => rowOf(tasks, results)).filter((row) => row !== undefined);
    const recall = !only || 'recall'.match(only) ? await recalls(quick, log) : [];
    return {
      rows: [...withRatios(rows), ...recall],
      environment: {
        backend: BACKEND,
        // A row with a failed window is left out.
        ...(failures.length > 0 && { failures }),
        trials: 'pass keys: 8 questions at each length in each of 8 windows of War and Peace, 32 facts a window',
      },
    };
  },
};

/** Mass recall on wasm, in this thread. */
async function recalls(quick: boolean, log: (line: string) => void): Promise<Record<string, unknown>[]> {
  const tokens = quick ? 4096 : 16_384;
  log(`mass recall at ${tokens} tokens`);
  await startTfjs('wasm');
  const text = readFileSync(sharedPath('data', 'books', BOOKS[0]!)!, 'utf8');
  return recallRows(sharedPath('models', quick ? MODELS[1]! : MODELS[0]!)!, text, tokens, availableParallelism());
}

/** Beside each figure its ratio to the same model's dense one. */
function withRatios(rows: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return rows.map((row) => {
    const dense = rows.find((other) => other['model'] === row['model'] && other['method'] === 'dense');
    if (!dense || dense === row) return row;
    const longest = Object.keys(row)
      .filter((name) => name.startsWith('perplexity'))
      .at(-1)!;
    const key = longest.replace('perplexity', 'passKey');
    const ratio = (name: string): number => Number(((row[name] as number) / (dense[name] as number)).toFixed(4));
    return { ...row, perplexityRatio: ratio(longest), passKeyRatio: ratio(key) };
  });
}
