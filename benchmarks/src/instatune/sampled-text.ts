// Windows of text that language models write themselves: more to distil from than the books at hand.
import * as tf from '@tensorflow/tfjs';
import {
  deriveSeed,
  SeededRandom,
  shuffledIndices,
  textWindows,
  type Dataset,
  type ElasticModel,
} from '@instatune/supernet';
import { DecodeCache } from './decode-cache.ts';

export interface SampleOptions {
  /** Windows to write. */
  readonly windows: number;
  /** Tokens of a window that are a training window's own. */
  readonly prompt: number;
  /** Windows written at once. @defaultValue 1024 */
  readonly batch?: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** The windows of `train` and, after them, windows that start as one of these and go on as the models say together. */
export async function withSampledWindows(
  models: readonly ElasticModel[],
  train: Dataset,
  { windows, prompt, batch = 1024, seed, signal }: SampleOptions,
): Promise<Dataset> {
  const random = new SeededRandom(deriveSeed(seed, 0x73616d));
  const { tokens: own, length } = await tokensOf(train);
  const stride = length + 1;
  const tokens = new Int32Array((train.length + windows) * stride);
  tokens.set(own);
  for (let done = 0; done < windows; done += batch) {
    signal.throwIfAborted();
    const rows = Math.min(batch, windows - done);
    const chosen = shuffledIndices(train.length, random);
    const prompts = new Int32Array(rows * prompt);
    for (let row = 0; row < rows; row++) {
      const from = (chosen[row % chosen.length] as number) * stride;
      prompts.set(own.subarray(from, from + prompt), row * prompt);
    }
    const written = await continueAll(models, prompts, { rows, prompt, length: stride, random });
    tokens.set(written, (train.length + done) * stride);
  }
  return textWindows(tokens, { length, stride });
}

/** [rows, prompt] → [rows, length], each token drawn from the mean of the models' distributions (temperature 1). */
async function continueAll(
  models: readonly ElasticModel[],
  prompts: Int32Array,
  options: { readonly rows: number; readonly prompt: number; readonly length: number; readonly random: SeededRandom },
): Promise<Int32Array> {
  const { rows, prompt, length, random } = options;
  const caches = models.map(() => new DecodeCache({ body: length, tail: prompt }));
  const columns: tf.Tensor2D[] = [tf.tensor2d(prompts, [rows, prompt], 'int32')];
  try {
    while (columns.length <= length - prompt) {
      const draws = tf.tensor2d(
        Float32Array.from({ length: rows }, () => random.next()),
        [rows, 1],
      );
      columns.push(
        tf.tidy(() => {
          const inputIds = columns.at(-1)!;
          const says = models.map((model, index) => {
            const cache = caches[index]!;
            const { logits } = model.forward({ inputIds }, { cache, attention: cache.attention, logits: 'last' });
            return tf.softmax(tf.reshape(logits, [rows, logits.shape.at(-1) as number]));
          });
          const mean = says.length === 1 ? says[0]! : tf.div(tf.addN(says), says.length);
          const vocabulary = mean.shape[1] as number;
          const below = tf.cumsum(mean, 1);
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
    for (const cache of caches) cache.dispose();
  }
}

/** Windows as rows of length + 1 tokens: the inputs, and the last label. */
async function tokensOf(data: Dataset): Promise<{ readonly tokens: Int32Array; readonly length: number }> {
  const { inputIds, labels } = await data.batch(Array.from({ length: data.length }, (_, i) => i));
  if (!inputIds) throw new Error('sampling needs windows of token ids');
  const [rows, length] = inputIds.shape as [number, number];
  const tokens = new Int32Array(rows * (length + 1));
  for (let row = 0; row < rows; row++) {
    tokens.set(inputIds.data.subarray(row * length, (row + 1) * length), row * (length + 1));
    tokens[row * (length + 1) + length] = labels[(row + 1) * length - 1] as number;
  }
  return { tokens, length };
}
