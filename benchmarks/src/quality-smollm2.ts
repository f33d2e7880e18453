// How near to dense HiP is on SmolLM2-135M-Instruct: prefill of four windows of 8,192 tokens, a decoder that is fed true tokens, pass-keys,
// tasks over the books. HIP_QUALITY_BACKEND: wasm (default) or webgpu; HIP_QUALITY_CONFIGURATIONS: names, `;` between them (see
// configurations.ts); HIP_QUALITY_PARTS: some of prefill, decode, tasks, beyond; HIP_QUALITY_WINDOWS: how many; HIP_QUALITY_QUESTIONS: a cell;
// HIP_QUALITY_TASKS: some of tasks.ts, `;` between them; HIP_QUALITY_BEYOND: lengths of beyond.ts;
// HIP_QUALITY_TOKENS: of a window; HIP_QUALITY_KEEP: a file in which a run that ends early leaves what it has, for the next one.
import { prepareAttention } from '@hip/attention';
import { HipError } from '@hip/mask-search';
import { sharedPath } from '@hip/testing';
import { loadCheckpoint, type ElasticModel } from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';
import { KeptRows } from './kept.ts';
import { configurationOf, type Named } from './quality-smollm2/configurations.ts';
import { beyondRows } from './quality-smollm2/beyond.ts';
import { ask } from './quality-smollm2/questions.ts';
import { CHUNK, taskRows, type Keeping } from './quality-smollm2/task-rows.ts';
import { decodeRows, means, prefillRows, windowsOf } from './quality-smollm2/windows.ts';

type Row = Record<string, unknown>;

interface Plan {
  readonly tokens: number;
  readonly windows: number;
  /** Lengths of prompts, and tokens fed after each. */
  readonly prompts: readonly number[];
  readonly fed: number;
  readonly questions: number;
  readonly tasks: readonly string[] | undefined;
  /** Lengths of texts beyond the trained length. */
  readonly beyond: readonly number[];
  readonly parts: readonly string[];
  readonly configurations: readonly Named[];
}

const SIZES = {
  full: { tokens: 8192, windows: 4, prompts: [4096, 7000], fed: 1000, questions: 512, beyond: [16_384, 32_768] },
  quick: { tokens: 2048, windows: 1, prompts: [2016], fed: 16, questions: 1, beyond: [512] },
} as const;

function planOf(quick: boolean): Plan {
  const { env } = process;
  const size = quick ? SIZES.quick : SIZES.full;
  const parts = env['HIP_QUALITY_PARTS'] ?? (quick ? 'prefill,decode' : 'prefill,decode,tasks,beyond');
  const names = env['HIP_QUALITY_CONFIGURATIONS'] ?? (quick ? 'bounds;default' : 'bounds;default;profile');
  const tokens = Number(env['HIP_QUALITY_TOKENS'] ?? size.tokens);
  return {
    tokens,
    windows: Number(env['HIP_QUALITY_WINDOWS'] ?? size.windows),
    prompts: tokens === size.tokens ? size.prompts : [tokens - 64],
    fed: Math.min(size.fed, tokens),
    questions: Number(env['HIP_QUALITY_QUESTIONS'] ?? size.questions),
    tasks: env['HIP_QUALITY_TASKS']?.split(';'),
    beyond: env['HIP_QUALITY_BEYOND']?.split(',').map(Number) ?? size.beyond,
    parts: parts.split(','),
    configurations: names.split(';').map(configurationOf),
  };
}

export const benchmark: Benchmark = {
  name: 'quality-smollm2',
  description: 'SmolLM2 at 8K: distance from dense in prefill and decode, pass-keys, tasks over books',
  async run({ quick, log, signal }) {
    const plan = planOf(quick);
    const backend = process.env['HIP_QUALITY_BACKEND'] === 'webgpu' ? 'webgpu' : 'wasm';
    const folder = sharedPath('models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
    const goldens = sharedPath('goldens', 'smollm2', 'books.safetensors');
    if (!folder || !goldens)
      throw new Error('needs ../shared/models/smollm2-135m-instruct and ../shared/goldens/smollm2');
    const environment = await startTfjs(backend);
    using prepared = await prepareAttention({ matmul: true });
    const { model, tokenizer } = await loadCheckpoint(folder);
    const failures: string[] = [];
    try {
      const configurations = await runnable(plan, model, log, failures);
      const windows = (await windowsOf(goldens)).slice(0, plan.windows);
      const kept = new KeptRows(process.env['HIP_QUALITY_KEEP']);
      const names = configurations.map(({ name }) => name).join(';');
      const stepOf = (...parts: readonly (string | number)[]): string => [...parts, backend, names].join(' ');
      const keeping: Keeping = { log, signal, kept, stepOf };
      const rows: Row[] = [];
      for (const window of windows) {
        signal.throwIfAborted();
        if (plan.parts.includes('prefill')) {
          log(`prefill ${window.name}`);
          rows.push(
            ...(await kept.of(stepOf('prefill', window.name, plan.tokens), () =>
              prefillRows(model, window, plan.tokens, configurations, CHUNK),
            )),
          );
        }
        for (const prompt of plan.parts.includes('decode') ? plan.prompts : []) {
          signal.throwIfAborted();
          log(`decode ${window.name} after ${prompt}`);
          const fed = { prompt, fed: Math.min(plan.fed, window.ids.length - prompt), chunkTokens: CHUNK };
          rows.push(
            ...(await kept.of(stepOf('decode', window.name, prompt, fed.fed), () =>
              decodeRows(model, window, fed, configurations),
            )),
          );
        }
      }
      const tasks = plan.parts.includes('tasks')
        ? await taskRows(plan, configurations, model, tokenizer!, keeping)
        : [];
      const beyond = plan.parts.includes('beyond') ? await beyondRows(folder, plan, configurations, keeping) : [];
      return {
        rows: [...(windows.length > 1 ? means(rows) : []), ...rows, ...tasks, ...beyond],
        environment: {
          ...environment,
          kernels: prepared.backend,
          model: 'SmolLM2-135M-Instruct, Q4_1 as float32',
          ...(failures.length > 0 && { failures }),
        },
      };
    } finally {
      model.dispose();
    }
  },
};

/** The configurations that this backend runs; what it refuses is a failure of the run, not of the others. */
async function runnable(
  { configurations }: Plan,
  model: ElasticModel,
  log: (line: string) => void,
  failures: string[],
): Promise<Named[]> {
  const found: Named[] = [];
  for (const named of configurations) {
    try {
      const context = Int32Array.from({ length: 700 }, (_, i) => 1 + (i % 97));
      await ask(model, { context, questions: [] }, named, 704);
      found.push(named);
    } catch (error) {
      if (!(error instanceof HipError && error.code === 'unsupported')) throw error;
      failures.push(`${named.name}: ${error.message}`);
      log(`left out ${failures.at(-1)}`);
    }
  }
  if (found.length === 0) throw new Error(`nothing to measure: ${failures.join('; ')}`);
  return found;
}
