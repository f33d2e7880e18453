// Products of a quantised row (quantize.ts) with a group, the types that are met most: eight rows at a time, so that each pair of the
// row's integers is loaded once.
import { fma } from '../numbers/simd';
import { halves4, nibbleMask, scaled } from './dot32';
import { RECORD, recordsAt } from './quantize';

/** Adds products of a pair of columns of four rows. */
// @ts-ignore: decorator
@inline
function bytesBy(q: v128, x: v128, sums: v128): v128 { return i32x4.add(sums, i32x4.dot_i16x8_s(q, x)); }

/** Adds products of two pairs of columns, low nibbles and high ones. */
// @ts-ignore: decorator
@inline
function nibblesBy(q: v128, mask: v128, low: v128, high: v128, sums: v128): v128 {
  sums = i32x4.add(sums, i32x4.dot_i16x8_s(v128.and(q, mask), low));
  return i32x4.add(sums, i32x4.dot_i16x8_s(i16x8.shr_u(q, 4), high));
}

/** Q8_0. */
export function dotQ8(at: usize, x: usize, depth: i32, to: usize): void {
  let a = f32x4.splat(0), b = a;
  let record = recordsAt(x, depth);
  for (const end = record; x < end;) {
    let low = i32x4.splat(0), high = low;
    let from = at + 16;
    for (const stop = x + 64; x < stop; x += 16) {
      let s = v128.load32_splat(x); low = bytesBy(v128.load8x8_s(from), s, low); high = bytesBy(v128.load8x8_s(from, 8), s, high);
      s = v128.load32_splat(x, 4); low = bytesBy(v128.load8x8_s(from, 16), s, low); high = bytesBy(v128.load8x8_s(from, 24), s, high);
      s = v128.load32_splat(x, 8); low = bytesBy(v128.load8x8_s(from, 32), s, low); high = bytesBy(v128.load8x8_s(from, 40), s, high);
      s = v128.load32_splat(x, 12); low = bytesBy(v128.load8x8_s(from, 48), s, low); high = bytesBy(v128.load8x8_s(from, 56), s, high);
      from += 64;
    }
    a = scaled(low, halves4(at), record, a);
    b = scaled(high, halves4(at + 8), record, b);
    record += RECORD;
    at += 272;
  }
  v128.store(to, a);
  v128.store(to, b, 16);
}

/** Q4_1, or Q4_0, whose values are 8 less. */
// @ts-ignore: decorator
@inline
function dotQ4(at: usize, x: usize, depth: i32, to: usize, minimum: bool): void {
  const mask = nibbleMask();
  let a = f32x4.splat(0), b = a;
  let record = recordsAt(x, depth);
  for (const end = record; x < end; x += 32) {
    let low = minimum ? i32x4.splat(0) : i32x4.splat(load<i32>(record, 8) * -8), high = low;
    let from = at + (minimum ? 32 : 16);
    for (const stop = x + 32; x < stop; x += 16) {
      let s = v128.load32_splat(x), t = v128.load32_splat(x, 32);
      low = nibblesBy(v128.load8x8_u(from), mask, s, t, low); high = nibblesBy(v128.load8x8_u(from, 8), mask, s, t, high);
      s = v128.load32_splat(x, 4); t = v128.load32_splat(x, 36);
      low = nibblesBy(v128.load8x8_u(from, 16), mask, s, t, low); high = nibblesBy(v128.load8x8_u(from, 24), mask, s, t, high);
      s = v128.load32_splat(x, 8); t = v128.load32_splat(x, 40);
      low = nibblesBy(v128.load8x8_u(from, 32), mask, s, t, low); high = nibblesBy(v128.load8x8_u(from, 40), mask, s, t, high);
      s = v128.load32_splat(x, 12); t = v128.load32_splat(x, 44);
      low = nibblesBy(v128.load8x8_u(from, 48), mask, s, t, low); high = nibblesBy(v128.load8x8_u(from, 56), mask, s, t, high);
      from += 64;
    }
    a = scaled(low, halves4(at), record, a);
    b = scaled(high, halves4(at + 8), record, b);
    if (minimum) {
      const sum = v128.load32_splat(record, 4);
      a = fma(halves4(at + 16), sum, a);
      b = fma(halves4(at + 24), sum, b);
    }
    record += RECORD;
    at += minimum ? 160 : 144;
  }
  v128.store(to, a);
  v128.store(to, b, 16);
}

export function dotQ40(at: usize, x: usize, depth: i32, to: usize): void { dotQ4(at, x, depth, to, false); }
export function dotQ41(at: usize, x: usize, depth: i32, to: usize): void { dotQ4(at, x, depth, to, true); }
