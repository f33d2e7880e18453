// The quality of an ONNX file as it computes: onnxruntime on the reported data.
import { sequentialBatches } from '@instatune/supernet';
import type { Dataset, HostArray, HostBatch } from '@instatune/supernet';
import type * as OnnxRuntime from 'onnxruntime-node';
import { metricOf, type TaskName } from '../data/task.ts';
import type { Quality } from '../steps/quality.ts';

type Runtime = typeof OnnxRuntime;

const BATCH = 16;

/** onnxruntime-node; undefined where it is not installed. */
export async function onnxRuntime(): Promise<Runtime | undefined> {
  return import('onnxruntime-node').catch(() => undefined);
}

/** Loss, and accuracy or perplexity, of an ONNX file with `logits` on a dataset. */
export async function onnxQuality(
  runtime: Runtime,
  path: string,
  dataset: Dataset,
  task: TaskName,
  signal?: AbortSignal,
): Promise<Quality> {
  const session = await runtime.InferenceSession.create(path);
  try {
    let [loss, hits, count] = [0, 0, 0];
    for await (const batch of sequentialBatches(dataset, BATCH)) {
      signal?.throwIfAborted();
      const { logits } = await session.run(inputsOf(runtime, session, batch));
      const rows = scored(logits!.data as Float32Array, batch.labels);
      loss += rows.loss;
      hits += rows.hits;
      count += rows.count;
    }
    return {
      loss: loss / count,
      accuracy: hits / count,
      ...(metricOf(task) === 'perplexity' && { perplexity: Math.exp(loss / count) }),
    };
  } finally {
    await session.release();
  }
}

function inputsOf(
  runtime: Runtime,
  session: OnnxRuntime.InferenceSession,
  batch: HostBatch,
): Record<string, OnnxRuntime.Tensor> {
  const names = session.inputNames;
  const ids = ({ data, shape }: HostArray<Int32Array>) =>
    new runtime.Tensor('int64', BigInt64Array.from(data, BigInt), [...shape]);
  const { inputIds, attentionMask, tokenTypeIds, pixelValues } = batch;
  const like = (value: number): HostArray<Int32Array> => ({
    shape: inputIds!.shape,
    data: new Int32Array(inputIds!.data.length).fill(value),
  });
  const made: Readonly<Record<string, () => OnnxRuntime.Tensor>> = {
    input_ids: () => ids(inputIds!),
    attention_mask: () => ids(attentionMask ?? like(1)),
    token_type_ids: () => ids(tokenTypeIds ?? like(0)),
    position_ids: () => {
      const length = inputIds!.shape[1]!;
      return ids({ shape: inputIds!.shape, data: Int32Array.from(inputIds!.data, (_, at) => at % length) });
    },
    num_logits_to_keep: () => new runtime.Tensor('int64', BigInt64Array.of(0n), []), // all
    pixel_values: () => new runtime.Tensor('float32', pixelValues!.data, [...pixelValues!.shape]),
  };
  const given = Object.fromEntries(names.flatMap((name) => (made[name] ? [[name, made[name]()]] : [])));
  return { ...given, ...emptyCaches(runtime, session, batch.size) };
}

/** Keys and values of no tokens, for graphs that go on from some. */
function emptyCaches(
  runtime: Runtime,
  session: OnnxRuntime.InferenceSession,
  batch: number,
): Record<string, OnnxRuntime.Tensor> {
  const caches = session.inputMetadata.filter(({ name }) => name.startsWith('past_key_values.'));
  return Object.fromEntries(
    caches.map((cache) => {
      // Named extents: the batch first, then the tokens so far.
      const extents = cache.isTensor ? cache.shape : [];
      const shape = extents.map((extent, axis) => (typeof extent === 'number' ? extent : axis === 0 ? batch : 0));
      return [cache.name, new runtime.Tensor('float32', new Float32Array(0), shape)];
    }),
  );
}

/** Sums over labelled rows of logits [rows, classes]. */
function scored(logits: Float32Array, labels: Int32Array) {
  const classes = logits.length / labels.length;
  let [loss, hits, count] = [0, 0, 0];
  for (const [row, label] of labels.entries()) {
    if (label < 0) continue;
    const values = logits.subarray(row * classes, (row + 1) * classes);
    let best = 0;
    for (let i = 1; i < classes; i++) if (values[i]! > values[best]!) best = i;
    let sum = 0;
    for (const value of values) sum += Math.exp(value - values[best]!);
    loss += Math.log(sum) + values[best]! - values[label]!;
    hits += best === label ? 1 : 0;
    count++;
  }
  return { loss, hits, count };
}
