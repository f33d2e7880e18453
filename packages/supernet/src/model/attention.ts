// Dense attention in tfjs: grouped queries without repeating keys, bottom-right causal, in row blocks of bounded memory.
import * as tf from '@tensorflow/tfjs';
import { attentionSoftmax, attentionSoftmaxGradient, finiteByHead, flagNotFinite } from '../webgpu/attention.ts';
import type { ScoreMask } from '../webgpu/attention.ts';
import { onWebGpu } from '../webgpu/program.ts';
import { customGradient } from './custom-gradient.ts';
import { dropped } from './dropout.ts';
import { HOST_BACKENDS } from './host-values.ts';
import { heapView, isOnHeap } from './host-arrays.ts';
import { timesTransposed, transposedTimes, wantsPlainProducts } from './matmul.ts';
import type { AttentionContext, AttentionFunction } from './types.ts';

/** Scores held at once in inference: 64 MiB. */
const SCORE_ELEMENTS = 1 << 24;
/** Score of a hidden key where padding may hide all of a row: finite, so that such a row is even over its keys, as transformers leaves it. */
const LOWEST = -3.4e38;

/**
 * Softmax(q·kᵀ·scale + mask)·v, exact. Differentiable (the probabilities are kept for the gradient, so training needs
 * B·H·Tq·Tk floats per layer); a long forward pass works in row blocks. A key or value that is not finite makes the rows that see it
 * NaN, and leaves the others as they are.
 */
export const denseAttention: AttentionFunction = (q, k, v, context) => {
  const [batch, rows, heads, size] = q.shape;
  const keys = k.shape[1];
  const blockRows = Math.max(1, Math.floor(SCORE_ELEMENTS / (batch * heads * keys)));
  if (rows <= blockRows) return attendBlock(q, k, v, context, 0);
  const blocks: tf.Tensor4D[] = [];
  for (let start = 0; start < rows; start += blockRows) {
    const count = Math.min(blockRows, rows - start);
    const end = context.causal ? Math.min(keys, context.queryOffset + start + count) : keys;
    blocks.push(
      tf.tidy(() => {
        const cut = (t: tf.Tensor4D) => tf.slice4d(t, [0, 0, 0, 0], [batch, end, t.shape[2], size]);
        const block = tf.slice4d(q, [0, start, 0, 0], [batch, count, heads, size]);
        const bias = context.bias && tf.slice4d(context.bias, [0, 0, start, 0], [batch, heads, count, end]);
        return attendBlock(block, cut(k), cut(v), { ...context, ...(bias && { bias }) }, start);
      }),
    );
  }
  return tf.concat(blocks, 1);
};

function attendBlock(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const hides = hidesKeys(context, q.shape[1], k.shape[1], firstRow);
  // Hidden is weight 0, and 0 · NaN is NaN: what is not finite has to be taken out of the products. Where the result can be looked at,
  // only when it shows.
  if (hides && !canLook()) return attendBatched(q, k, v, context, firstRow, true);
  if (!wantsPlainProducts() || context.dropout) {
    const attended = attendBatched(q, k, v, context, firstRow, false);
    return hides && !isAllFinite(attended) ? attendBatched(q, k, v, context, firstRow, true) : attended;
  }
  // Where only single products are fast, every (sequence, key head) is a product of its own.
  const isRow = q.shape[0] === 1 && q.shape[1] === 1 && !context.bias;
  const attended = (isRow ? attendRow : attendByHead)(q, k, v, context, firstRow);
  if (!(hides || isRow) || isAllFinite(attended)) return attended;
  return hides ? attendBatched(q, k, v, context, firstRow, true) : attendByHead(q, k, v, context, firstRow);
}

/**
 * One row of one sequence, which is what decoding asks for: cutting each head out of all keys would take longer than to multiply all
 * of their features by queries that are zero outside their head.
 */
