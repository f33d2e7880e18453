// Long inputs in chunks: every layer attends over a growing cache, logits exist only for a few rows at a time.
import * as tf from '@tensorflow/tfjs';
import { positiveInteger } from '../counts.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { trimUnusedBuffers } from '../webgpu/pool.ts';
import { ConcatKeyValueCache } from './cache.ts';
import { workOn } from './cache-guard.ts';
import { checkIds } from './input-checks.ts';
import type { AttentionFunction, ElasticModel, KeyValueCache } from './types.ts';

/** Options of {@link prefill} and {@link tokenLosses}. */
export interface PrefillOptions {
  /** @defaultValue dense attention */
  readonly attention?: AttentionFunction | undefined;
  readonly subnet?: SubnetConfig | undefined;
  /** Tokens run through the layers at once (sparse attention likes long chunks; memory grows with them). @defaultValue 1024 */
  readonly chunkTokens?: number | undefined;
  /** Rows of logits that exist at once. @defaultValue 1024 */
  readonly logitRows?: number | undefined;
  /** Cache to fill (continues where it stands). @defaultValue a new one, disposed at the end of `tokenLosses` */
  readonly cache?: KeyValueCache | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly tokens: number; readonly total: number }) => void) | undefined;
}

/** What {@link prefill} calls with the logits [rows, vocab] of tokens start … start + rows − 1; disposed afterwards. */
export type ChunkFunction = (chunk: { readonly start: number; readonly logits: tf.Tensor2D }) => void | Promise<void>;

/**
 * Runs a long token sequence through a causal model chunk by chunk. Memory: the cache, one chunk's activations and one chunk's
 * logits; with an external attention function no T×T matrix exists. Without `onChunk` no logits are computed except those of the
 * last token, which are returned. How long a chunk is does not change them. What fails or is aborted leaves the cache as it was.
 *
 * @returns logits [vocab] of the last token; the caller disposes.
 * @throws SupernetError `invalid-input` (no tokens, an id that is no token, a cache in use), `invalid-option`, `unsupported-model`
 * (not causal), `aborted`
 *
 * @example
 * ```ts
 * const cache = new ConcatKeyValueCache();
 * const logits = await prefill(model, tokenizer.encode('It was a dark and stormy night'), cache, { chunkTokens: 4 });
 * console.log(logits.shape); // => [ 4096 ]
 * logits.dispose();
 * cache.dispose();
 * ```
 */
export async function prefill(
  model: ElasticModel,
  ids: readonly number[] | Int32Array,
  cache: KeyValueCache,
  options: Omit<PrefillOptions, 'cache'> = {},
  onChunk?: ChunkFunction,
): Promise<tf.Tensor1D> {
  return workOn(cache, () => runPrompt(model, ids, cache, options, onChunk));
}

