// InstaTune on three real tasks: plain, KD-only and super-network fine-tuning, and the sub-networks that LINAS finds; throughput.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { sharedDirectory } from '../../packages/testing/src/shared-data.ts';
import type { FloatDtype } from '@hip/checkpoints';
import { saveCheckpoint, type ElasticModel, type Precision } from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startBackend, type BackendName } from './instatune/backend.ts';
import { measureAgain } from './instatune/latencies.ts';
import { profile } from './instatune/profile.ts';
import { EMBEDDINGS, studyEmbeddings, type EmbeddingRecipe } from './instatune/embeddings.ts';
import { studyTask } from './instatune/study.ts';
import { TASKS, type Recipe, type Task } from './instatune/tasks.ts';
import { stepCost } from './instatune/step-cost.ts';
import { throughput } from './instatune/throughput.ts';

type Row = Record<string, unknown>;

/** Settings from the environment: the same program runs here and on a machine with a GPU. */
function settings(quick: boolean) {
  const { env } = process;
  return {
    backend: (env['INSTATUNE_BACKEND'] ?? 'wasm') as BackendName,
    sections: (env['INSTATUNE_SECTIONS'] ?? 'books,cifar10,sst2,throughput').split(','),
    /** Seconds a task may take; its steps are cut to fit. */
    seconds: env['INSTATUNE_SECONDS'] === undefined ? undefined : Number(env['INSTATUNE_SECONDS']),
    /** Unix seconds at which a study must have said all that it can say. */
    deadline: env['INSTATUNE_DEADLINE'] === undefined ? undefined : 1000 * Number(env['INSTATUNE_DEADLINE']),
    /** File that holds the rows so far, written after every row. */
    partial: env['INSTATUNE_PARTIAL'],
    /** Folder in which trainings are kept, so that a run goes on where the last one was stopped; and as what numbers. */
    kept: env['INSTATUNE_KEPT'],
    keptAs: (env['INSTATUNE_KEPT_AS'] ?? 'F32') as FloatDtype,
    /** Tasks whose models throughput and profile look at. */
    tasks: (env['INSTATUNE_TASKS'] ?? Object.keys(TASKS).join(',')).split(',').filter(Boolean),
    /** JSON of recipe fields to replace. */
    recipe: JSON.parse(env['INSTATUNE_RECIPE'] ?? '{}') as Partial<Recipe>,
    seed: Number(env['INSTATUNE_SEED'] ?? 0),
    searchSeeds: (env['INSTATUNE_SEARCH_SEEDS'] ?? (quick ? '0' : '0,1,2')).split(',').map(Number),
    quick,
    /** Of training, and of what searches measure. */
    precision: (env['INSTATUNE_PRECISION'] ?? 'float32') as Precision,
  };
}

const QUICK: Partial<Recipe> = { steps: 12, batchSize: 8, evaluations: 12 };

