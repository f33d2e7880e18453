// How near to dense HiP is on SmolLM2-135M-Instruct: prefill of four windows of 8,192 tokens, a decoder that is fed true tokens, pass-keys,
// tasks over the books. HIP_QUALITY_BACKEND: wasm (default) or webgpu; HIP_QUALITY_CONFIGURATIONS: names, `;` between them (see
// configurations.ts); HIP_QUALITY_PARTS: some of prefill, decode, tasks; HIP_QUALITY_WINDOWS: how many; HIP_QUALITY_QUESTIONS: a cell;
// HIP_QUALITY_TOKENS: of a window.
import { readFileSync } from 'node:fs';
import { prepareAttention } from '@hip/attention';
import { HipError } from '@hip/mask-search';
import { sharedPath } from '@hip/testing';
import { loadCheckpoint, type ElasticModel, type TextTokenizer } from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';
import { configurationOf, type Named } from './quality-smollm2/configurations.ts';
import { ask, paired } from './quality-smollm2/questions.ts';
import { TASKS, taskOf, type TaskName } from './quality-smollm2/tasks.ts';
import { decodeRows, means, prefillRows, windowsOf } from './quality-smollm2/windows.ts';

const BOOKS = ['herman-melville_moby-dick.txt', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude.txt'];
/** Tokens that run through the layers at once. */
const CHUNK = 1024;

type Row = Record<string, unknown>;

interface Plan {
  readonly tokens: number;
  readonly windows: number;
  /** Lengths of prompts, and tokens fed after each. */
  readonly prompts: readonly number[];
  readonly fed: number;
  readonly questions: number;
  readonly parts: readonly string[];
  readonly configurations: readonly Named[];
}

const SIZES = {
  full: { tokens: 8192, windows: 4, prompts: [4096, 7000], fed: 1000, questions: 512 },
  quick: { tokens: 2048, windows: 1, prompts: [2016], fed: 16, questions: 1 },
} as const;

function planOf(quick: boolean): Plan {
  const { env } = process;
  const size = quick ? SIZES.quick : SIZES.full;
  const parts = env['HIP_QUALITY_PARTS'] ?? (quick ? 'prefill,decode' : 'prefill,decode,tasks');
  const names = env['HIP_QUALITY_CONFIGURATIONS'] ?? (quick ? 'bounds;default' : 'bounds;default;profile');
  const tokens = Number(env['HIP_QUALITY_TOKENS'] ?? size.tokens);
  return {
    tokens,
    windows: Number(env['HIP_QUALITY_WINDOWS'] ?? size.windows),
    prompts: tokens === size.tokens ? size.prompts : [tokens - 64],
    fed: Math.min(size.fed, tokens),
    questions: Number(env['HIP_QUALITY_QUESTIONS'] ?? size.questions),
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
      const rows: Row[] = [];
      for (const window of windows) {
        signal.throwIfAborted();
        if (plan.parts.includes('prefill')) {
          log(`prefill ${window.name}`);
          rows.push(...(await prefillRows(model, window, plan.tokens, configurations, CHUNK)));
        }
        for (const prompt of plan.parts.includes('decode') ? plan.prompts : []) {
          signal.throwIfAborted();
          log(`decode ${window.name} after ${prompt}`);
          const fed = { prompt, fed: Math.min(plan.fed, window.ids.length - prompt), chunkTokens: CHUNK };
          rows.push(...(await decodeRows(model, window, fed, configurations)));
        }
      }
      const tasks = plan.parts.includes('tasks')
        ? await taskRows(plan, configurations, model, tokenizer!, log, signal)
        : [];
      return {
        rows: [...(windows.length > 1 ? means(rows) : []), ...rows, ...tasks],
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

/** One row a task and configuration; dense among them, whose answers the others are compared with, question by question. */
async function taskRows(
  { tokens, questions }: Plan,
  configurations: readonly Named[],
  model: ElasticModel,
  tokenizer: TextTokenizer,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<Row[]> {
  const books = BOOKS.map((file) => readFileSync(sharedPath('data', 'books', file)!, 'utf8').slice(400_000));
  const texts = books.map((book) => tokenizer.encode(book, { addSpecialTokens: false }));
  const all = [configurationOf('dense'), ...configurations.filter(({ name }) => name !== 'dense')];
  const rows: Row[] = [];
  for (const task of Object.keys(TASKS) as TaskName[]) {
    const right = all.map((): number[] => []);
    for (let seed = 0; right[0]!.length < questions; seed++) {
      signal.throwIfAborted();
      const drawn = taskOf(task, texts[seed % texts.length]!, tokenizer, { tokens, seed });
      for (const [i, named] of all.entries()) right[i]!.push(...(await ask(model, drawn, named, CHUNK)).right);
    }
    log(`${task}: ${right[0]!.length} questions`);
    for (const [i, { name }] of all.entries()) {
      const { right: share, difference, interval } = paired(right[i]!, right[0]!);
      const figures = { right: share, ...(i > 0 && { difference, interval }) };
      const rounded = Object.entries(figures).map(([key, value]) => [key, Number(value.toFixed(4))]);
      rows.push({
        part: 'tasks',
        task,
        tokens,
        configuration: name,
        questions: right[i]!.length,
        ...Object.fromEntries(rounded),
      });
    }
  }
  return rows;
}
