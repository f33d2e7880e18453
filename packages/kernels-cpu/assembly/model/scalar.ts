// One float16 to float32, as ../numbers/half.ts does it for vectors.

/** The float32 of the half at `from`; infinities and NaN stay what they are. */
// @ts-ignore: decorator
@inline
export function decodeHalf(from: usize): f32 {
  const bits = <u32>load<u16>(from);
  const size = bits & 0x7fff;
  // Read as float32 the exponent is 112 too small: the product sets it right, for subnormals too.
  const value = reinterpret<f32>(size << 13) * reinterpret<f32>(0x77800000);
  const special: u32 = size > 0x7bff ? 0x7f800000 : 0;
  return reinterpret<f32>(reinterpret<u32>(value) | special | ((bits & 0x8000) << 16));
}