function attendRow(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const [, , heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const [width, group] = [kvHeads * size, heads / kvHeads];
  return tf.tidy(() => {
    // [H, Hkv·d]: 1 where a feature is of the head's own key head.
    const own = tf.tensor2d(
      Float32Array.from({ length: heads * width }, (_, i) =>
        Math.floor(i / width / group) === Math.floor((i % width) / size) ? 1 : 0,
      ),
      [heads, width],
    );
    const queries = tf.mul(tf.tile(tf.reshape(tf.mul(q, context.scale), [heads, size]), [1, kvHeads]), own);
    const products: tf.Tensor2D = tf.matMul(tf.reshape(k, [keys, width]), tf.transpose(queries));
    const limit = hostMasks(context, [1, heads, 1, keys], firstRow);
    const scores = tf.transpose(products);
    const p = tf.softmax(limit ? tf.minimum(scores, tf.reshape(limit, [1, keys])) : scores);
    // Transposed, the values are what is run through, not what XNNPACK would pack anew for each token.
    const values: tf.Tensor2D = tf.reshape(v, [keys, width]);
    const all = tf.mul(tf.transpose(tf.matMul(tf.transpose(values), tf.transpose(p))), own);
    return tf.reshape(tf.sum(tf.reshape(all, [heads, kvHeads, size]), 1), [1, 1, heads, size]);
  });
}

/** One batched product for all heads; queries of a group stand below each other. */
function attendBatched(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
  careful: boolean,
): tf.Tensor4D {
  const [batch, rows, heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const stacked = (heads / kvHeads) * rows;
  const fused = onWebGpu();
  const extents = [batch, heads, rows, keys] as const;
  const inputs = context.bias ? [q, k, v, context.bias] : [q, k, v];
  return customGradient<tf.Tensor4D[], tf.Tensor4D>(inputs, (given, save) => {
    const [qIn, kIn, vIn, bias] = given as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D | undefined];
    const byHead = (t: tf.Tensor4D, length: number): tf.Tensor3D =>
      tf.reshape(tf.transpose(t, [0, 2, 1, 3]), [batch * kvHeads, length, size]);
    const back = (t: tf.Tensor, h: number, length: number): tf.Tensor4D =>
      tf.transpose(tf.reshape(t, [batch, h, length, size]), [0, 2, 1, 3]);
    const queries = byHead(qIn, stacked);
    const flags = careful ? notFinite(kIn, vIn) : undefined;
    const parts = [kIn, vIn].map((t) => {
      if (!flags) return byHead(t, keys);
      return fused ? finiteByHead(t) : byHead(finiteOnly(t), keys);
    });
    const [ks, vs] = parts as [tf.Tensor3D, tf.Tensor3D];
    const contents: tf.Tensor3D = tf.matMul(queries, ks, false, true);
    const products: tf.Tensor3D = bias ? tf.add(contents, tf.reshape(bias, contents.shape)) : contents;
    const p = fused
      ? attentionSoftmax(products, context.scale, scoreMask(context, extents, firstRow), flags)
      : softmaxOf(tf.mul(products, context.scale), hostMasks(context, extents, firstRow), extents, flags);
    save([queries, ks, vs, p]);
    // Each block of rows draws its own.
    const { rate = 0, seed = 0 } = context.dropout ?? {};
    const drop = (x: tf.Tensor3D) => (rate > 0 ? dropped(x, rate, seed + 65_537 * firstRow) : x);
    return {
      value: back(tf.matMul(drop(p), vs), heads, rows),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [qs, kSaved, vSaved, ps] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
        const dOut = byHead(dy, stacked);
        const dp = drop(tf.matMul(dOut, vSaved, false, true));
        const gradient = fused ? attentionSoftmaxGradient : softmaxGradient;
        const dScores = gradient(ps, dp, context.scale);
        return [
          back(tf.matMul(dScores, kSaved), heads, rows),
          back(tf.matMul(dScores, qs, true), kvHeads, keys),
          back(tf.matMul(drop(ps), dOut, true), kvHeads, keys),
          ...(bias ? [tf.reshape(dScores, [batch, heads, rows, keys])] : []),
        ];
      },
    };
  });
}

function hostMasks(
  context: AttentionContext,
  [batch, , rows, keys]: readonly [number, number, number, number],
  firstRow: number,
): tf.Tensor | undefined {
  return joinLimits(orderLimit(context, rows, keys, firstRow, 1), paddingLimit(context, batch, keys));
}

/**
 * softmax(min(scores, limit)), in the shape of the scores [B·Hkv, H/Hkv·rows, keys]. With flags [B, keys, Hkv, 1] (1 = not finite) a row that
 * sees such a key is NaN.
 */
function softmaxOf(
  scores: tf.Tensor3D,
  limit: tf.Tensor | undefined,
  [batch, heads, rows, keys]: readonly [number, number, number, number],
  flags: tf.Tensor4D | undefined,
): tf.Tensor3D {
  let masked: tf.Tensor = limit ? tf.minimum(tf.reshape(scores, [batch, heads, rows, keys]), limit) : scores;
  if (flags && limit) {
    const kvHeads = flags.shape[2];
    const ofKeys = tf.reshape(tf.transpose(flags, [0, 2, 3, 1]), [batch, kvHeads, 1, 1, keys]);
    const visible = tf.expandDims(tf.greater(limit, 0), 2);
    const grouped = tf.reshape(masked, [batch, kvHeads, heads / kvHeads, rows, keys]);
    masked = tf.where(tf.logicalAnd(visible, tf.greater(ofKeys, 0)), Number.NaN, grouped);
  }
  return tf.reshape(tf.softmax(tf.reshape(masked, [batch, heads, rows, keys])), scores.shape);
}