export const benchmark: Benchmark = {
  name: 'instatune',
  description: 'InstaTune on SST-2, CIFAR-10 and language modelling: accuracy, MACs, latency, search, throughput',
  async run({ quick, log, signal }) {
    const {
      kept,
      keptAs,
      backend,
      sections,
      seconds,
      deadline,
      partial,
      recipe,
      seed,
      searchSeeds,
      tasks: names,
      precision,
    } = settings(quick);
    const tasks = names.map(taskOf);
    const shared = sharedDirectory();
    if (!shared) throw new Error('this benchmark needs ../shared: set SHARED_DIR');
    const environment = await startBackend(backend);
    const rows: Row[] = [];
    const emit = (row: Row): void => {
      rows.push(row);
      log(JSON.stringify(row));
      if (partial) save(partial, { name: 'instatune', environment, rows });
    };
    for (const section of sections) {
      const start = performance.now();
      try {
        if (section === 'profile') await profile({ shared, tasks, emit, log, signal, ...(quick && { batch: 2 }) });
        else if (section === 'step-cost') await stepCost({ only: weightsOf(tasks), precision, emit, log, signal });
        else if (section === 'latencies') await measureAgain({ shared, rows: storedRows(), emit, signal });
        else if (section === 'long-context') {
          const checkpoint = process.env['INSTATUNE_CHECKPOINT'];
          if (!checkpoint)
            throw new Error('long-context needs INSTATUNE_CHECKPOINT, the folder of a sub-network of SmolLM2');
          // Needs @hip/llm, which a machine with a GPU alone does not have (benchmarks/device/pack-instatune.ts).
          const { studyLongContext } = await import('./instatune/long-context.ts');
          await studyLongContext({
            checkpoint,
            tokens: Number(process.env['INSTATUNE_TOKENS'] ?? (quick ? 1024 : 8192)),
            windows: Number(process.env['INSTATUNE_WINDOWS'] ?? (quick ? 1 : 4)),
            times: process.env['INSTATUNE_TIMES'] !== '0',
            emit,
            log,
          });
        } else if (section === 'embeddings') {
          const onModel = async (name: string, model: ElasticModel): Promise<void> => {
            if (kept) await saveCheckpoint(model, `${kept}/embeddings-${name}`, { dtype: keptAs });
          };
          const own = embeddingRecipe(recipe, quick, precision);
          await studyEmbeddings({
            shared,
            seed,
            recipe: own,
            emit,
            log,
            signal,
            onModel,
            ...(deadline !== undefined && { deadline }),
          });
        } else if (section === 'throughput') await throughput({ shared, tasks, backend, quick, emit, log, signal });
        else {
          const found = taskOf(section);
          const whole = { ...found.recipe, ...(quick ? QUICK : {}), ...recipe };
          const task = {
            ...found,
            // As many tokens at a time, whatever a window has.
            evaluationBatch: whole.window
              ? Math.max(1, Math.floor((found.evaluationBatch * 256) / whole.window))
              : found.evaluationBatch,
            recipe: { ...whole, common: { ...whole.common, precision } },
          };
          await studyTask(task, {
            shared,
            seed,
            recipe: task.recipe,
            searchSeeds,
            emit,
            log,
            signal,
            ...(seconds !== undefined && { seconds }),
            ...(deadline !== undefined && { deadline }),
            ...(kept && { kept: { folder: kept, dtype: keptAs } }),
            ...(quick && { limit: Number(process.env['INSTATUNE_LIMIT'] ?? 32) }),
          });
        }
      } catch (error) {
        if (signal.aborted) throw error;
        emit({ section, failed: error instanceof Error ? error.message : String(error) });
        process.exitCode = 1;
      }
      log(`${section}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
    }
    return { rows, environment };
  },
};

function embeddingRecipe(given: object, quick: boolean, precision: Precision): EmbeddingRecipe {
  const small = quick ? { steps: 4, tune: 2, evaluations: 12, batchSize: 8, texts: 60, pieces: 20 } : {};
  return { ...EMBEDDINGS, ...small, ...given, precision };
}

/** Which weights some tasks begin with. */
function weightsOf(tasks: readonly Task[]): readonly string[] {
  return tasks.map(({ weights }) => weights);
}

/** A task by name. @throws Error naming what there is */
function taskOf(name: string): Task {
  const task = TASKS[name];
  if (task) return task;
  throw new Error(
    `no task or section "${name}": tasks are ${Object.keys(TASKS).join(', ')}; sections also throughput, profile, step-cost, latencies, embeddings, long-context`,
  );
}

/** Rows of earlier runs, from the files of INSTATUNE_ROWS. */
function storedRows(): Row[] {
  const files = (process.env['INSTATUNE_ROWS'] ?? '').split(',').filter(Boolean);
  return files.flatMap((file) => (JSON.parse(readFileSync(file, 'utf8')) as { rows: Row[] }).rows);
}

function save(path: string, document: Row): void {
  if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(document, undefined, 2)}\n`);
}
