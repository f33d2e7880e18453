// One measured prefill of a long text: time, perplexity, attention mass kept, peak memory.
import * as tf from '@tensorflow/tfjs';
import { KvCache, type BlockMask, type ModelAttention, type PreparedAttention } from '@hip/attention';
import { massRecall, type HipConfig } from '@hip/mask-search';
import { SupernetError, type AttentionFunction, type ElasticModel } from '@instatune/supernet';
import type { Pass } from './state.ts';

/** Tokens run through the layers at once. */
export const CHUNK = 4096;
/** Rows of logits that exist at once. */
const LOGIT_ROWS = 1024;
/** Rows per layer whose attention mass is compared with dense attention: it costs O(T) each, in float64. */
const RECALL_ROWS = 8;

export interface PrefillRun {
  readonly model: ElasticModel;
  /** The tokens, and the next one where there is one. */
  readonly ids: Int32Array;
  readonly tokens: number;
  readonly attend: ModelAttention;
  /** What `attend` searches with; absent: dense. */
  readonly config?: Partial<HipConfig>;
  /** The mask of the attention call that has just returned, if it searched. Read once. */
  readonly takeMask: () => BlockMask | undefined;
  readonly prepared: PreparedAttention;
  readonly cache: KvCache;
  readonly signal: AbortSignal;
  readonly onProgress: (tokens: number) => void;
}

/** Runs the prefill into the cache. What is measured beside time (loss, recall) is outside the time. */
export async function measurePrefill(run: PrefillRun): Promise<Pass> {
  const { model, ids, tokens, cache, signal } = run;
  const isSync = run.prepared.backend !== 'webgpu';
  const figures = { attentionMs: 0, aside: 0, bytes: 0, recalls: [] as number[] };
  let isLast = false;
  const attention: AttentionFunction = (q, k, v, context) => {
    const start = performance.now();
    const out = run.attend(q, k, v, context);
    figures.attentionMs += performance.now() - start;
    const begin = performance.now();
    figures.bytes = Math.max(figures.bytes, tf.memory().numBytes + kernelBytes(q, k, run));
    const mask = run.takeMask();
    if (mask && isLast && isSync) figures.recalls.push(recallOf(q, k, mask, context.scale));
    figures.aside += performance.now() - begin;
    return out;
  };
  let ms = 0;
  let loss = 0;
  for (let first = 0; first < tokens; first += CHUNK) {
    if (signal.aborted) throw new SupernetError('aborted', 'the long-context run was aborted');
    const count = Math.min(CHUNK, tokens - first);
    isLast = first + count === tokens;
    figures.aside = 0;
    const start = performance.now();
    const hidden = tf.tidy(() => {
      const inputIds = tf.tensor2d(ids.slice(first, first + count), [1, count], 'int32');
      return model
        .forward({ inputIds }, { cache, attention, logits: 'hidden' })
        .logits.reshape([count, -1]) as tf.Tensor2D;
    });
    // A GPU is done when something can be read.
    if (!isSync) await tf.tidy(() => hidden.sum()).data();
    ms += performance.now() - start - figures.aside;
    loss += await summedLoss(model, hidden, ids, first);
    hidden.dispose();
    run.onProgress(first + count);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const { recalls } = figures;
  return {
    ms,
    ...(isSync && { attentionMs: figures.attentionMs }),
    perplexity: Math.exp(loss / Math.min(tokens, ids.length - 1)),
    bytes: figures.bytes,
    ...(run.config && {
      recall: recalls.length === 0 ? 1 : recalls.reduce((sum, value) => sum + value, 0) / recalls.length,
    }),
  };
}

/** Memory of the attention kernels themselves during this call: packed keys and values, mask, scratch. */
function kernelBytes(q: tf.Tensor4D, k: tf.Tensor4D, { prepared, config }: PrefillRun): number {
  const [batch, queries, heads, headDim] = q.shape;
  const shape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
  return prepared.cpu?.plan(shape, config).total ?? 0;
}

/** Σ −log p(next token) over the rows that have a next token. */
async function summedLoss(model: ElasticModel, hidden: tf.Tensor2D, ids: Int32Array, first: number): Promise<number> {
  const rows = Math.min(hidden.shape[0], ids.length - 1 - first);
  let total = 0;
  for (let row = 0; row < rows; row += LOGIT_ROWS) {
    const count = Math.min(LOGIT_ROWS, rows - row);
    const sum = tf.tidy(() => {
      const logits = model.languageLogits(tf.slice2d(hidden, [row, 0], [count, hidden.shape[1]]));
      const vocabulary = logits.shape[1];
      const targets = Int32Array.from({ length: count }, (_, i) => i * vocabulary + ids[first + row + i + 1]!);
      const picked = tf.gather(logits.reshape([count * vocabulary]), tf.tensor1d(targets, 'int32'));
      return tf.sub(tf.logSumExp(logits, 1), picked).sum();
    });
    total += (await sum.data())[0]!;
    sum.dispose();
  }
  return total;
}

/** Attention mass the mask keeps, on a few evenly spaced rows of the chunk. */
function recallOf(q: tf.Tensor4D, k: tf.Tensor4D, mask: BlockMask, scale: number): number {
  const [batch, queries, heads, headDim] = q.shape;
  const shape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
  const rows = Array.from(
    { length: Math.min(RECALL_ROWS, queries) },
    (_, i) => Math.floor(((i + 1) * queries) / Math.min(RECALL_ROWS, queries)) - 1,
  );
  return massRecall(q.dataSync() as Float32Array, k.dataSync() as Float32Array, shape, mask, { scale, rows });
}
