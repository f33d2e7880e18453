// Activations as integers, for products with blocks of integers: 32 numbers as int16 with one scale, so that the largest is ±32767 and
// rounding is 2⁻¹⁶ of it.
import * as J from '../job';
import { INFINITE, sizeMask } from '../numbers/non-finite';
import * as M from './job';

/** Numbers of a run that share a scale. */
export const RUN: usize = 32;
/** Bytes of its record: f32 scale, f32 sum of the numbers, i32 sum of the integers, and one word more. */
export const RECORD: usize = 16;

/** Where the records of a quantised row begin. */
// @ts-ignore: decorator
@inline
export function recordsAt(row: usize, depth: i32): usize { return row + (<usize>depth << 1); }

/** Rows of X into QUANTIZED: [WIDTH] int16, then a record for each 32. A run that holds NaN or infinity has a scale that is not finite. Work item: a row. */
export function quantize(job: usize, thread: i32): void {
  const depth = J.i(job, M.WIDTH);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    quantizeRow(J.p(job, M.X) + ((<usize>item * <usize>depth) << 2), J.p(job, M.QUANTIZED) + <usize>item * J.p(job, M.QUANTIZED_STRIDE), depth);
  }
}

// @ts-ignore: decorator
@inline
function integers(from: usize, factor: v128): v128 {
  const a = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(from), factor)));
  const b = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(from, 16), factor)));
  return i16x8.narrow_i32x4_s(a, b);
}

function quantizeRow(from: usize, to: usize, depth: i32): void {
  const size = sizeMask(), ones = i16x8.splat(1);
  let record = recordsAt(to, depth);
  for (const end = record; to < end; to += 64) {
    let most = v128.and(v128.load(from), size);
    for (let c: usize = 16; c < 128; c += 16) most = i32x4.max_s(most, v128.and(v128.load(from + c), size));
    most = i32x4.max_s(most, i32x4.shuffle(most, most, 2, 3, 0, 1));
    most = i32x4.max_s(most, i32x4.shuffle(most, most, 1, 0, 3, 2));
    const largest = f32x4.extract_lane(most, 0);
    // Not finite: all integers are 0, and 0 times the scale is NaN.
    const factor = f32x4.splat(i32x4.extract_lane(most, 0) < INFINITE ? 32767 / largest : 0);
    const a = integers(from, factor), b = integers(from + 32, factor), c = integers(from + 64, factor), d = integers(from + 96, factor);
    v128.store(to, a);
    v128.store(to, b, 16);
    v128.store(to, c, 32);
    v128.store(to, d, 48);
    let sums = i32x4.add(i32x4.add(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones)), i32x4.add(i32x4.dot_i16x8_s(c, ones), i32x4.dot_i16x8_s(d, ones)));
    sums = i32x4.add(sums, i32x4.shuffle(sums, sums, 2, 3, 0, 1));
    const sum = i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1);
    const scale = largest * <f32>3.051850947599719e-5;
    store<f32>(record, scale);
    store<f32>(record, scale * <f32>sum, 4);
    store<i32>(record, sum, 8);
    record += RECORD;
    from += 128;
  }
}
