// What latencies are timed on, so that what is optimised is what will run: tfjs, or the runtime that the exported model is for.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { memoryFiles } from '@hip/checkpoints';
import { checkpointRunner, onnxRunner, pageRunner, type LatencyRunner, type OnnxDtype } from '@instatune/supernet';
import type { TaskName } from '../data/task.ts';
import { TuneError } from '../errors.ts';
import type { Feeds, WebProvider } from '../page/protocol.ts';
import { TimingPage } from '../page/server.ts';
import { ONNX_DTYPES, type Quantization } from '../steps/export.ts';

/** tfjs, and packages that are optional; onnxruntime-web runs in a browser's page, on WebAssembly unless WebGPU is said. */
export const RUNTIMES = ['tfjs', 'onnxruntime-node', 'onnxruntime-web', 'onnxruntime-web/webgpu', '@hip/llm'] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** Weights of @hip/llm; a checkpoint's own are float32. */
const LLM_WEIGHTS = { none: 'stored', int8: 'q8', q4: 'q4' } as const satisfies Readonly<Record<Quantization, string>>;

/** A runner that may hold something open. */
export type OpenRunner = LatencyRunner & Partial<AsyncDisposable>;

/** How {@link openRuntime} opens one. */
export interface RuntimeOptions {
  /** Weights as they will be stored. @defaultValue 'none' */
  readonly quantize?: Quantization | undefined;
  /** Opens the page of onnxruntime-web, or tells whoever is to open it. */
  readonly openPage?: ((url: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A runner of a runtime; undefined for tfjs, which is timed where everything else is computed. The caller disposes it.
 *
 * @throws TuneError `not-installed`; `invalid-option` for @hip/llm and what is no language model
 */
export async function openRuntime(
  name: RuntimeName,
  task: TaskName,
  { quantize = 'none', openPage, signal }: RuntimeOptions = {},
): Promise<OpenRunner | undefined> {
  switch (name) {
    case 'tfjs':
      return undefined;
    case 'onnxruntime-node':
      return onnxruntimeRunner(ONNX_DTYPES[quantize]);
    case 'onnxruntime-web':
      return webRunner('wasm', ONNX_DTYPES[quantize], openPage, signal);
    case 'onnxruntime-web/webgpu':
      return webRunner('webgpu', ONNX_DTYPES[quantize], openPage, signal);
    case '@hip/llm':
      return languageRunner(name, task, quantize);
  }
}

/** A page on this machine that any browser opens; passes are timed in it, by its clock. */
async function webRunner(
  provider: WebProvider,
  dtype: OnnxDtype,
  openPage: ((url: string) => void) | undefined,
  signal: AbortSignal | undefined,
): Promise<OpenRunner> {
  const folder = await installed('onnxruntime-web', async () =>
    dirname(createRequire(import.meta.url).resolve('onnxruntime-web')),
  );
  const page = await TimingPage.open(folder, provider);
  signal?.addEventListener('abort', () => page.close('interrupted'), { once: true });
  openPage?.(page.url);
  const time = async (model: Uint8Array, feeds: Feeds) => page.add(model, feeds);
  const runner = pageRunner(`onnxruntime-web on ${provider}, weights ${dtype}`, time, { dtype });
  return { ...runner, [Symbol.asyncDispose]: () => page[Symbol.asyncDispose]() };
}

async function onnxruntimeRunner(dtype: OnnxDtype): Promise<LatencyRunner> {
  const runtime = await installed('onnxruntime-node', () => import('onnxruntime-node'));
  return { ...onnxRunner(runtime, { dtype }), name: `onnxruntime-node, weights ${dtype}` };
}

async function languageRunner(name: RuntimeName, task: TaskName, quantize: Quantization): Promise<LatencyRunner> {
  if (task !== 'language-modelling') {
    throw new TuneError(
      'invalid-option',
      `--runtime ${name} runs language models, this is ${task}: use tfjs, onnxruntime-node or onnxruntime-web`,
      { name, task },
    );
  }
  const llm = await installed(name, () => import('@hip/llm'));
  const weights = LLM_WEIGHTS[quantize];
  return checkpointRunner(`@hip/llm, weights ${weights}`, async (files) => {
    const model = await llm.loadLanguageModel(memoryFiles(files), { weights });
    return {
      run: async (ids) => {
        const sequence = model.createSequence();
        try {
          await sequence.forward(ids);
        } finally {
          sequence.dispose();
        }
      },
      dispose: () => model.close(),
    };
  });
}

/** An optional package. @throws TuneError `not-installed` */
async function installed<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new TuneError(
      'not-installed',
      `--runtime ${name} needs the package ${name}: npm i ${name}`,
      { name },
      { cause },
    );
  }
}
