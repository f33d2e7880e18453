// NaN and infinity in runs of floats: fast paths ask first whether all operands are finite. What then keeps them with those that may see
// them is ../attention/seen.ts.

/** Absolute values from here on, read as integers, are infinities and NaN. */
export const INFINITE: i32 = 0x7f800000;
/** The bits of an absolute value. */
export const SIZE: i32 = 0x7fffffff;
/** Largest finite float. */
export const LARGEST: f32 = 3.4028234663852886e38;

// Vectors that loops hold, loaded as those of EXP are.
const SIZES: usize = memory.data<i32>([SIZE, SIZE, SIZE, SIZE], 16);
const EXTREMES: usize = memory.data<f32>([LARGEST, LARGEST, LARGEST, LARGEST, -LARGEST, -LARGEST, -LARGEST, -LARGEST], 16);

// @ts-ignore: decorator
@inline
export function sizeMask(): v128 { return v128.load(SIZES); }
// @ts-ignore: decorator
@inline
export function largest(): v128 { return v128.load(EXTREMES); }
// @ts-ignore: decorator
@inline
export function smallest(): v128 { return v128.load(EXTREMES, 16); }

// @ts-ignore: decorator
@inline
export function isFinite32(x: f32): bool { return (reinterpret<i32>(x) & SIZE) < INFINITE; }

/** Largest absolute value seen so far, as integers lane by lane: `most` and one more vector. */
// @ts-ignore: decorator
@inline
export function largerSize(most: v128, x: v128, size: v128): v128 { return i32x4.max_s(most, v128.and(x, size)); }

// @ts-ignore: decorator
@inline
export function allFinite(most: v128): bool { return !v128.any_true(i32x4.gt_s(most, i32x4.splat(INFINITE - 1))); }

/** Whether `bytes` bytes (a multiple of 16) from `at` on hold finite floats only. */
export function finiteRun(at: usize, bytes: usize): bool {
  const size = sizeMask();
  let most = i32x4.splat(0);
  for (const end = at + bytes; at < end; at += 16) most = largerSize(most, v128.load(at), size);
  return allFinite(most);
}

/** `finiteRun` over rows given by pointers. */
export function finiteRows(list: usize, count: i32, bytes: usize): bool {
  const size = sizeMask();
  let most = i32x4.splat(0);
  for (const end = list + (<usize>count << 2); list < end; list += 4) {
    const row = <usize>load<u32>(list);
    for (let c: usize = 0; c < bytes; c += 16) most = largerSize(most, v128.load(row + c), size);
  }
  return allFinite(most);
}

/** Makes every NaN of a run the same quiet one: exp2 moves low mantissa bits into the exponent, where other NaN would become numbers. */
export function plainNaN(at: usize, bytes: usize): void {
  for (const end = at + bytes; at < end; at += 16) {
    const x = v128.load(at);
    v128.store(at, v128.bitselect(x, i32x4.splat(0x7fc00000), f32x4.eq(x, x)));
  }
}
