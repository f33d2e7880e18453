// WGSL that tells numbers from NaN and infinity by their bits: implementations may assume that arithmetic meets neither.

/** Bits of the smallest f32 that is no number of f16: halfway from 65504 to the next. */
const HALF_OVERFLOW = '0x477ff000u';
const INFINITY = '0x7f800000u';

/** Expression of `vec<n, bool>`: which of n f32 are NaN or infinite. */
export function notFinite(vector: string, size: 2 | 4): string {
  const all = `vec${size}<u32>(${INFINITY})`;
  return `((bitcast<vec${size}<u32>>(${vector}) & ${all}) == ${all})`;
}

/** Condition: an f32 is NaN. */
export function isNaNumber(value: string): string {
  return `((bitcast<u32>(${value}) & 0x7fffffffu) > ${INFINITY})`;
}

/** Expression of `vec4<bool>`: which of four f32 are NaN. */
export function areNaNumbers(vector: string): string {
  return `((bitcast<vec4<u32>>(${vector}) & vec4<u32>(0x7fffffffu)) > vec4<u32>(${INFINITY}))`;
}

/**
 * `pack_halves` is `pack2x16float` for every number: that one's result is undefined beyond f16's range, and SwiftShader makes NaN of
 * infinity. `pack_means` stores finite numbers as finite: a mean of f16 lies between them, even where rounding carried it over 65504.
 */
export const HALF_FUNCTIONS = `fn pack_above(value: vec2<f32>, limit: u32) -> u32 {
  let all = bitcast<vec2<u32>>(value);
  let size = all & vec2<u32>(0x7fffffffu);
  let packed = pack2x16float(clamp(value, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
  let infinite = ((all >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | vec2<u32>(0x7c00u);
  let number = select(vec2<u32>(packed & 0xffffu, packed >> 16u), infinite, size >= vec2<u32>(limit));
  let halves = select(number, vec2<u32>(0x7e00u), size > vec2<u32>(${INFINITY}));
  return halves.x | (halves.y << 16u);
}
fn pack_halves(value: vec2<f32>) -> u32 { return pack_above(value, ${HALF_OVERFLOW}); }
fn pack_means(value: vec2<f32>) -> u32 { return pack_above(value, ${INFINITY}); }`;
