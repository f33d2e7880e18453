// GGUF's blocks of 32 values to float32: one rounding, that of the stored product or sum.
import { decodeHalf } from './scalar';

/** f32 [32] from i8 [32] in two vectors, times `scale`, plus `minimum`. */
// @ts-ignore: decorator
@inline
export function spread32(low: v128, high: v128, scale: v128, minimum: v128, to: usize): void {
  spread16(low, scale, minimum, to);
  spread16(high, scale, minimum, to + 64);
}

/** f32 [16] from i8 [16], times `scale`, plus `minimum`. */
// @ts-ignore: decorator
@inline
export function spread16(q: v128, scale: v128, minimum: v128, to: usize): void {
  const low = i16x8.extend_low_i8x16_s(q), high = i16x8.extend_high_i8x16_s(q);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), scale), minimum));
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), scale), minimum), 16);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), scale), minimum), 32);
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), scale), minimum), 48);
}

/** Bit j of four bytes as bit 4 of byte j of 16, for bits 0…15 or 16…31. */
// @ts-ignore: decorator
@inline
export function fifthBits(bits: v128, upper: bool): v128 {
  const bytes = upper
    ? i8x16.shuffle(bits, bits, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)
    : i8x16.shuffle(bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const select = i64x2.splat(0x8040201008040201);
  return v128.and(i8x16.eq(v128.and(bytes, select), select), i8x16.splat(16));
}

/** `minimum`: blocks hold one (Q4_1), else values are 8 less (Q4_0). */
export function decodeQ4(from: usize, to: usize, blocks: i32, minimum: bool): void {
  const qs: usize = minimum ? 4 : 2;
  const offset = minimum ? i8x16.splat(0) : i8x16.splat(8), nibble = i8x16.splat(15);
  for (; blocks > 0; blocks--) {
    const q = v128.load(from + qs);
    const d = f32x4.splat(decodeHalf(from)), m = minimum ? f32x4.splat(decodeHalf(from + 2)) : f32x4.splat(-0.0);
    spread32(i8x16.sub(v128.and(q, nibble), offset), i8x16.sub(i8x16.shr_u(q, 4), offset), d, m, to);
    from += qs + 16;
    to += 128;
  }
}

/** `minimum`: blocks hold one (Q5_1), else values are 16 less (Q5_0). */
export function decodeQ5(from: usize, to: usize, blocks: i32, minimum: bool): void {
  const high: usize = minimum ? 4 : 2;
  const offset = minimum ? i8x16.splat(0) : i8x16.splat(16), nibble = i8x16.splat(15);
  for (; blocks > 0; blocks--) {
    const bits = v128.load32_zero(from + high), q = v128.load(from + high + 4);
    const d = f32x4.splat(decodeHalf(from)), m = minimum ? f32x4.splat(decodeHalf(from + 2)) : f32x4.splat(-0.0);
    const low = v128.or(v128.and(q, nibble), fifthBits(bits, false)), up = v128.or(i8x16.shr_u(q, 4), fifthBits(bits, true));
    spread32(i8x16.sub(low, offset), i8x16.sub(up, offset), d, m, to);
    from += high + 20;
    to += 128;
  }
}

export function decodeQ8(from: usize, to: usize, blocks: i32): void {
  const none = f32x4.splat(-0.0);
  for (; blocks > 0; blocks--) {
    spread32(v128.load(from + 2), v128.load(from + 18), f32x4.splat(decodeHalf(from)), none, to);
    from += 34;
    to += 128;
  }
}
