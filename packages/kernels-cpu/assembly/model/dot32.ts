// Products of a quantised row (quantize.ts) with four rows of a group, blocks of 32 with a fifth bit: a lane a row.
import { fma } from '../numbers/simd';
import { RECORD, recordsAt } from './quantize';

/** Loaded, not written as literals: engines rebuild those at each use. */
const CONSTANTS: usize = memory.data<i32>([
  0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f, 0x00100010, 0x00100010, 0x00100010, 0x00100010,
  0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000, 0x77800000, 0x77800000, 0x77800000, 0x77800000,
], 16);

// @ts-ignore: decorator
@inline
export function nibbleMask(): v128 { return v128.load(CONSTANTS); }
// @ts-ignore: decorator
@inline
export function fifthMask(): v128 { return v128.load(CONSTANTS, 16); }

/** Four finite halves to float32: sign, exponent and mantissa move to their places, and 2¹¹² makes up for the smaller exponent. */
// @ts-ignore: decorator
@inline
export function halves4(from: usize): v128 {
  return f32x4.mul(v128.and(i32x4.shl(v128.load16x4_s(from), 13), v128.load(CONSTANTS, 32)), v128.load(CONSTANTS, 48));
}

/** Sums of 32 columns times integers, a lane a row: nibbles with a fifth bit each, those of columns 0…15 at `high`, of 16…31 sixteen bytes on. */
// @ts-ignore: decorator
@inline
function fives32(at: usize, high: usize, x: usize, mask: v128, sums: v128): v128 {
  const fifth = fifthMask();
  let low = i16x8.shl(v128.load8x8_u(high), 4), up = i16x8.shl(v128.load8x8_u(high, 16), 4);
  for (const end = x + 32; x < end; x += 4) {
    const q = v128.load8x8_u(at);
    sums = i32x4.add(sums, i32x4.dot_i16x8_s(v128.or(v128.and(q, mask), v128.and(low, fifth)), v128.load32_splat(x)));
    sums = i32x4.add(sums, i32x4.dot_i16x8_s(v128.or(i16x8.shr_u(q, 4), v128.and(up, fifth)), v128.load32_splat(x, 32)));
    low = i16x8.shr_u(low, 1);
    up = i16x8.shr_u(up, 1);
    at += 16;
  }
  return sums;
}

/** A block's integers as floats times both scales, added to what was. */
// @ts-ignore: decorator
@inline
export function scaled(sums: v128, d: v128, record: usize, total: v128): v128 {
  return fma(f32x4.convert_i32x4_s(sums), f32x4.mul(d, v128.load32_splat(record)), total);
}

/** Q5_0: values are 16 less. */
export function dotQ50(at: usize, x: usize, depth: i32): v128 {
  let total = f32x4.splat(0);
  const mask = nibbleMask();
  let record = recordsAt(x, depth);
  for (const end = record; x < end; x += 64) {
    total = scaled(fives32(at + 48, at + 16, x, mask, i32x4.splat(load<i32>(record, 8) * -16)), halves4(at), record, total);
    record += RECORD;
    at += 176;
  }
  return total;
}

/** Q5_1: plus a minimum. */
export function dotQ51(at: usize, x: usize, depth: i32): v128 {
  let total = f32x4.splat(0);
  const mask = nibbleMask();
  let record = recordsAt(x, depth);
  for (const end = record; x < end; x += 64) {
    total = scaled(fives32(at + 64, at + 32, x, mask, i32x4.splat(0)), halves4(at), record, total);
    total = fma(halves4(at + 16), v128.load32_splat(record, 4), total);
    record += RECORD;
    at += 192;
  }
  return total;
}
