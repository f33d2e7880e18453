// float32 ↔ float16 rows. Values beyond ±65504 are clamped, rounding is to nearest even, subnormals are kept.

const CONSTANTS: usize = memory.data<f32>([65504, 65504, 65504, 65504, 5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33, 5.192296858534828e33], 16);

/** Four floats → four halves in the low bits of four lanes. */
// @ts-ignore: decorator
@inline
function encode4(x: v128, limit: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000));
  const size = f32x4.pmin(f32x4.abs(x), limit);
  // Normal halves: rebias the exponent by −112, round 13 bits away to nearest even.
  const odd = v128.and(i32x4.shr_u(size, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(size, odd), i32x4.splat(0xfff - (112 << 23))), 13);
  // Subnormal halves: adding ½ leaves units of 2⁻²⁴ in the low mantissa bits, rounded by the addition.
  const subnormal = i32x4.sub(f32x4.add(size, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const small = f32x4.lt(size, f32x4.splat(6.103515625e-5));
  return v128.or(v128.bitselect(subnormal, normal, small), i32x4.shr_u(sign, 16));
}

/** Writes `count` floats (a multiple of 8) as halves. */
export function encodeHalves(from: usize, to: usize, count: i32): void {
  const limit = v128.load(CONSTANTS);
  const end = from + (<usize>count << 2);
  for (; from < end; from += 32) {
    // Lanes hold 0…65535: a saturating narrow of unsigned values would clamp above 32767, a shuffle of low halves does not.
    v128.store(to, i16x8.shuffle(encode4(v128.load(from), limit), encode4(v128.load(from, 16), limit), 0, 2, 4, 6, 8, 10, 12, 14));
    to += 16;
  }
}

// @ts-ignore: decorator
@inline
function decode4(bits: v128, scale: v128): v128 {
  const size = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  // Read as float32 the exponent is 112 too small: the product sets it right, for subnormals too.
  return v128.or(f32x4.mul(size, scale), sign);
}

/** Reads `count` halves (a multiple of 8) into floats. */
export function decodeHalves(from: usize, to: usize, count: i32): void {
  const scale = v128.load(CONSTANTS, 16);
  const end = to + (<usize>count << 2);
  for (; to < end; to += 32) {
    const bits = v128.load(from);
    v128.store(to, decode4(i32x4.extend_low_i16x8_u(bits), scale));
    v128.store(to, decode4(i32x4.extend_high_i16x8_u(bits), scale), 16);
    from += 16;
  }
}
