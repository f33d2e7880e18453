// Windows of text that a language model writes itself: more to distil from than the books at hand.
import * as tf from '@tensorflow/tfjs';
import {
  ConcatKeyValueCache,
  deriveSeed,
  SeededRandom,
  shuffledIndices,
  type Dataset,
  type ElasticModel,
} from '@instatune/supernet';

export interface SampleOptions {
  /** Windows to write. */
  readonly windows: number;
  /** Tokens of a window that are a training window's own. */
  readonly prompt: number;
  /** Windows written at once. @defaultValue 512 */
  readonly batch?: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

interface Windows {
  readonly length: number;
  /** Inputs and labels, each [N, length]. */
  readonly inputs: Int32Array;
  readonly labels: Int32Array;
}

/** The windows of `train` and, after them, windows that start as one of these and go on as the model says. */
export async function withSampledWindows(
  model: ElasticModel,
  train: Dataset,
  { windows, prompt, batch = 512, seed, signal }: SampleOptions,
): Promise<Dataset> {
  const own = await allWindows(train);
  const random = new SeededRandom(deriveSeed(seed, 0x73616d));
  const parts: Windows[] = [own];
  const { length } = own;
  for (let done = 0; done < windows; done += batch) {
    signal.throwIfAborted();
    const rows = Math.min(batch, windows - done);
    const chosen = shuffledIndices(train.length, random);
    const prompts = new Int32Array(rows * prompt);
    for (let row = 0; row < rows; row++) {
      const from = (chosen[row % chosen.length] as number) * length;
      prompts.set(own.inputs.subarray(from, from + prompt), row * prompt);
    }
    const tokens = await continueAll(model, prompts, { rows, prompt, length: length + 1, random });
    parts.push(shifted(tokens, rows, length));
  }
  return dataset(parts, length);
}

/** [rows, prompt] → [rows, length], each token drawn from the model's distribution (temperature 1). */
async function continueAll(
  model: ElasticModel,
  prompts: Int32Array,
  options: { readonly rows: number; readonly prompt: number; readonly length: number; readonly random: SeededRandom },
): Promise<Int32Array> {
  const { rows, prompt, length, random } = options;
  const cache = new ConcatKeyValueCache();
  const columns: tf.Tensor2D[] = [tf.tensor2d(prompts, [rows, prompt], 'int32')];
  try {
    while (columns.length <= length - prompt) {
      const draws = tf.tensor2d(
        Float32Array.from({ length: rows }, () => random.next()),
        [rows, 1],
      );
      columns.push(
        tf.tidy(() => {
          const { logits } = model.forward({ inputIds: columns.at(-1)! }, { cache, logits: 'last' });
          const vocabulary = logits.shape.at(-1) as number;
          const below = tf.cumsum(tf.softmax(tf.reshape(logits, [rows, vocabulary])), 1);
          // The first token whose cumulative probability reaches the draw.
          const ids = tf.sum(tf.cast(tf.less(below, draws), 'int32'), 1, true);
          return tf.minimum(ids, tf.scalar(vocabulary - 1, 'int32')) as tf.Tensor2D;
        }),
      );
      draws.dispose();
    }
    const all = tf.concat(columns, 1);
    const tokens = Int32Array.from(await all.data());
    all.dispose();
    return tokens;
  } finally {
    tf.dispose(columns);
    cache.dispose();
  }
}

async function allWindows(data: Dataset): Promise<Windows> {
  const { inputIds, labels } = await data.batch(Array.from({ length: data.length }, (_, i) => i));
  if (!inputIds) throw new Error('sampling needs windows of token ids');
  return { length: inputIds.shape[1] as number, inputs: inputIds.data, labels };
}

/** Tokens [rows, length + 1] → inputs and labels [rows, length]. */
function shifted(tokens: Int32Array, rows: number, length: number): Windows {
  const inputs = new Int32Array(rows * length);
  const labels = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    const from = row * (length + 1);
    inputs.set(tokens.subarray(from, from + length), row * length);
    labels.set(tokens.subarray(from + 1, from + 1 + length), row * length);
  }
  return { length, inputs, labels };
}

function dataset(parts: readonly Windows[], length: number): Dataset {
  const join = (name: 'inputs' | 'labels') => {
    const whole = new Int32Array(parts.reduce((sum, part) => sum + part[name].length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part[name], at);
      at += part[name].length;
    }
    return whole;
  };
  const [inputs, labels] = [join('inputs'), join('labels')];
  const rows = (values: Int32Array, indices: readonly number[]) => {
    const out = new Int32Array(indices.length * length);
    for (const [row, index] of indices.entries())
      out.set(values.subarray(index * length, (index + 1) * length), row * length);
    return out;
  };
  return {
    length: inputs.length / length,
    batch: (indices) => ({
      size: indices.length,
      inputIds: { shape: [indices.length, length], data: rows(inputs, indices) },
      labels: rows(labels, indices),
    }),
  };
}
