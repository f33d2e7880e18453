// float32 ↔ float16 rows as IEEE 754 has it: to nearest even, subnormals kept, infinity from 65520 on, NaN stays NaN (of one kind).
import { sizeMask } from './non-finite';

/** Scale of decode4: 2¹¹². */
const CONSTANTS: usize = memory.data<f32>([5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33], 16);
/** Bits of the largest float32 that rounds to a finite float16: the one before 65520. */
const LARGEST: i32 = 0x477fefff;
const INFINITE: i32 = 0x7f800000;

/** Four floats that are finite as halves → these in the low bits of four lanes; `size` are their absolute values. */
// @ts-ignore: decorator
@inline
function encode4(x: v128, size: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000));
  // Normal halves: rebias the exponent by −112, round 13 bits away to nearest even.
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(size, odd), i32x4.splat(0xfff - (112 << 23))), 13);
  // Subnormal halves: adding ½ leaves units of 2⁻²⁴ in the low mantissa bits, rounded by the addition.
  const subnormal = i32x4.sub(f32x4.add(size, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const small = f32x4.lt(size, f32x4.splat(6.103515625e-5));
  return v128.or(v128.bitselect(subnormal, normal, small), i32x4.shr_u(sign, 16));
}

/** encode4 of any floats. */
// @ts-ignore: decorator
@inline
function encodeAny4(x: v128, size: v128): v128 {
  const nan = v128.and(i32x4.gt_s(size, i32x4.splat(INFINITE)), i32x4.splat(0x200));
  const sign = i32x4.shr_u(v128.and(x, i32x4.splat(0x80000000)), 16);
  const special = v128.or(v128.or(i32x4.splat(0x7c00), nan), sign);
  return v128.bitselect(special, encode4(x, size), i32x4.gt_s(size, i32x4.splat(LARGEST)));
}

/** Writes `count` floats (a multiple of 8) as halves. @returns true when some half is infinite or NaN */
export function encodeHalves(from: usize, to: usize, count: i32): bool {
  const mask = sizeMask();
  let most = i32x4.splat(0);
  const bytes = <usize>count << 2;
  for (let c: usize = 0; c < bytes; c += 32) {
    const a = v128.load(from + c), b = v128.load(from + c, 16);
    const sizeA = v128.and(a, mask), sizeB = v128.and(b, mask);
    most = i32x4.max_s(most, i32x4.max_s(sizeA, sizeB));
    // Lanes hold 0…65535: a saturating narrow of unsigned values would clamp above 32767, a shuffle of low halves does not.
    v128.store(to + (c >> 1), i16x8.shuffle(encode4(a, sizeA), encode4(b, sizeB), 0, 2, 4, 6, 8, 10, 12, 14));
  }
  if (!v128.any_true(i32x4.gt_s(most, i32x4.splat(LARGEST)))) return false;
  for (let c: usize = 0; c < bytes; c += 32) {
    const a = v128.load(from + c), b = v128.load(from + c, 16);
    v128.store(to + (c >> 1), i16x8.shuffle(encodeAny4(a, v128.and(a, mask)), encodeAny4(b, v128.and(b, mask)), 0, 2, 4, 6, 8, 10, 12, 14));
  }
  return true;
}

// @ts-ignore: decorator
@inline
function decode4(bits: v128, scale: v128): v128 {
  const size = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  // Read as float32 the exponent is 112 too small: the product sets it right, for subnormals too.
  return v128.or(f32x4.mul(size, scale), sign);
}

/** What decode4 lacks: the exponent of halves that are infinite or NaN. */
// @ts-ignore: decorator
@inline
function specials(bits: v128): v128 {
  return v128.and(i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fff)), i32x4.splat(0x7bff)), i32x4.splat(INFINITE));
}

/** Reads `count` halves (a multiple of 8) into floats. `special`: some may be infinite or NaN. */
// @ts-ignore: decorator
@inline
export function decodeHalves(from: usize, to: usize, count: i32, special: bool): void {
  if (special) decodeAny(from, to, count);
  else decodeFinite(from, to, count);
}

function decodeFinite(from: usize, to: usize, count: i32): void {
  const scale = v128.load(CONSTANTS);
  const end = to + (<usize>count << 2);
  for (; to < end; to += 32) {
    const bits = v128.load(from);
    v128.store(to, decode4(i32x4.extend_low_i16x8_u(bits), scale));
    v128.store(to, decode4(i32x4.extend_high_i16x8_u(bits), scale), 16);
    from += 16;
  }
}

function decodeAny(from: usize, to: usize, count: i32): void {
  const scale = v128.load(CONSTANTS);
  const end = to + (<usize>count << 2);
  for (; to < end; to += 32) {
    const bits = v128.load(from);
    const low = i32x4.extend_low_i16x8_u(bits), high = i32x4.extend_high_i16x8_u(bits);
    v128.store(to, v128.or(decode4(low, scale), specials(low)));
    v128.store(to, v128.or(decode4(high, scale), specials(high)), 16);
    from += 16;
  }
}
