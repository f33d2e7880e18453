// Floats as small integers, of which products are cheap. Where the binary has relaxed SIMD they are bytes, four channels a step: a key's
// channels signed, every second one negated, a row's from 0 to 126, so that what is added to them cancels where keys are even. A lane of 16
// bits sums half of a key's channels: each key's factor is chosen so that no row can overflow it. Without relaxed SIMD they are 16-bit
// integers under a power of two (small whole numbers stay exact), two channels a step, and 32-bit sums.
import { INFINITE, largerSize, SIZE, sizeMask } from './non-finite';

export const BYTES: bool = ASC_FEATURE_RELAXED_SIMD;

/** 1.5·2²³: adding it leaves a float's nearest integer in the low mantissa bits. */
const MAGIC: f32 = 12582912;
/** What is added to a row's bytes; and the largest sum of a key's bytes of one sign in a lane: 126·260 is below 2¹⁵, rounding takes the rest. */
const OFFSET: f32 = 63;
const MOST: f32 = 250;
/** Sums are kept finite by a power of two. */
const PART: f32 = 1 / 128;
/** Below this, values count as 0. */
const TINY: f32 = 1e-30;
const SIGNS: usize = memory.data<f32>([1, -1, 1, -1], 16);

/** Steps of `depth` channels. */
// @ts-ignore: decorator
@inline
export function stepsOf(depth: i32): i32 { return BYTES ? (depth + 3) >> 2 : (depth + 1) >> 1; }

/** Bits of the largest absolute value of `count` floats: INFINITE or more where some is not finite. */
export function largestSize(from: usize, count: i32): i32 {
  const size = sizeMask(), end = from + (<usize>count << 2);
  let most = i32x4.splat(0);
  for (const last = from + (<usize>(count & ~3) << 2); from < last; from += 16) most = largerSize(most, v128.load(from), size);
  let largest = max(max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)), max(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3)));
  for (; from < end; from += 4) largest = max(largest, load<i32>(from) & SIZE);
  return largest;
}

/** Bits of the integers, the sign beside, of which `depth` products add up below 2³¹. */
// @ts-ignore: decorator
@inline
function bitsOf(depth: i32): i32 { return min(15, (31 - (32 - clz<i32>(depth - 1))) >> 1); }

/** The power of two that makes 16-bit integers of floats, the largest of which has the bits `largest`. */
// @ts-ignore: decorator
@inline
function powerOf(largest: i32, depth: i32): f32 {
  return reinterpret<f32>(max(1, min(253, bitsOf(depth) - 1 + 254 - (largest >> 23))) << 23);
}

/** The factor that makes integers of a row's channels; 0: they are all tiny. */
export function rowFactor(largest: i32, depth: i32): f32 {
  if (!BYTES) return powerOf(largest, depth);
  const most = reinterpret<f32>(largest);
  return most > TINY ? OFFSET / most : 0;
}

/** The factor that makes integers of a key's channels; 0: they are all tiny; NaN: not all are finite. */
export function keyFactor(from: usize, depth: i32): f32 {
  const largest = largestSize(from, depth);
  if (largest >= INFINITE) return NaN;
  if (!BYTES) return powerOf(largest, depth);
  const most = reinterpret<f32>(largest);
  if (!(most > TINY)) return 0;
  const zero = f32x4.splat(0), signs = f32x4.mul(v128.load(SIGNS), f32x4.splat(PART));
  let above = zero, below = zero;
  for (const end = from + (<usize>depth << 2); from < end; from += 16) {
    const x = f32x4.mul(v128.load(from), signs);
    above = f32x4.add(above, f32x4.pmax(zero, x));
    below = f32x4.sub(below, f32x4.pmin(zero, x));
  }
  const sums = f32x4.pmax(f32x4.add(above, i32x4.shuffle(above, above, 1, 0, 3, 2)), f32x4.add(below, i32x4.shuffle(below, below, 1, 0, 3, 2)));
  return min<f32>(<f32>127 / most, MOST * PART / max<f32>(f32x4.extract_lane(sums, 0), f32x4.extract_lane(sums, 2)));
}

/** Integers in the low bits of four lanes. */
// @ts-ignore: decorator
@inline
function whole(from: usize, times: v128, magic: v128): v128 { return f32x4.add(f32x4.mul(v128.load(from), times), magic); }

/** Writes channels as 16-bit integers, two at each of `steps` places. */
function packPairs(from: usize, steps: i32, factor: f32, depth: i32, to: usize, stride: usize): void {
  const times = f32x4.splat(factor), magic = f32x4.splat(MAGIC), most = f32x4.splat(<f32>((1 << bitsOf(depth)) - 1)), least = f32x4.neg(most);
  for (; steps > 0; steps -= 2) {
    const a = f32x4.add(f32x4.pmax(f32x4.pmin(f32x4.mul(v128.load(from), times), most), least), magic);
    const pairs = i16x8.shuffle(a, a, 0, 2, 4, 6, 0, 2, 4, 6);
    store<i32>(to, i32x4.extract_lane(pairs, 0));
    if (steps > 1) store<i32>(to + stride, i32x4.extract_lane(pairs, 1));
    from += 16;
    to += stride << 1;
  }
}

/** Writes a row's channels, a step's at each of `steps` places `stride` bytes apart. What is read beyond them meets zeros of the keys. */
export function packRow(from: usize, steps: i32, factor: f32, depth: i32, to: usize, stride: usize): void {
  if (!BYTES) {
    packPairs(from, steps, factor, depth, to, stride);
    return;
  }
  const times = f32x4.mul(v128.load(SIGNS), f32x4.splat(factor)), magic = f32x4.splat(MAGIC + OFFSET);
  for (; steps > 0; steps--) {
    const x = whole(from, times, magic);
    store<i32>(to, i32x4.extract_lane(i8x16.shuffle(x, x, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0));
    from += 16;
    to += stride;
  }
}

/** `packRow` of a key, which is read up to a multiple of 4: zeros. @returns what its products with any row are too large by, in units of both */
export function packKey(from: usize, steps: i32, factor: f32, depth: i32, to: usize, stride: usize): f32 {
  if (!BYTES) {
    packPairs(from, steps, factor, depth, to, stride);
    return 0;
  }
  const times = f32x4.mul(v128.load(SIGNS), f32x4.splat(factor)), magic = f32x4.splat(MAGIC);
  let sum = f32x4.splat(0);
  for (; steps > 0; steps--) {
    const x = whole(from, times, magic);
    store<i32>(to, i32x4.extract_lane(i8x16.shuffle(x, x, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0));
    sum = f32x4.add(sum, f32x4.sub(x, magic));
    from += 16;
    to += stride;
  }
  return OFFSET * (f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3));
}

/** What a unit of the integers is worth. */
// @ts-ignore: decorator
@inline
export function unitOf(factor: f32): f32 { return factor == 0 ? 0 : 1 / factor; }
