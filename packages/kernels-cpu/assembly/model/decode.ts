// A row of a stored matrix to float32. Types are numbered as in src/model/types.ts.
import { decodeHalves } from '../numbers/half';
import { decodeQ45K, decodeQ6K } from './blocks256';
import { decodeQ4, decodeQ5, decodeQ8 } from './blocks32';
import { decodeHalf } from './scalar';

export const F32: i32 = 0;
export const F16: i32 = 1;
export const BF16: i32 = 2;
export const Q8_0: i32 = 3;
export const Q4_0: i32 = 4;
export const Q4_1: i32 = 5;
export const Q5_0: i32 = 6;
export const Q5_1: i32 = 7;
export const Q4_K: i32 = 8;
export const Q5_K: i32 = 9;
export const Q6_K: i32 = 10;

/** `count` numbers of a row from its first block on; `count` is a whole number of blocks. */
export function decodeRow(type: i32, from: usize, to: usize, count: i32): void {
  switch (type) {
    case F32: memory.copy(to, from, <usize>count << 2); break;
    case F16: decodeF16(from, to, count); break;
    case BF16: decodeBF16(from, to, count); break;
    case Q8_0: decodeQ8(from, to, count >> 5); break;
    case Q4_0: decodeQ4(from, to, count >> 5, false); break;
    case Q4_1: decodeQ4(from, to, count >> 5, true); break;
    case Q5_0: decodeQ5(from, to, count >> 5, false); break;
    case Q5_1: decodeQ5(from, to, count >> 5, true); break;
    case Q4_K: decodeQ45K(from, to, count >> 8, false); break;
    case Q5_K: decodeQ45K(from, to, count >> 8, true); break;
    default: decodeQ6K(from, to, count >> 8);
  }
}

function decodeF16(from: usize, to: usize, count: i32): void {
  const whole = count & ~7;
  decodeHalves(from, to, whole, true);
  for (let i = <usize>whole; i < <usize>count; i++) store<f32>(to + (i << 2), decodeHalf(from + (i << 1)));
}

function decodeBF16(from: usize, to: usize, count: i32): void {
  const whole = <usize>(count & ~7);
  for (let i: usize = 0; i < whole; i += 8) {
    const bits = v128.load(from + (i << 1));
    v128.store(to + (i << 2), i32x4.shl(i32x4.extend_low_i16x8_u(bits), 16));
    v128.store(to + (i << 2), i32x4.shl(i32x4.extend_high_i16x8_u(bits), 16), 16);
  }
  for (let i = whole; i < <usize>count; i++) store<u32>(to + (i << 2), <u32>load<u16>(from + (i << 1)) << 16);
}
