// Products of a row of floats with eight rows of a group of floats: a lane a row. Four columns at a time, so that sums do not wait.
import { fma } from '../numbers/simd';
import { halves4 } from './dot32';

/** OUT[0…7] = Σ x · eight rows of float32. */
export function dotF32(at: usize, x: usize, depth: i32, to: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = x + (<usize>depth << 2), whole = x + (<usize>(depth & ~3) << 2);
  for (; x < whole; x += 16) {
    let s = v128.load32_splat(x); a0 = fma(s, v128.load(at), a0); b0 = fma(s, v128.load(at, 16), b0);
    s = v128.load32_splat(x, 4); a1 = fma(s, v128.load(at, 32), a1); b1 = fma(s, v128.load(at, 48), b1);
    s = v128.load32_splat(x, 8); a2 = fma(s, v128.load(at, 64), a2); b2 = fma(s, v128.load(at, 80), b2);
    s = v128.load32_splat(x, 12); a3 = fma(s, v128.load(at, 96), a3); b3 = fma(s, v128.load(at, 112), b3);
    at += 128;
  }
  for (; x < end; x += 4) {
    const s = v128.load32_splat(x);
    a0 = fma(s, v128.load(at), a0);
    b0 = fma(s, v128.load(at, 16), b0);
    at += 32;
  }
  v128.store(to, f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)));
  v128.store(to, f32x4.add(f32x4.add(b0, b1), f32x4.add(b2, b3)), 16);
}

/** Four numbers of float16, finite, or bfloat16. */
// @ts-ignore: decorator
@inline
function wide4(at: usize, brain: bool): v128 { return brain ? i32x4.shl(v128.load16x4_u(at), 16) : halves4(at); }

// @ts-ignore: decorator
@inline
function dot16(at: usize, x: usize, depth: i32, to: usize, brain: bool): void {
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0;
  const end = x + (<usize>depth << 2), whole = x + (<usize>(depth & ~1) << 2);
  for (; x < whole; x += 8) {
    let s = v128.load32_splat(x); a0 = fma(s, wide4(at, brain), a0); b0 = fma(s, wide4(at + 8, brain), b0);
    s = v128.load32_splat(x, 4); a1 = fma(s, wide4(at + 16, brain), a1); b1 = fma(s, wide4(at + 24, brain), b1);
    at += 32;
  }
  if (x < end) {
    const s = v128.load32_splat(x);
    a0 = fma(s, wide4(at, brain), a0);
    b0 = fma(s, wide4(at + 8, brain), b0);
  }
  v128.store(to, f32x4.add(a0, a1));
  v128.store(to, f32x4.add(b0, b1), 16);
}

/** What `dotF16` and `dotBF16` give, bit for bit, of a group that was widened to a panel of float32. */
export function dotWidened(at: usize, x: usize, depth: i32, to: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0;
  const end = x + (<usize>depth << 2), whole = x + (<usize>(depth & ~1) << 2);
  for (; x < whole; x += 8) {
    let s = v128.load32_splat(x); a0 = fma(s, v128.load(at), a0); b0 = fma(s, v128.load(at, 16), b0);
    s = v128.load32_splat(x, 4); a1 = fma(s, v128.load(at, 32), a1); b1 = fma(s, v128.load(at, 48), b1);
    at += 64;
  }
  if (x < end) {
    const s = v128.load32_splat(x);
    a0 = fma(s, v128.load(at), a0);
    b0 = fma(s, v128.load(at, 16), b0);
  }
  v128.store(to, f32x4.add(a0, a1));
  v128.store(to, f32x4.add(b0, b1), 16);
}

export function dotF16(at: usize, x: usize, depth: i32, to: usize): void { dot16(at, x, depth, to, false); }
export function dotBF16(at: usize, x: usize, depth: i32, to: usize): void { dot16(at, x, depth, to, true); }
