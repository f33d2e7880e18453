// Vector helpers: fused multiply-add where the binary is built for relaxed SIMD, exp2. Maxima are pmax throughout: one instruction,
// where max takes eight to order NaN and −0. pmax(a, b) is a unless a < b: a NaN in b is passed over.

/** Score of a hidden key: its weight is exactly 0. */
export const MASKED: f32 = -Infinity;
/** Running maximum before the first key: the smallest float, so that −∞ less it is −∞ and no NaN appears. */
export const INITIAL_MAX: f32 = -3.4028234663852886e38;
export const LOG2E: f32 = 1.4426950408889634;

/**
 * Constants of `exp2x4`, each in four lanes. They are loaded, not written as literals: engines rebuild a vector literal at every
 * use, which costs more than the arithmetic.
 *
 * Clamp, 1.5·2²³ (adding it rounds to an integer), then the minimax polynomial of 2^f on [−½, ½] with constant term 1, highest
 * power first; relative error < 1.8e-7 in float32.
 */
const C0: f32 = -127.0, C1: f32 = 12582912.0;
const P5: f32 = 0.001326472719, P4: f32 = 0.009671512986, P3: f32 = 0.05550733656, P2: f32 = 0.2402224217, P1: f32 = 0.6931469822;
export const EXP: usize = memory.data<f32>([
  C0, C0, C0, C0, C1, C1, C1, C1,
  P5, P5, P5, P5, P4, P4, P4, P4, P3, P3, P3, P3, P2, P2, P2, P2, P1, P1, P1, P1,
  1, 1, 1, 1,
], 16);

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/**
 * 2^x for x <= 127; exactly 0 for x <= −127; NaN for the plain NaN (non-finite.ts). `clamp … one` are the vectors of EXP, held by the caller across its loop.
 * x is split into an integer, added to the exponent bits, and f in [−½, ½].
 */
// @ts-ignore: decorator
@inline
export function exp2x4(x: v128, clamp: v128, magic: v128, p5: v128, p4: v128, p3: v128, p2: v128, p1: v128, one: v128): v128 {
  return exp2Clamped(f32x4.pmax(x, clamp), magic, p5, p4, p3, p2, p1, one);
}

/** `exp2x4` of what is at least the clamp. */
// @ts-ignore: decorator
@inline
export function exp2Clamped(x: v128, magic: v128, p5: v128, p4: v128, p3: v128, p2: v128, p1: v128, one: v128): v128 {
  const whole = f32x4.add(x, magic);
  x = f32x4.sub(x, f32x4.sub(whole, magic));
  const p = fma(fma(fma(fma(fma(p5, x, p4), x, p3), x, p2), x, p1), x, one);
  return i32x4.add(p, i32x4.shl(whole, 23));
}

/** 2^x for one vector outside hot loops. */
export function exp2Once(x: v128): v128 {
  return exp2x4(x, v128.load(EXP), v128.load(EXP, 16), v128.load(EXP, 32), v128.load(EXP, 48), v128.load(EXP, 64), v128.load(EXP, 80), v128.load(EXP, 96), v128.load(EXP, 112));
}

/** Constants of `exp2Coarse` as those of EXP lie: clamp, 1.5·2²³, then 2^f with constant term 1, highest power first; relative error < 1.1e-4. */
const Q3: f32 = 0.05500893383, Q2: f32 = 0.24221096354, Q1: f32 = 0.69328292486;
export const COARSE: usize = memory.data<f32>([
  C0, C0, C0, C0, C1, C1, C1, C1, Q3, Q3, Q3, Q3, Q2, Q2, Q2, Q2, Q1, Q1, Q1, Q1, 1, 1, 1, 1,
], 16);

/** 2^x as `exp2x4` has it, to four digits: for weights that are only compared. A NaN is 0. */
// @ts-ignore: decorator
@inline
export function exp2Coarse(x: v128, clamp: v128, magic: v128, q3: v128, q2: v128, q1: v128, one: v128): v128 {
  x = f32x4.pmax(clamp, x);
  const whole = f32x4.add(x, magic);
  x = f32x4.sub(x, f32x4.sub(whole, magic));
  return i32x4.add(fma(fma(fma(q3, x, q2), x, q1), x, one), i32x4.shl(whole, 23));
}

/** `exp2Coarse` outside hot loops. */
export function exp2CoarseOnce(x: v128): v128 {
  return exp2Coarse(x, v128.load(COARSE), v128.load(COARSE, 16), v128.load(COARSE, 32), v128.load(COARSE, 48), v128.load(COARSE, 64), v128.load(COARSE, 80));
}
