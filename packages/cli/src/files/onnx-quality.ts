// The quality of an ONNX file as it computes: onnxruntime on the reported data.
import { sequentialBatches, spanMetrics } from '@instatune/supernet';
import type { HostArray, HostBatch } from '@instatune/supernet';
import type * as OnnxRuntime from 'onnxruntime-node';
import { metricOf, type TaskData } from '../data/task.ts';
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
  data: TaskData,
  signal?: AbortSignal,
): Promise<Quality> {
  const session = await runtime.InferenceSession.create(path);
  try {
    const sums: Sums = { loss: 0, hits: 0, count: 0, values: 0, squares: 0, predicted: [], tags: [] };
    for await (const batch of sequentialBatches(data.report, BATCH)) {
      signal?.throwIfAborted();
      const { logits } = await session.run(inputsOf(runtime, session, batch));
      const scores = logits!.data as Float32Array;
      if (batch.values) addValues(sums, scores, batch.values.data, data.problem);
      else addClasses(sums, scores, batch, data.classes);
    }
    const { count, values, squares } = sums;
    const loss = sums.loss / count;
    const accuracy = sums.hits / count;
    switch (metricOf(data)) {
      case 'perplexity':
        return { loss, accuracy, perplexity: Math.exp(loss) };
      case 'f1':
        return { loss, accuracy, f1: spanMetrics(sums.predicted, sums.tags)['f1']! };
      case 'r2':
        return { loss, r2: 1 - sums.loss / (squares - values ** 2 / count) };
      default:
        return { loss, accuracy };
    }
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

/** Sums over the rows of a dataset. */
interface Sums {
  loss: number;
  hits: number;
  count: number;
  /** Of what outputs should be. */
  values: number;
  squares: number;
  /** Of examples with several rows (words of a sentence): classes by name, what was said and what is right. */
  readonly predicted: string[][];
  readonly tags: string[][];
}

/** Cross-entropy of logits [rows, classes] with the rows' classes. */
function addClasses(sums: Sums, logits: Float32Array, { labels, size }: HostBatch, names: readonly string[]): void {
  const classes = logits.length / labels.length;
  const rowsEach = labels.length / size;
  for (const [row, label] of labels.entries()) {
    if (row % rowsEach === 0) {
      sums.predicted.push([]);
      sums.tags.push([]);
    }
    if (label < 0) continue;
    const values = logits.subarray(row * classes, (row + 1) * classes);
    let best = 0;
    for (let i = 1; i < classes; i++) if (values[i]! > values[best]!) best = i;
    let sum = 0;
    for (const value of values) sum += Math.exp(value - values[best]!);
    sums.loss += Math.log(sum) + values[best]! - values[label]!;
    sums.hits += best === label ? 1 : 0;
    sums.count++;
    if (names.length === 0) continue;
    sums.predicted.at(-1)!.push(names[best]!);
    sums.tags.at(-1)!.push(names[label]!);
  }
}

/** Binary cross-entropy, or squared distance, of each output by itself. */
function addValues(sums: Sums, logits: Float32Array, values: Float32Array, problem: TaskData['problem']): void {
  for (const [at, value] of values.entries()) {
    const z = logits[at]!;
    const isRegression = problem === 'regression';
    sums.loss += isRegression ? (z - value) ** 2 : Math.max(z, 0) - z * value + Math.log1p(Math.exp(-Math.abs(z)));
    sums.hits += z > 0 === value >= 0.5 ? 1 : 0;
    sums.count++;
    sums.values += value;
    sums.squares += value ** 2;
  }
}
