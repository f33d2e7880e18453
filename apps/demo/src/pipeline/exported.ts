// The chosen sub-network as ONNX, run by onnxruntime with HiP between its pieces, beside the same logits computed here.
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { createHipSession } from '@hip/onnx';
import { exportOnnx, type ElasticModel } from '@instatune/supernet';
import type * as Ort from 'onnxruntime-node';
import { DemoError } from './errors.ts';
import type { Exported } from './result.ts';

/** The folder inside the run's. */
const FOLDER = 'onnx-model';
/** Tokens of the prompt, and of those that follow one by one. */
const PROMPT = 192;
const STEPS = 4;
/** How far logits may be apart: float32 rounding, summed in another order over all layers. */
const TOLERANCE = 1e-3;

type Tensors = Record<string, Ort.Tensor>;

/**
 * Exports the model (a folder that transformers.js loads as it is), runs a prompt and some tokens after it by `createHipSession` and
 * compares the last rows' logits with the model's own.
 *
 * @throws DemoError `corrupt-checkpoint` when they differ
 */
export async function runExported(
  model: ElasticModel,
  document: Int32Array,
  out: string,
  signal: AbortSignal,
): Promise<Exported> {
  const ort = await import('onnxruntime-node');
  const folder = join(out, FOLDER);
  rmSync(folder, { recursive: true, force: true });
  const report = await exportOnnx(model, undefined, folder, { signal });
  const ids = document.subarray(0, PROMPT + STEPS);
  const prompt = ids.length - STEPS;
  const start = performance.now();
  const session = await createHipSession(ort, join(folder, report.model), {
    threads: availableParallelism(),
    sessionOptions: { intraOpNumThreads: availableParallelism(), logSeverityLevel: 3 },
    signal,
  });
  const int64 = (values: ArrayLike<number>, dims: number[]) =>
    new ort.Tensor(
      'int64',
      BigInt64Array.from({ length: values.length }, (_, i) => BigInt(values[i]!)),
      dims,
    );
  const step = async (tokens: Int32Array, past: Tensors | undefined, total: number): Promise<Tensors> => {
    const feeds: Tensors = {};
    for (const { name, shape } of session.inputMetadata) {
      if (name === 'input_ids') feeds[name] = int64(tokens, [1, tokens.length]);
      else if (name === 'attention_mask') feeds[name] = int64(new Uint8Array(total).fill(1), [1, total]);
      else if (name === 'num_logits_to_keep') feeds[name] = int64([1], []);
      else {
        const dims = shape.map((extent, axis) => (typeof extent === 'number' ? extent : axis === 0 ? 1 : 0));
        feeds[name] = past?.[name.replace('past_key_values', 'present')] ?? new ort.Tensor('float32', [], dims);
      }
    }
    return (await session.run(feeds)) as unknown as Tensors;
  };
  try {
    let difference = 0;
    let past: Tensors | undefined;
    for (let end = prompt; end <= ids.length; end++) {
      const outputs = await step(past ? ids.subarray(end - 1, end) : ids.subarray(0, prompt), past, end);
      past = outputs;
      difference = Math.max(difference, await farthest(model, ids.subarray(0, end), outputs['logits']!));
    }
    if (!(difference <= TOLERANCE)) {
      throw new DemoError(
        'corrupt-checkpoint',
        `the sub-network exported to "${folder}" gives logits that are ${difference} from its own: please report it, with the folder`,
      );
    }
    return {
      folder: FOLDER,
      bytes: report.bytes,
      tokens: ids.length,
      difference,
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    await session.release();
  }
}

/** Largest difference of the last token's logits. */
async function farthest(model: ElasticModel, ids: Int32Array, logits: Ort.Tensor): Promise<number> {
  const inputIds = tf.tensor2d(ids, [1, ids.length], 'int32');
  const output = model.forward({ inputIds }, { logits: 'last' });
  const own = (await output.logits.data()) as Float32Array;
  tf.dispose([inputIds, output.logits]);
  const theirs = logits.data as Float32Array;
  return own.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i]!)), 0);
}
