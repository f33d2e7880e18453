// Products of a quantised row (quantize.ts) with four rows of a group, blocks of 256 ("K"): a lane a row.
import { fma } from '../numbers/simd';
import { fifthMask, halves4, nibbleMask, scaled } from './dot32';
import { RECORD, recordsAt } from './quantize';

/** Byte `k` of each of four rows' twelve (or sixteen) scale bytes, in i32 lanes; `at` is the first pair's. */
// @ts-ignore: decorator
@inline
function scaleByte(at: usize, k: i32): v128 {
  const pair = v128.load16x4_u(at + (<usize>(k >> 1) << 4));
  return k & 1 ? i32x4.shr_u(pair, 8) : v128.and(pair, i32x4.splat(0xff));
}

/** 6-bit scales of sub-block j of 8 (blocks256.ts), as floats. */
// @ts-ignore: decorator
@inline
export function scales4(at: usize, j: i32): v128 {
  if (j < 4) return f32x4.convert_i32x4_s(v128.and(scaleByte(at, j), i32x4.splat(63)));
  return f32x4.convert_i32x4_s(v128.or(v128.and(scaleByte(at, j + 4), i32x4.splat(15)), i32x4.shl(i32x4.shr_u(scaleByte(at, j - 4), 6), 4)));
}

/** Its minima. */
// @ts-ignore: decorator
@inline
export function minima4(at: usize, j: i32): v128 {
  if (j < 4) return f32x4.convert_i32x4_s(v128.and(scaleByte(at, j + 4), i32x4.splat(63)));
  return f32x4.convert_i32x4_s(v128.or(i32x4.shr_u(scaleByte(at, j + 4), 4), i32x4.shl(i32x4.shr_u(scaleByte(at, j), 6), 4)));
}

/** Sums of 32 columns of sub-block j: nibbles at `at`, the upper ones where j is odd; `high`: where fifth bits are, or 0. */
// @ts-ignore: decorator
@inline
function subBlock(at: usize, high: usize, j: i32, x: usize, five: bool): v128 {
  const mask = nibbleMask(), fifth = fifthMask();
  let sums = i32x4.splat(0);
  const shift = (j & 1) << 2;
  for (const end = x + 64; x < end; x += 4) {
    let q = v128.and(i16x8.shr_u(v128.load8x8_u(at), shift), mask);
    if (five) {
      q = v128.or(q, v128.and(i16x8.shr_u(i16x8.shl(v128.load8x8_u(high), 4), j), fifth));
      high += 16;
    }
    sums = i32x4.add(sums, i32x4.dot_i16x8_s(q, v128.load32_splat(x)));
    at += 16;
  }
  return sums;
}

// @ts-ignore: decorator
@inline
function dot45K(at: usize, x: usize, depth: i32, five: bool): v128 {
  let total = f32x4.splat(0);
  let record = recordsAt(x, depth);
  const end = record;
  while (x < end) {
    const d = halves4(at), least = halves4(at + 16);
    const scales = at + 32, high = at + 128, qs = high + (five ? 256 : 0);
    for (let j = 0; j < 8; j++) {
      const sums = subBlock(qs + (<usize>(j >> 1) << 8), high, j, x, five);
      total = scaled(sums, f32x4.mul(d, scales4(scales, j)), record, total);
      total = f32x4.sub(total, f32x4.mul(f32x4.mul(least, minima4(scales, j)), v128.load32_splat(record, 4)));
      record += RECORD;
      x += 64;
    }
    at += five ? 1408 : 1152;
  }
  return total;
}

export function dotQ4K(at: usize, x: usize, depth: i32): v128 { return dot45K(at, x, depth, false); }
export function dotQ5K(at: usize, x: usize, depth: i32): v128 { return dot45K(at, x, depth, true); }

/** Values of 8 numbers of Q6_K in i16 lanes: nibbles at `low`, the upper ones for rows 2 and 3, two bits more at `high`. */
// @ts-ignore: decorator
@inline
export function sixes8(low: usize, high: usize, row: i32, mask: v128, three: v128, offset: v128): v128 {
  const q = v128.and(i16x8.shr_u(v128.load8x8_u(low), (row >> 1) << 2), mask);
  const two = i16x8.shl(v128.and(i16x8.shr_u(v128.load8x8_u(high), row << 1), three), 4);
  return i16x8.sub(v128.or(q, two), offset);
}

/** Scales of the `k`-th 16 values, int8, as floats. */
// @ts-ignore: decorator
@inline
export function signedScales4(at: usize, k: i32): v128 {
  const pair = v128.load16x4_s(at + (<usize>(k >> 1) << 4));
  return f32x4.convert_i32x4_s(k & 1 ? i32x4.shr_s(pair, 8) : i32x4.shr_s(i32x4.shl(pair, 24), 24));
}

export function dotQ6K(at: usize, x: usize, depth: i32): v128 {
  let total = f32x4.splat(0);
  const mask = nibbleMask(), three = i16x8.splat(3), offset = i16x8.splat(32);
  let record = recordsAt(x, depth);
  const end = record;
  while (x < end) {
    const d = halves4(at + 1664);
    for (let k = 0; k < 16; k++) {
      // 16 values: half of a row of 32, of which there are four in each half of the block.
      const part = <usize>(k >> 3), row = (k >> 1) & 3, side = <usize>(k & 1) << 7;
      let low = at + (part << 9) + (<usize>(row & 1) << 8) + side, high = at + 1024 + (part << 8) + side;
      let sums = i32x4.splat(0);
      for (const stop = x + 32; x < stop; x += 4) {
        sums = i32x4.add(sums, i32x4.dot_i16x8_s(sixes8(low, high, row, mask, three, offset), v128.load32_splat(x)));
        low += 16;
        high += 16;
      }
      total = fma(f32x4.convert_i32x4_s(sums), f32x4.mul(f32x4.mul(d, signedScales4(at + 1536, k)), v128.load32_splat(record)), total);
      if (k & 1) record += RECORD;
    }
    at += 1680;
  }
  return total;
}