/** {@link prefill} for whoever holds the cache. */
export async function runPrompt(
  model: ElasticModel,
  ids: readonly number[] | Int32Array,
  cache: KeyValueCache,
  options: Omit<PrefillOptions, 'cache'> = {},
  onChunk?: ChunkFunction,
): Promise<tf.Tensor1D> {
  requireCausal(model);
  if (ids.length === 0) throw new SupernetError('invalid-input', 'prefill needs at least one token');
  checkIds(model.config, 'ids', ids);
  const size = positiveInteger('chunkTokens', options.chunkTokens ?? 1024);
  const logitRows = positiveInteger('logitRows', options.logitRows ?? 1024);
  const sequenceTokens = cache.length + ids.length;
  let last: tf.Tensor1D | undefined;
  for (let start = 0; start < ids.length; start += size) {
    throwIfAborted(options.signal, 'prefill');
    const chunk = Int32Array.from(ids.slice(start, start + size));
    const isLast = start + chunk.length === ids.length;
    const result = tf.tidy(() => {
      const { logits } = model.forward(
        { inputIds: tf.tensor2d(chunk, [1, chunk.length], 'int32') },
        {
          cache,
          sequenceTokens,
          logits: onChunk ? 'hidden' : isLast ? 'last' : 'none',
          ...(options.attention && { attention: options.attention }),
          ...(options.subnet && { subnet: options.subnet }),
        },
      );
      return tf.reshape(logits, [-1, logits.shape[2] as number]) as tf.Tensor2D;
    });
    try {
      if (isLast) last = tf.tidy(() => lastLogits(model, result, onChunk !== undefined));
      if (onChunk) await visitLogits(model, result, start, logitRows, onChunk);
    } catch (error) {
      last?.dispose();
      throw error;
    } finally {
      result.dispose();
    }
    // The cache has outgrown the buffers that it had before.
    trimUnusedBuffers();
    options.onProgress?.({ tokens: start + chunk.length, total: ids.length });
    // Give timers and the abort signal a turn on synchronous backends.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return last as tf.Tensor1D;
}

/** Logits of the last row, from the hidden state or from logits of one row. */
function lastLogits(model: ElasticModel, result: tf.Tensor2D, isHidden: boolean): tf.Tensor1D {
  const [rows, columns] = result.shape;
  const row = tf.slice2d(result, [rows - 1, 0], [1, columns]);
  return (isHidden ? model.languageLogits(row) : row).as1D();
}

async function visitLogits(
  model: ElasticModel,
  hidden: tf.Tensor2D,
  start: number,
  logitRows: number,
  onChunk: ChunkFunction,
): Promise<void> {
  const [length, width] = hidden.shape;
  for (let row = 0; row < length; row += logitRows) {
    const count = Math.min(logitRows, length - row);
    const logits = tf.tidy(() => model.languageLogits(tf.slice2d(hidden, [row, 0], [count, width])));
    try {
      await onChunk({ start: start + row, logits });
    } finally {
      logits.dispose();
    }
  }
}

/**
 * Next-token losses in nats: element i is −log p(ids[i + 1] | ids[0…i]); length T − 1. Perplexity is exp of their mean.
 *
 * @throws SupernetError as {@link prefill} does; `non-finite` naming the first token whose loss is no finite number
 *
 * @example
 * ```ts
 * const losses = await tokenLosses(model, tokenizer.encode(text), { chunkTokens: 2048 });
 * const perplexity = Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
 * ```
 */
export async function tokenLosses(
  model: ElasticModel,
  ids: readonly number[] | Int32Array,
  options: PrefillOptions = {},
): Promise<Float32Array> {
  const losses = new Float32Array(Math.max(0, ids.length - 1));
  const cache = options.cache ?? new ConcatKeyValueCache();
  try {
    const last = await prefill(model, ids, cache, options, async ({ start, logits }) => {
      const rows = Math.min(logits.shape[0], losses.length - start);
      if (rows <= 0) return;
      const values = tf.tidy(() => {
        const kept = tf.slice2d(logits, [0, 0], [rows, logits.shape[1]]);
        const targets = tf.tensor1d(Int32Array.from(ids.slice(start + 1, start + 1 + rows)), 'int32');
        return nextTokenLoss(kept, targets);
      });
      const numbers = (await values.data()) as Float32Array;
      values.dispose();
      requireFiniteLosses(numbers, start);
      losses.set(numbers, start);
    });
    last.dispose();
  } finally {
    if (!options.cache) cache.dispose();
  }
  return losses;
}

function requireFiniteLosses(losses: Float32Array, start: number): void {
  const at = losses.findIndex((loss) => !Number.isFinite(loss));
  if (at < 0) return;
  const [token, loss] = [start + at + 1, losses[at]];
  const message = `the loss of token ${token} is ${loss}: the logits before it are not finite; load the checkpoint again or one before they were`;
  throw new SupernetError('non-finite', message, { token, loss });
}

/** log Σ exp(logits) − logits[target] per row in nats, stable; logits [N, V], targets [N] int32 → [N]. */
export function nextTokenLoss(logits: tf.Tensor2D, targets: tf.Tensor1D): tf.Tensor1D {
  const [rows, vocab] = logits.shape;
  const flat = tf.reshape(logits, [rows * vocab]) as tf.Tensor1D;
  const at = tf.add(tf.mul(tf.range(0, rows, 1, 'int32'), tf.scalar(vocab, 'int32')), targets) as tf.Tensor1D;
  const max = tf.max(logits, 1, true);
  const logSum = tf.add(tf.log(tf.sum(tf.exp(tf.sub(logits, max)), 1)), tf.squeeze(max, [1]));
  return tf.sub(logSum, tf.gather(flat, at)) as tf.Tensor1D;
}

/** Throws unless the model is a causal language model. */
export function requireCausal(model: ElasticModel): void {
  if (model.config.head !== 'causal-lm') {
    throw new SupernetError(
      'unsupported-model',
      `a ${model.family} model with head ${model.config.head} is no causal language model`,
      { family: model.family, head: model.config.head },
    );
  }
}
