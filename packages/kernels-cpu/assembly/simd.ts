// Vector helpers: fused multiply-add where the binary is built for relaxed SIMD, exp2, horizontal sums, the 4×8 micro-kernel.

/** Stand-in for −∞ of masked scores: far below INITIAL_MAX, so their weight is exactly 0 and no NaN appears. */
export const MASKED: f32 = -3.0e38;
/** Running maximum before the first key. */
export const INITIAL_MAX: f32 = -1.0e30;
/** Keys of a packed panel: two vectors. */
export const PANEL: i32 = 8;

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/** 2^x for x <= 0 or moderate x; relative error < 2.5e-7. Below −126 the result is 0. */
// @ts-ignore: decorator
@inline
export function exp2x4(x: v128): v128 {
  const clamped = f32x4.max(x, f32x4.splat(-127.0));
  const whole = f32x4.nearest(clamped);
  const f = f32x4.sub(clamped, whole);
  // Minimax polynomial of 2^f on [−½, ½].
  let p = f32x4.splat(1.535336188319500e-4);
  p = fma(p, f, f32x4.splat(1.339887440266574e-3));
  p = fma(p, f, f32x4.splat(9.618437357674640e-3));
  p = fma(p, f, f32x4.splat(5.550332471162809e-2));
  p = fma(p, f, f32x4.splat(2.402264791363012e-1));
  p = fma(p, f, f32x4.splat(6.931472028550421e-1));
  p = fma(p, f, f32x4.splat(1.0));
  const exponent = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(whole), i32x4.splat(127)), 23);
  return f32x4.mul(p, exponent);
}

// @ts-ignore: decorator
@inline
export function horizontalSum(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

// @ts-ignore: decorator
@inline
export function horizontalMax(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/**
 * C[4×8] (+)= A[4×depth] · B[depth×8].
 *
 * @param a first row of A; rows are `lda` bytes apart, columns contiguous
 * @param b B, rows `ldb` bytes apart, 8 contiguous columns
 * @param c first row of C; rows `ldc` bytes apart
 * @param accumulate add to C instead of overwriting it
 */
export function tile4x8(a: usize, lda: usize, b: usize, ldb: usize, c: usize, ldc: usize, depth: i32, accumulate: bool): void {
  const a1 = a + lda;
  const a2 = a1 + lda;
  const a3 = a2 + lda;
  const c1 = c + ldc;
  const c2 = c1 + ldc;
  const c3 = c2 + ldc;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  if (accumulate) {
    c00 = v128.load(c); c01 = v128.load(c, 16);
    c10 = v128.load(c1); c11 = v128.load(c1, 16);
    c20 = v128.load(c2); c21 = v128.load(c2, 16);
    c30 = v128.load(c3); c31 = v128.load(c3, 16);
  }
  let offset: usize = 0;
  const whole = <usize>(depth & ~3) << 2;
  const end = <usize>depth << 2;
  while (offset < whole) {
    let b0 = v128.load(b), b1 = v128.load(b, 16);
    let s = v128.load32_splat(a + offset); c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + offset); c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + offset); c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + offset); c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    b += ldb;
    b0 = v128.load(b); b1 = v128.load(b, 16);
    s = v128.load32_splat(a + offset, 4); c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + offset, 4); c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + offset, 4); c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + offset, 4); c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    b += ldb;
    b0 = v128.load(b); b1 = v128.load(b, 16);
    s = v128.load32_splat(a + offset, 8); c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + offset, 8); c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + offset, 8); c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + offset, 8); c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    b += ldb;
    b0 = v128.load(b); b1 = v128.load(b, 16);
    s = v128.load32_splat(a + offset, 12); c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + offset, 12); c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + offset, 12); c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + offset, 12); c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    b += ldb;
    offset += 16;
  }
  while (offset < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let s = v128.load32_splat(a + offset); c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + offset); c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + offset); c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + offset); c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    b += ldb;
    offset += 4;
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(c1, c10); v128.store(c1, c11, 16);
  v128.store(c2, c20); v128.store(c2, c21, 16);
  v128.store(c3, c30); v128.store(c3, c31, 16);
}
