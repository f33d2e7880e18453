// One prefill of the long document with dense attention and one with HiP: time, perplexity and recall at every length on the way.
import * as tf from '@tensorflow/tfjs';
import { denseModelAttention, hipModelAttention, KvCache, type BlockMask, type ModelAttention, type PreparedAttention } from '@hip/attention';
import { massRecall } from '@hip/mask-search';
import { generate, prefill, type AttentionFunction, type ElasticModel } from '@instatune/supernet';
import type { DemoOptions } from './options.ts';
import type { LongContextRow } from './result.ts';

/** Tokens run through the layers at once; divides every default length. */
const CHUNK = 4096;
/** Rows per layer whose attention mass is compared with dense attention. */
const RECALL_ROWS = 8;

/** Cumulative figures of one pass at one length. A causal prefill of T tokens is the first T tokens of a longer one. */
interface Mark {
  readonly tokens: number;
  readonly ms: number;
  readonly attentionMs: number;
  readonly perplexity: number;
  readonly recall: number;
}

export interface LongContextProgress {
  readonly kind: 'dense' | 'hip';
  readonly tokens: number;
  readonly total: number;
}

export interface LongContextRun {
  readonly rows: readonly LongContextRow[];
  /** Mask of the last layer over the first chunk. */
  readonly mask: BlockMask | undefined;
}

function config(options: DemoOptions): { k: number; denseLayers: number } {
  return { k: options.longContext.k, denseLayers: options.longContext.denseLayers };
}

/**
 * @param ids at least as many as the longest length
 */
export async function runLongContext(
  model: ElasticModel,
  ids: Int32Array,
  options: DemoOptions,
  attention: PreparedAttention,
  signal: AbortSignal,
  onProgress: (progress: LongContextProgress) => void,
): Promise<LongContextRun> {
  const { lengths } = options.longContext;
  let picture: BlockMask | undefined;
  const dense = await pass(model, ids, lengths, denseModelAttention(), signal, (tokens, total) => onProgress({ kind: 'dense', tokens, total }));
  const seen: { mask?: BlockMask } = {};
  const hip = hipModelAttention({
    config: config(options),
    dense: 'never',
    onMask: (mask, layer) => {
      seen.mask = mask;
      if (layer === model.config.layers - 1) picture ??= mask;
    },
  });
  const sparse = await pass(model, ids, lengths, hip, signal, (tokens, total) => onProgress({ kind: 'hip', tokens, total }), seen);
  const { heads, kvHeads, headSize } = model.config;
  const rows = lengths.map((tokens, i): LongContextRow => {
    const [d, h] = [dense[i]!, sparse[i]!];
    const shape = { batch: 1, queries: Math.min(CHUNK, tokens), keys: tokens, heads, kvHeads, headDim: headSize };
    const working = (c?: object): number => {
      const plan = attention.cpu?.plan(shape, c);
      return plan ? plan.total - plan.tensors : 0;
    };
    return {
      tokens,
      denseMs: d.ms,
      hipMs: h.ms,
      denseAttentionMs: d.attentionMs,
      hipAttentionMs: h.attentionMs,
      denseTokensPerSecond: tokens / (d.ms / 1000),
      hipTokensPerSecond: tokens / (h.ms / 1000),
      densePpl: d.perplexity,
      hipPpl: h.perplexity,
      massRecall: h.recall,
      denseBytes: working(),
      hipBytes: working(config(options)),
      materializedBytes: 4 * heads * tokens * tokens,
    };
  });
  return { rows, mask: picture };
}