/** Whether a mask keeps a key from a row. */
function hidesKeys(
  { causal, queryOffset, window, mask }: AttentionContext,
  rows: number,
  keys: number,
  firstRow: number,
): boolean {
  if (mask) return true;
  if (!causal) return window !== undefined && window < keys;
  return rows > 1 || queryOffset + firstRow + 1 < keys || (window !== undefined && window < keys);
}

/** Whether numbers are read without waiting for a device. */
function canLook(): boolean {
  return HOST_BACKENDS.includes(tf.getBackend());
}

function isAllFinite(x: tf.Tensor): boolean {
  const values = isOnHeap(x) ? heapView(x) : (x.dataSync() as Float32Array);
  for (let i = 0; i < values.length; i++) {
    // Infinity − Infinity and NaN − NaN are NaN.
    if ((values[i] as number) - (values[i] as number) !== 0) return false;
  }
  return true;
}

/** 1 for keys [B, T, Hkv, 1] of which a number, or one of its value, is not finite. */
function notFinite(k: tf.Tensor4D, v: tf.Tensor4D): tf.Tensor4D {
  if (onWebGpu()) return flagNotFinite(k, v);
  const finite = (t: tf.Tensor4D): tf.Tensor => tf.min(tf.cast(tf.isFinite(t), 'float32'), 3, true);
  return tf.sub(1, tf.mul(finite(k), finite(v)));
}

/** 0 in place of what is not finite. */
function finiteOnly(x: tf.Tensor4D): tf.Tensor4D {
  return tf.where(tf.isFinite(x), x, tf.zerosLike(x));
}

/** The masks of a context as numbers for the WebGPU softmax. */
function scoreMask(
  { causal, queryOffset, window, mask }: AttentionContext,
  [batch, heads, rows, keys]: readonly [number, number, number, number],
  firstRow: number,
): ScoreMask {
  return {
    batch,
    heads,
    rows,
    keys,
    causal,
    first: queryOffset + firstRow,
    window,
    padding: mask && tf.cast(mask, 'int32'),
  };
}

