// GGUF's blocks of 256 values ("K") to float32: one rounding, that of the stored product or difference.
import { spread16, spread32 } from './blocks32';
import { decodeHalf } from './scalar';

/** Scale of sub-block j of 8, out of 12 bytes: 6 bits. */
// @ts-ignore: decorator
@inline
export function scaleOf(at: usize, j: i32): i32 {
  const i = at + <usize>j;
  return j < 4 ? load<u8>(i) & 63 : (load<u8>(i + 4) & 15) | ((load<u8>(i - 4) >> 6) << 4);
}

/** Its minimum. */
// @ts-ignore: decorator
@inline
export function minimumOf(at: usize, j: i32): i32 {
  const i = at + <usize>j;
  return j < 4 ? load<u8>(i + 4) & 63 : (load<u8>(i + 4) >> 4) | ((load<u8>(i) >> 6) << 4);
}

/** 8 sub-blocks of 32; bytes of 32 hold two of them. `five`: bit j of high byte i is the fifth bit of value i of sub-block j (Q5_K). */
export function decodeQ45K(from: usize, to: usize, blocks: i32, five: bool): void {
  const nibble = i8x16.splat(15), sixteen = i8x16.splat(16);
  for (; blocks > 0; blocks--) {
    const d = decodeHalf(from), least = decodeHalf(from + 2);
    const high = from + 16;
    let qs = high + (five ? 32 : 0);
    for (let j = 0; j < 8; j++) {
      let low = v128.load(qs), up = v128.load(qs, 16);
      if (j & 1) {
        low = i8x16.shr_u(low, 4);
        up = i8x16.shr_u(up, 4);
        qs += 32;
      } else {
        low = v128.and(low, nibble);
        up = v128.and(up, nibble);
      }
      if (five) {
        low = v128.or(low, v128.and(i8x16.shl(i8x16.shr_u(v128.load(high), j), 4), sixteen));
        up = v128.or(up, v128.and(i8x16.shl(i8x16.shr_u(v128.load(high, 16), j), 4), sixteen));
      }
      const minimum = -(least * <f32>minimumOf(from + 4, j));
      spread32(low, up, f32x4.splat(d * <f32>scaleOf(from + 4, j)), f32x4.splat(minimum), to);
      to += 128;
    }
    from += five ? 176 : 144;
  }
}

/** Values of 16 out of low bits, and of two bits of `high` at `shift`. */
// @ts-ignore: decorator
@inline
function sixBits(low: v128, high: v128, shift: i32): v128 {
  const two = i8x16.shl(v128.and(i8x16.shr_u(high, shift), i8x16.splat(3)), 4);
  return i8x16.sub(v128.or(low, two), i8x16.splat(32));
}

/** Two halves of 128, each four rows of 32: 4 low bits, 2 high bits, an int8 scale for 16 values. */
export function decodeQ6K(from: usize, to: usize, blocks: i32): void {
  const nibble = i8x16.splat(15), none = f32x4.splat(-0.0);
  for (; blocks > 0; blocks--) {
    const d = decodeHalf(from + 208);
    for (let part: usize = 0; part < 2; part++) {
      const low = from + part * 64, high = from + 128 + part * 32;
      let scales = from + 192 + part * 8;
      for (let row = 0; row < 4; row++) {
        const at = low + <usize>((row & 1) << 5);
        for (let side: usize = 0; side < 32; side += 16) {
          const bytes = v128.load(at + side);
          const bits = row < 2 ? v128.and(bytes, nibble) : i8x16.shr_u(bytes, 4);
          const q = sixBits(bits, v128.load(high + side), row << 1);
          spread16(q, f32x4.splat(d * <f32>load<i8>(scales++)), none, to);
          to += 64;
        }
      }
    }
    from += 210;
  }
}
