// Disentangled attention (He 2021, DeBERTa §3.1; buckets of DeBERTa-v2): what queries and keys say of each other's relative position.
import * as tf from '@tensorflow/tfjs';
import type { RelativeAttention } from '@hip/checkpoints';
import { embed } from './embedding.ts';
import { matMul, wantsPlainProducts } from './matmul.ts';

/** Which rows of the table of relative positions a text of some length looks at. */
export interface RelativeRows {
  /** The rows looked at: `first` … `first + count − 1`. */
  readonly first: number;
  readonly count: number;
  /** Row of query i and key j, less `first`, by i − j + tokens − 1. */
  readonly byDistance: Int32Array;
}

/** Row of a distance i − j: one each near by, shared the more the further away. */
export function relativeRow({ span, buckets, maxDistance }: RelativeAttention, distance: number): number {
  const row = (buckets > 0 ? bucket(distance, buckets, maxDistance) : distance) + span;
  return Math.min(Math.max(row, 0), 2 * span - 1);
}

function bucket(distance: number, buckets: number, maxDistance: number): number {
  const middle = Math.floor(buckets / 2);
  const far = Math.abs(distance);
  if (far <= middle) return distance;
  // In float32 step by step, as checkpoints were trained: the ceiling of a whole number must not be the next one.
  const log = (ratio: number) => Math.fround(Math.log(Math.fround(ratio)));
  const share = Math.fround(log(far / middle) / log((maxDistance - 1) / middle));
  return Math.sign(distance) * (Math.ceil(Math.fround(share * (middle - 1))) + middle);
}

/** Rows for texts of so many tokens. */
export function relativeRows(relative: RelativeAttention, tokens: number): RelativeRows {
  const rows = Int32Array.from({ length: 2 * tokens - 1 }, (_, at) => relativeRow(relative, at - tokens + 1));
  const first = rows.reduce((least, row) => Math.min(least, row), Infinity);
  const last = rows.reduce((most, row) => Math.max(most, row), 0);
  return { first, count: last - first + 1, byDistance: rows.map((row) => row - first) };
}

/** Places [T·T] int32, for query i and key j, of i·rows + row (queries look) and of j·rows + row (keys look). */
export function relativePlaces(
  { count, byDistance }: RelativeRows,
  tokens: number,
): { readonly ofQueries: tf.Tensor1D; readonly ofKeys: tf.Tensor1D } {
  const places = (of: (i: number, j: number) => number) =>
    Int32Array.from({ length: tokens * tokens }, (_, at) => {
      const [i, j] = [Math.floor(at / tokens), at % tokens];
      return of(i, j) * count + (byDistance[i - j + tokens - 1] as number);
    });
  return {
    ofQueries: tf.tensor1d(
      places((i) => i),
      'int32',
    ),
    ofKeys: tf.tensor1d(
      places((_, j) => j),
      'int32',
    ),
  };
}

/**
 * What positions add to the products of queries and keys [B, H, T, T]: x[b, i or j, h] · table[row(i, j), h], gathered by `places`.
 *
 * @param x - queries or keys [B, T, H, d]
 * @param table - projected relative positions [R, H·d]
 */
export function relativeScores(x: tf.Tensor4D, table: tf.Tensor2D, places: tf.Tensor1D): tf.Tensor4D {
  const [batch, tokens, heads] = x.shape;
  const rows = table.shape[0];
  // [T·R, B·H]: every (token, row) is a row of what is gathered from, as of embeddings.
  const products = tf.reshape(tf.transpose(headProducts(x, table), [1, 3, 0, 2]), [tokens * rows, batch * heads]);
  const gathered = tf.reshape(embed(products as tf.Tensor2D, places), [tokens, tokens, batch, heads]);
  return tf.transpose(gathered, [2, 3, 0, 1]) as tf.Tensor4D;
}

/** x [B, T, H, d] · table [R, H·d]ᵀ head by head → [B, T, H, R]. */
function headProducts(x: tf.Tensor4D, table: tf.Tensor2D): tf.Tensor4D {
  const [batch, tokens, heads, size] = x.shape;
  const rows = table.shape[0];
  if (!wantsPlainProducts()) {
    const [a, b] = [
      tf.reshape(tf.transpose(x, [2, 0, 1, 3]), [heads, batch * tokens, size]),
      tf.transpose(tf.reshape(table, [rows, heads, size]), [1, 0, 2]),
    ];
    const products = tf.reshape(tf.matMul(a, b, false, true), [heads, batch, tokens, rows]);
    return tf.transpose(products, [1, 2, 0, 3]) as tf.Tensor4D;
  }
  const flat = tf.reshape(x, [batch * tokens, heads * size]);
  const products = Array.from({ length: heads }, (_, head) => {
    const own = (t: tf.Tensor2D) => tf.slice2d(t, [0, head * size], [t.shape[0], size]);
    return tf.reshape(matMul(own(flat as tf.Tensor2D), tf.transpose(own(table))), [batch, tokens, 1, rows]);
  });
  return tf.concat(products, 2) as tf.Tensor4D;
}
