// One measured prefill of a long text: time, perplexity, attention mass kept, peak memory.
import * as tf from '@tensorflow/tfjs';
import type { BlockMask, KvCache, ModelAttention, ModelCache, PreparedAttention } from '@hip/attention';
import { massRecall, type HipConfig } from '@hip/mask-search';
import { nextTokenLoss, SupernetError, type AttentionFunction, type ElasticModel } from '@instatune/supernet';
import type { Pass } from './state.ts';

/** Tokens run through the layers at once. */
export const CHUNK = 4096;
/** Rows of logits that exist at once. */
const LOGIT_ROWS = 1024;
/** Rows per layer whose attention mass is compared with dense attention: it costs O(T) each, in float64. */
const RECALL_ROWS = 8;
/** Turns of the event loop, each a millisecond longer, to wait for a mask from the GPU. */
const MASK_TURNS = 60;

export interface PrefillRun {
  readonly model: ElasticModel;
  /** The tokens, and the next one where there is one. */
  readonly ids: Int32Array;
  readonly tokens: number;
  readonly attend: ModelAttention;
  /** What `attend` searches with; absent: dense. */
  readonly config?: Partial<HipConfig>;
  /** The newest mask of each layer, as `attend` finds them (on a GPU some time after the call). */
  readonly masks: ReadonlyMap<number, BlockMask>;
  readonly prepared: PreparedAttention;
  readonly cache: KvCache | ModelCache;
  readonly signal: AbortSignal;
  /** Tokens run through the layers at once. @defaultValue CHUNK */
  readonly chunk?: number;
  readonly onProgress: (tokens: number) => void;
}

/** What one attention call of the last chunk saw. */
interface Seen {
  readonly layer: number;
  readonly scale: number;
  readonly q: tf.Tensor4D;
}

/** Runs the prefill into the cache. What is measured beside time (loss, recall) is outside the time. */
export async function measurePrefill(run: PrefillRun): Promise<Pass> {
  const { model, ids, tokens, cache, signal, chunk = CHUNK } = run;
  const isSync = run.prepared.backend !== 'webgpu';
  const seen: Seen[] = [];
  const keys = new Map<number, tf.Tensor4D[]>();
  let [ms, attentionMs, bytes, loss, kept] = [0, 0, 0, 0, 0];
  let isLast = false;
  const attention: AttentionFunction = (q, k, v, context) => {
    const start = performance.now();
    const out = run.attend(q, k, v, context);
    attentionMs += performance.now() - start;
    bytes = Math.max(bytes, tf.memory().numBytes - kept + kernelBytes(q, run));
    if (run.config) {
      // References, not copies. A cache that is read in place gives the new keys, another one all of them.
      const earlier = k.shape[1] > q.shape[1] ? [] : (keys.get(context.layer) ?? []);
      if (earlier.length === 0) tf.dispose(keys.get(context.layer) ?? []);
      keys.set(context.layer, [...earlier, tf.keep(k.clone())]);
      if (run.prepared.cpu) kept += 4 * k.size;
      if (isLast) seen.push({ layer: context.layer, scale: context.scale, q: tf.keep(q.clone()) });
    }
    return out;
  };
  try {
    for (let first = 0; first < tokens; first += chunk) {
      if (signal.aborted) throw new SupernetError('aborted', 'the long-context run was aborted');
      const count = Math.min(chunk, tokens - first);
      isLast = first + count === tokens;
      const start = performance.now();
      const hidden = tf.tidy(() => {
        const inputIds = tf.tensor2d(ids.slice(first, first + count), [1, count], 'int32');
        const { logits } = model.forward({ inputIds }, { cache, attention, logits: 'hidden' });
        return logits.reshape<tf.Tensor2D>([count, -1]);
      });
      // A GPU is done when something can be read.
      if (!isSync) await tf.tidy(() => hidden.sum()).data();
      ms += performance.now() - start;
      loss += await summedLoss(model, hidden, ids, first);
      hidden.dispose();
      run.onProgress(first + count);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return {
      ms,
      ...(isSync && { attentionMs }),
      perplexity: Math.exp(loss / Math.min(tokens, ids.length - 1)),
      bytes,
      ...(run.config && { recall: await meanRecall(seen, keys, run, run.config) }),
    };
  } finally {
    tf.dispose([...seen.map(({ q }) => q), ...[...keys.values()].flat()]);
  }
}

/** Memory of the attention kernels themselves during this call: all layers' keys and values, the mask, scratch. */
function kernelBytes(q: tf.Tensor4D, { prepared, config, model, cache, tokens }: PrefillRun): number {
  if (!prepared.cpu) return 0;
  const [batch, queries, heads, headDim] = q.shape;
  const shape = { batch, queries, keys: tokens, heads, kvHeads: model.config.kvHeads, headDim };
  const { total, pages, envelopes } = prepared.cpu.plan(shape, config);
  return cache.bytes + total - pages - envelopes;
}

/** Σ −log p(next token) over the rows that have a next token. */
async function summedLoss(model: ElasticModel, hidden: tf.Tensor2D, ids: Int32Array, first: number): Promise<number> {
  const rows = Math.min(hidden.shape[0], ids.length - 1 - first);
  let total = 0;
  for (let row = 0; row < rows; row += LOGIT_ROWS) {
    const count = Math.min(LOGIT_ROWS, rows - row);
    const sum = tf.tidy(() => {
      const logits = model.languageLogits(tf.slice2d(hidden, [row, 0], [count, hidden.shape[1]]));
      const next = first + row + 1;
      return nextTokenLoss(logits, tf.tensor1d(ids.slice(next, next + count), 'int32')).sum();
    });
    total += (await sum.data())[0]!;
    sum.dispose();
  }
  return total;
}

/** Attention mass the last chunk's masks keep, on a few evenly spaced rows; layers that ran dense keep all of it. */
async function meanRecall(
  seen: readonly Seen[],
  keys: ReadonlyMap<number, readonly tf.Tensor4D[]>,
  { masks, tokens }: PrefillRun,
  { denseLayers = 0 }: Partial<HipConfig>,
): Promise<number> {
  let total = 0;
  for (const { layer, scale, q } of seen) {
    const parts = keys.get(layer)!;
    const mask = layer < denseLayers ? undefined : await maskOf(layer, masks, tokens);
    const [batch, queries, heads, headDim] = q.shape;
    const shape = { batch, queries, keys: tokens, heads, kvHeads: parts[0]!.shape[2], headDim };
    const count = Math.min(RECALL_ROWS, queries);
    const rows = Array.from({ length: count }, (_, i) => Math.floor(((i + 1) * queries) / count) - 1);
    const k = tf.concat([...parts], 1);
    const [qs, ks] = (await Promise.all([q.data(), k.data()])) as [Float32Array, Float32Array];
    k.dispose();
    total += mask ? massRecall(qs, ks, shape, mask, { scale, rows }) : 1;
  }
  return seen.length === 0 ? 1 : total / seen.length;
}

/** The layer's mask over all the tokens, waiting for a GPU to hand it over; undefined where the layer does not search. */
async function maskOf(
  layer: number,
  masks: ReadonlyMap<number, BlockMask>,
  tokens: number,
): Promise<BlockMask | undefined> {
  for (let turn = 0; turn < MASK_TURNS; turn++) {
    const mask = masks.get(layer);
    if (mask?.keys === tokens) return mask;
    await new Promise((resolve) => setTimeout(resolve, turn));
  }
  return undefined;
}