async function pass(
  model: ElasticModel,
  ids: Int32Array,
  lengths: readonly number[],
  attend: ModelAttention,
  signal: AbortSignal,
  onProgress: (tokens: number, total: number) => void,
  seen?: { mask?: BlockMask },
): Promise<Mark[]> {
  const total = lengths.at(-1)!;
  const marks: Mark[] = [];
  let attentionMs = 0;
  let aside = 0;
  const recalls: number[] = [];
  const timed: AttentionFunction = (q, k, v, context) => {
    delete seen?.mask;
    const start = performance.now();
    const out = attend(q, k, v, context);
    attentionMs += performance.now() - start;
    if (seen?.mask) {
      const begin = performance.now();
      recalls.push(recallOf(q, k, seen.mask, context.scale));
      aside += performance.now() - begin;
    }
    return out;
  };
  let loss = 0;
  const cache = new KvCache();
  const start = performance.now();
  try {
    const last = await prefill(model, ids.subarray(0, total), cache, { attention: timed, chunkTokens: CHUNK, signal }, async ({ start: first, logits }) => {
      const begin = performance.now();
      loss += await summedLoss(logits, ids, first, total);
      aside += performance.now() - begin;
      const tokens = first + logits.shape[1];
      onProgress(tokens, total);
      if (lengths.includes(tokens)) {
        const recall = recalls.length === 0 ? 1 : recalls.reduce((sum, value) => sum + value, 0) / recalls.length;
        const targets = Math.min(tokens, total - 1);
        marks.push({ tokens, ms: performance.now() - start - aside, attentionMs, perplexity: Math.exp(loss / targets), recall });
      }
      recalls.length = 0;
    });
    last.dispose();
  } finally {
    cache.dispose();
  }
  return marks;
}

/** Sum of −log p(next token) over a chunk's positions that have a next token. */
async function summedLoss(logits: tf.Tensor3D, ids: Int32Array, first: number, total: number): Promise<number> {
  const rows = Math.min(logits.shape[1], total - 1 - first);
  if (rows <= 0) return 0;
  const sum = tf.tidy(() => {
    const vocab = logits.shape[2];
    const flat = tf.slice(logits, [0, 0, 0], [1, rows, vocab]).reshape([rows, vocab]);
    const targets = tf.tensor1d(ids.slice(first + 1, first + 1 + rows), 'int32');
    const at = tf.range(0, rows, 1, 'int32').mul(tf.scalar(vocab, 'int32')).add(targets);
    return tf.logSumExp(flat, 1).sub(flat.reshape([rows * vocab]).gather(at.toInt() as tf.Tensor1D)).sum();
  });
  const [value] = await sum.data();
  sum.dispose();
  return value!;
}

/** Attention mass the mask keeps, on a few evenly spaced rows of the chunk. */
function recallOf(q: tf.Tensor4D, k: tf.Tensor4D, mask: BlockMask, scale: number): number {
  const [batch, queries, heads, headDim] = q.shape;
  const shape = { batch, queries, keys: k.shape[1], heads, kvHeads: k.shape[2], headDim };
  const rows = Array.from({ length: RECALL_ROWS }, (_, i) => Math.floor(((i + 1) * queries) / RECALL_ROWS) - 1);
  return massRecall(q.dataSync() as Float32Array, k.dataSync() as Float32Array, shape, mask, { scale, rows });
}

/** Continues a prompt with HiP attention. */
export async function continueText(
  model: ElasticModel,
  prompt: Int32Array,
  options: DemoOptions,
  signal: AbortSignal,
): Promise<{ readonly ids: number[]; readonly msPerToken: number }> {
  const cache = new KvCache();
  try {
    let first = 0;
    let last = 0;
    const ids = await generate(model, prompt, {
      maxTokens: options.longContext.generate,
      attention: hipModelAttention({ config: config(options) }),
      cache,
      chunkTokens: CHUNK,
      temperature: 0.8,
      topK: 40,
      seed: options.seed,
      stopIds: [],
      signal,
      onToken: () => {
        last = performance.now();
        first ||= last;
      },
    });
    return { ids, msPerToken: ids.length > 1 ? (last - first) / (ids.length - 1) : 0 };
  } finally {
    cache.dispose();
  }
}