/** One product per sequence and key head; the queries of a group are interleaved rows, so nothing is transposed but k. */
function attendByHead(
  q: tf.Tensor4D,
  k: tf.Tensor4D,
  v: tf.Tensor4D,
  context: AttentionContext,
  firstRow: number,
): tf.Tensor4D {
  const [batch, rows, heads, size] = q.shape;
  const [, keys, kvHeads] = k.shape;
  const group = heads / kvHeads;
  const causal = orderLimit(context, rows, keys, firstRow, group);
  const padding = paddingLimit(context, batch, keys);
  const cells = Array.from({ length: batch * kvHeads }, (_, i) => [Math.floor(i / kvHeads), i % kvHeads] as const);
  const limits = Array.from({ length: batch }, (_, b) =>
    joinLimits(
      causal && tf.reshape(causal, [rows * group, keys]),
      padding && tf.reshape(tf.slice(padding, [b, 0, 0, 0], [1, 1, 1, keys]), [1, keys]),
    ),
  );
  /** Rows of one cell: [length·width, d] of the heads head·width … */
  const cell = (t: tf.Tensor4D, b: number, head: number, width: number): tf.Tensor2D =>
    tf.reshape(tf.slice4d(t, [b, 0, head * width, 0], [1, t.shape[1], width, size]), [t.shape[1] * width, size]);
  const assemble = (parts: readonly tf.Tensor2D[], length: number, width: number): tf.Tensor4D => {
    const sequences = Array.from({ length: batch }, (_, b) =>
      tf.concat(
        parts.slice(b * kvHeads, (b + 1) * kvHeads).map((part) => tf.reshape(part, [length, width * size])),
        1,
      ),
    );
    return tf.reshape(tf.concat(sequences, 0), [batch, length, kvHeads * width, size]);
  };
  const inputs = context.bias ? [q, k, v, context.bias] : [q, k, v];
  return customGradient<tf.Tensor4D[], tf.Tensor4D>(inputs, (given, save) => {
    const [qIn, kIn, vIn, bias] = given as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D, tf.Tensor4D | undefined];
    const probabilities: tf.Tensor2D[] = [];
    const outputs = cells.map(([b, head]): tf.Tensor2D => {
      let scores: tf.Tensor2D = timesTransposed(
        tf.mul(cell(qIn, b, head, group), context.scale),
        cell(kIn, b, head, 1),
      );
      if (bias) {
        const own = tf.slice4d(bias, [b, head * group, 0, 0], [1, group, rows, keys]);
        const interleaved = tf.reshape(tf.transpose(own, [0, 2, 1, 3]), [rows * group, keys]);
        scores = tf.add(scores, tf.mul(interleaved, context.scale));
      }
      const limit = limits[b];
      if (limit) scores = tf.minimum(scores, limit);
      const p = tf.softmax(scores);
      probabilities.push(p);
      return tf.matMul(p, cell(vIn, b, head, 1));
    });
    save([qIn, kIn, vIn, ...probabilities]);
    return {
      value: assemble(outputs, rows, group),
      gradFunc: (dy: tf.Tensor4D, saved: tf.Tensor[]) => {
        const [qs, ks, vs] = saved.slice(0, 3) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const gradients = cells.map(([b, head], i) => {
          const p = saved[3 + i] as tf.Tensor2D;
          const dOut = cell(dy, b, head, group);
          const dScores = softmaxGradient(p, timesTransposed(dOut, cell(vs, b, head, 1)), context.scale);
          return [
            tf.matMul(dScores, cell(ks, b, head, 1)),
            transposedTimes(dScores, cell(qs, b, head, group)),
            transposedTimes(p, dOut),
            dScores,
          ] as const;
        });
        const collect = (index: 0 | 1 | 2) => gradients.map((gradient) => gradient[index] as tf.Tensor2D);
        const ofInputs = [
          assemble(collect(0), rows, group),
          assemble(collect(1), keys, 1),
          assemble(collect(2), keys, 1),
        ];
        if (!bias) return ofInputs;
        const ofBias = gradients.map((gradient) => tf.reshape(gradient[3], [1, rows, group, keys]));
        const joined = tf.transpose(tf.concat(ofBias, 0), [0, 2, 1, 3]);
        return [...ofInputs, tf.reshape(joined, [batch, heads, rows, keys])];
      },
    };
  });
}

/** Gradient of the unscaled scores from probabilities p and the gradient of p. */
function softmaxGradient<T extends tf.Tensor2D | tf.Tensor3D>(p: T, dp: tf.Tensor, scale: number): T {
  const weighted = tf.mul(dp, p);
  return tf.mul(tf.sub(weighted, tf.mul(p, tf.sum(weighted, -1, true))), scale);
}

/**
 * By causality and window, what scores may be at most [1, 1, rows·repeat, keys] (every row `repeat` times): ∞ of keys that the row sees, whatever the score of
 * the others would be; undefined when all is visible.
 */
function orderLimit(
  { causal, queryOffset, window, mask }: AttentionContext,
  rows: number,
  keys: number,
  firstRow: number,
  repeat: number,
): tf.Tensor | undefined {
  const first = queryOffset + firstRow;
  if (!causal && (window === undefined || window >= keys)) return undefined;
  if (causal && rows === 1 && first + 1 >= keys && (window === undefined || keys <= window)) return undefined;
  const hidden = mask ? LOWEST : -Infinity;
  const values = new Float32Array(rows * repeat * keys).fill(Infinity);
  for (let r = 0; r < rows * repeat; r++) {
    const position = first + Math.floor(r / repeat);
    const end = causal ? position + 1 : position + (window as number);
    values.fill(hidden, r * keys + Math.min(keys, end), (r + 1) * keys);
    if (window !== undefined)
      values.fill(hidden, r * keys, r * keys + Math.min(keys, Math.max(0, position - window + 1)));
  }
  return tf.tensor(values, [1, 1, rows * repeat, keys]);
}

/** The same of padding [B, 1, 1, keys]. */
function paddingLimit({ mask }: AttentionContext, batch: number, keys: number): tf.Tensor | undefined {
  if (!mask) return undefined;
  const visible = tf.slice(tf.cast(mask, 'float32'), [0, 0], [batch, keys]);
  return tf.reshape(tf.where(tf.notEqual(visible, 0), Infinity, LOWEST), [batch, 1, 1, keys]);
}

function joinLimits(a: tf.Tensor | undefined, b: tf.Tensor | undefined): tf.Tensor | undefined {
  return a && b ? tf.minimum(a, b) : (a ?? b);
}
