// A group of eight rows to float32 as the micro-kernel reads it, [columns][8].
import { BF16, F16, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0 } from './decode';
import { minima4, scales4, signedScales4, sixes8 } from './dot256';
import { fifthMask, halves4, nibbleMask } from './dot32';

/** Pairs of columns of four rows in i16 lanes → their floats, times `scale` plus `minimum`, to columns 32 bytes apart. */
// @ts-ignore: decorator
@inline
function spread(pair: v128, scale: v128, minimum: v128, to: usize): void {
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(pair, 16), 16)), scale), minimum));
  v128.store(to, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(pair, 16)), scale), minimum), 32);
}

/** Blocks of 32, four rows of the group: `size` bytes of a block of the group, scale first. */
function half32(type: i32, at: usize, to: usize, depth: i32): void {
  const mask = nibbleMask(), fifth = fifthMask();
  const end = to + (<usize>depth << 5);
  for (; to < end; to += 1024) {
    const d = halves4(at);
    if (type == Q8_0) {
      for (let c: usize = 0; c < 256; c += 16) spread(v128.load8x8_s(at + 16 + c), d, f32x4.splat(-0.0), to + (c << 2));
      at += 272;
      continue;
    }
    const least = type == Q4_1 || type == Q5_1, five = type == Q5_0 || type == Q5_1;
    const m = least ? halves4(at + 16) : f32x4.mul(d, f32x4.splat(five ? -16 : -8));
    at += least ? 32 : 16;
    let low = i16x8.shl(v128.load8x8_u(at), 4), up = i16x8.shl(v128.load8x8_u(at, 16), 4);
    if (five) at += 32;
    for (let c: usize = 0; c < 128; c += 16) {
      const q = v128.load8x8_u(at + c);
      let a = v128.and(q, mask), b = i16x8.shr_u(q, 4);
      if (five) {
        a = v128.or(a, v128.and(low, fifth));
        b = v128.or(b, v128.and(up, fifth));
        low = i16x8.shr_u(low, 1);
        up = i16x8.shr_u(up, 1);
      }
      spread(a, d, m, to + (c << 2));
      spread(b, d, m, to + (c << 2) + 512);
    }
    at += 128;
  }
}

function half45K(five: bool, at: usize, to: usize, depth: i32): void {
  const mask = nibbleMask(), fifth = fifthMask();
  const end = to + (<usize>depth << 5);
  while (to < end) {
    const d = halves4(at), least = halves4(at + 16);
    const high = at + 128, qs = high + (five ? 256 : 0);
    for (let j = 0; j < 8; j++) {
      const scale = f32x4.mul(d, scales4(at + 32, j)), m = f32x4.neg(f32x4.mul(least, minima4(at + 32, j)));
      const from = qs + (<usize>(j >> 1) << 8), shift = (j & 1) << 2;
      for (let c: usize = 0; c < 256; c += 16) {
        let q = v128.and(i16x8.shr_u(v128.load8x8_u(from + c), shift), mask);
        if (five) q = v128.or(q, v128.and(i16x8.shr_u(i16x8.shl(v128.load8x8_u(high + c), 4), j), fifth));
        spread(q, scale, m, to + (c << 2));
      }
      to += 1024;
    }
    at += five ? 1408 : 1152;
  }
}

function half6K(at: usize, to: usize, depth: i32): void {
  const mask = nibbleMask(), three = i16x8.splat(3), offset = i16x8.splat(32);
  const end = to + (<usize>depth << 5);
  while (to < end) {
    const d = halves4(at + 1664);
    for (let k = 0; k < 16; k++) {
      const part = <usize>(k >> 3), row = (k >> 1) & 3, side = <usize>(k & 1) << 7;
      const low = at + (part << 9) + (<usize>(row & 1) << 8) + side, high = at + 1024 + (part << 8) + side;
      const scale = f32x4.mul(d, signedScales4(at + 1536, k));
      for (let c: usize = 0; c < 128; c += 16) spread(sixes8(low + c, high + c, row, mask, three, offset), scale, f32x4.splat(-0.0), to + (c << 2));
      to += 512;
    }
    at += 1680;
  }
}

function floats16(brain: bool, at: usize, to: usize, depth: i32): void {
  const end = to + (<usize>depth << 5);
  for (; to < end; to += 32) {
    v128.store(to, brain ? i32x4.shl(v128.load16x4_u(at), 16) : halves4(at));
    v128.store(to, brain ? i32x4.shl(v128.load16x4_u(at, 8), 16) : halves4(at + 8), 16);
    at += 16;
  }
}

/** Any type but float32, whose groups are panels already. */
export function decodePanel(type: i32, at: usize, to: usize, depth: i32): void {
  if (type == F16 || type == BF16) {
    floats16(type == BF16, at, to, depth);
    return;
  }
  for (let side: usize = 0; side < 2; side++) {
    const from = at + (side << 3), out = to + (side << 4);
    if (type == Q6_K) half6K(from, out, depth);
    else if (type == Q4_K || type == Q5_K) half45K(type == Q5_K, from, out, depth);
    else half32(type, from, out, depth);
  }
}
