// What latencies are timed on, so that what is optimised is what will run: tfjs, or the runtime that the exported model is for.
import { memoryFiles } from '@hip/checkpoints';
import { checkpointRunner, onnxRunner, type LatencyRunner, type OnnxDtype } from '@instatune/supernet';
import type { TaskName } from '../data/task.ts';
import { TuneError } from '../errors.ts';
import { ONNX_DTYPES, type Quantization } from '../steps/export.ts';

/** tfjs, and packages that are optional. */
export const RUNTIMES = ['tfjs', 'onnxruntime-node', '@hip/llm'] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** Weights of @hip/llm; a checkpoint's own are float32. */
const LLM_WEIGHTS = { none: 'stored', int8: 'q8', q4: 'q4' } as const satisfies Readonly<Record<Quantization, string>>;

/**
 * A runner of a runtime, with weights as they will be quantised; undefined for tfjs, which is timed where everything else is computed.
 *
 * @throws TuneError `not-installed`; `invalid-option` for @hip/llm and what is no language model
 */
export async function openRuntime(
  name: RuntimeName,
  task: TaskName,
  quantize: Quantization = 'none',
): Promise<LatencyRunner | undefined> {
  switch (name) {
    case 'tfjs':
      return undefined;
    case 'onnxruntime-node':
      return onnxruntimeRunner(ONNX_DTYPES[quantize]);
    case '@hip/llm':
      return languageRunner(name, task, quantize);
  }
}

async function onnxruntimeRunner(dtype: OnnxDtype): Promise<LatencyRunner> {
  const runtime = await installed('onnxruntime-node', () => import('onnxruntime-node'));
  return { ...onnxRunner(runtime, { dtype }), name: `onnxruntime-node, weights ${dtype}` };
}

async function languageRunner(name: RuntimeName, task: TaskName, quantize: Quantization): Promise<LatencyRunner> {
  if (task !== 'language-modelling') {
    throw new TuneError(
      'invalid-option',
      `--runtime ${name} runs language models, this is ${task}: use tfjs or onnxruntime-node`,
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
async function installed<T>(name: RuntimeName, load: () => Promise<T>): Promise<T> {
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
