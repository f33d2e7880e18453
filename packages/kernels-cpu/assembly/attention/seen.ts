// Weighted sums over visible pairs only, for where hidden keys or rows are not finite: 0·NaN is NaN, so a weight of 0 hides nothing.
import * as C from './context';
import { fma } from '../numbers/simd';

/** First and last row of the tile that listed key j is visible to. */
// @ts-ignore: decorator
@inline
function firstRow(s: usize, j: usize): i32 { return max(0, load<i32>(s + C.FROM + (j << 2))); }
// @ts-ignore: decorator
@inline
function lastRow(s: usize, j: usize): i32 { return min(load<i32>(s + C.ROW_COUNT) - 1, load<i32>(s + C.TO + (j << 2))); }

/** out[row] += Σ table[key][row]·vector_key over the keys visible to the row: `mix` in the same order, hidden pairs left out. */
export function mixSeen(s: usize, vectors: usize, count: i32, table: usize, out: usize, width: i32): void {
  const bytes = <usize>width << 2;
  for (let j: usize = 0; j < <usize>count; j++) {
    const vector = <usize>load<u32>(vectors + (j << 2)), weights = table + j * C.SCORE_STRIDE;
    for (let r = firstRow(s, j); r <= lastRow(s, j); r++) addTimes(out + <usize>r * bytes, vector, v128.load32_splat(weights + (<usize>r << 2)), bytes);
  }
}

/** out[key] += Σ table[key][row]·vector_row over the rows that see the key. */
export function mixSeeing(s: usize, vectors: usize, count: i32, table: usize, out: usize, width: i32): void {
  const bytes = <usize>width << 2;
  for (let j: usize = 0; j < <usize>count; j++) {
    const weights = table + j * C.SCORE_STRIDE;
    for (let r = firstRow(s, j); r <= lastRow(s, j); r++) addTimes(out + j * bytes, <usize>load<u32>(vectors + (<usize>r << 2)), v128.load32_splat(weights + (<usize>r << 2)), bytes);
  }
}

function addTimes(to: usize, vector: usize, factor: v128, bytes: usize): void {
  for (let c: usize = 0; c < bytes; c += 16) v128.store(to + c, fma(factor, v128.load(vector + c), v128.load(to + c)));
}
