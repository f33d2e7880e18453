// Activation functions on four numbers. Operations are numbered as in src/model/elements.ts.
import { exp2Once, fma, LOG2E } from '../numbers/simd';

export const IDENTITY: i32 = 0;
export const SILU: i32 = 1;
export const GELU: i32 = 2;
export const GELU_TANH: i32 = 3;
export const GELU_QUICK: i32 = 4;
export const RELU: i32 = 5;
export const RELU_SQUARED: i32 = 6;
export const SIGMOID: i32 = 7;
export const TANH: i32 = 8;

// @ts-ignore: decorator
@inline
function all(x: f32): v128 { return f32x4.splat(x); }

/** e^x, infinite from 2^128 on. */
// @ts-ignore: decorator
@inline
function exp4(x: v128): v128 { return exp2Once(f32x4.pmin(f32x4.mul(x, all(LOG2E)), all(128))); }

/** x / (1 + e^−y). */
// @ts-ignore: decorator
@inline
function timesSigmoid(x: v128, y: v128): v128 { return f32x4.div(x, f32x4.add(all(1), exp4(f32x4.neg(y)))); }

/** `y`, and `x` where that is NaN. */
// @ts-ignore: decorator
@inline
function orNaN(y: v128, x: v128): v128 { return v128.bitselect(y, x, f32x4.eq(x, x)); }

/** tanh x = 2 / (1 + e^−2x) − 1; below ⅛, where that cancels, x − x³/3 + 2x⁵/15 − 17x⁷/315. */
export function tanh4(x: v128): v128 {
  const large = f32x4.sub(timesSigmoid(all(2), f32x4.add(x, x)), all(1));
  const square = f32x4.mul(x, x);
  const series = fma(fma(fma(square, all(-0.05396825396825397), all(0.13333333333333333)), square, all(-0.3333333333333333)), square, all(1));
  return orNaN(v128.bitselect(f32x4.mul(x, series), large, f32x4.lt(f32x4.abs(x), all(0.125))), x);
}

/** x·Φ(x), by Abramowitz and Stegun 7.1.26 for the error function: off by less than 1.5e-7 of it. */
function gelu4(x: v128): v128 {
  const size = f32x4.mul(f32x4.abs(x), all(0.7071067811865476));
  const t = f32x4.div(all(1), fma(size, all(0.3275911), all(1)));
  const p = fma(fma(fma(fma(t, all(1.061405429), all(-1.453152027)), t, all(1.421413741)), t, all(-0.284496736)), t, all(0.254829592));
  // 1 − erf |x|/√2, halved: what Φ lacks to 1, or is.
  const rest = f32x4.mul(f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(size, size)))), all(0.5));
  return f32x4.mul(x, v128.bitselect(rest, f32x4.sub(all(1), rest), f32x4.lt(x, all(0))));
}

// @ts-ignore: decorator
@inline
function geluTanh4(x: v128): v128 {
  const cubic = fma(f32x4.mul(f32x4.mul(x, x), x), all(0.044715), x);
  return timesSigmoid(x, f32x4.mul(cubic, all(1.5957691216057308)));
}

export function activate(kind: i32, x: v128): v128 {
  if (kind == SILU) return timesSigmoid(x, x);
  if (kind == GELU) return gelu4(x);
  if (kind == GELU_TANH) return geluTanh4(x);
  if (kind == GELU_QUICK) return timesSigmoid(x, f32x4.mul(x, all(1.702)));
  if (kind == RELU) return f32x4.max(x, all(0));
  if (kind == RELU_SQUARED) return f32x4.mul(f32x4.max(x, all(0)), f32x4.max(x, all(0)));
  if (kind == SIGMOID) return orNaN(timesSigmoid(all(1), x), x);
  if (kind == TANH) return tanh4(x);
  return x;
}
