struct Sizes {
  batchFirst: u32,
  keys: u32,
  keyBase: u32,
  keyRows: u32,
  kvHeads: u32,
  firstChunk: u32,
  endChunk: u32,
  envelopeChunks: u32,
}
@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> k: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> envelope: array<vec4u>;
fn pack_above(value: vec2<f32>, limit: u32) -> u32 {
  let all = bitcast<vec2<u32>>(value);
  let size = all & vec2<u32>(0x7fffffffu);
  let packed = pack2x16float(clamp(value, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
  let infinite = ((all >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | vec2<u32>(0x7c00u);
  let number = select(vec2<u32>(packed & 0xffffu, packed >> 16u), infinite, size >= vec2<u32>(limit));
  let halves = select(number, vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
  return halves.x | (halves.y << 16u);
}
fn pack_halves(value: vec2<f32>) -> u32 { return pack_above(value, 0x477ff000u); }
fn pack_means(value: vec2<f32>) -> u32 { return pack_above(value, 0x7f800000u); }
fn key_row(batch: u32, key: u32) -> u32 { return batch * sizes.keyRows + key - sizes.keyBase; }
@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let lane = id.x + id.z * groups.x * 128u;
  let batch = sizes.batchFirst + id.y;
  let c = lane % 8u;
  let head = (lane / 8u) % sizes.kvHeads;
  let chunk = sizes.firstChunk + lane / (8u * sizes.kvHeads);
  if (chunk >= sizes.endChunk) { return; }
  let first = 16u + chunk * 64u;
  let end = min(first + 64u, sizes.keys);
  var max_lo = vec4f(-65504.0);
  var max_hi = max_lo;
  var min_lo = vec4f(65504.0);
  var min_hi = min_lo;
  for (var key = first; key < end; key++) {
    let x_bits = k[(key_row(batch, key) * sizes.kvHeads + head) * 8u + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    {
      let number = clamp(x_lo, vec4f(-65504.0), vec4f(65504.0));
      let absent = ((bitcast<vec4<u32>>(x_lo) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
      max_lo = max(max_lo, select(number, vec4f(-65504.0), absent));
      min_lo = min(min_lo, select(number, vec4f(65504.0), absent));
    }
    {
      let number = clamp(x_hi, vec4f(-65504.0), vec4f(65504.0));
      let absent = ((bitcast<vec4<u32>>(x_hi) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
      max_hi = max(max_hi, select(number, vec4f(-65504.0), absent));
      min_hi = min(min_hi, select(number, vec4f(65504.0), absent));
    }
  }
  let at = ((batch * sizes.kvHeads + head) * sizes.envelopeChunks + chunk) * 16u + c;
  envelope[at] = vec4u(pack_means((max_lo).xy), pack_means((max_lo).zw), pack_means((max_hi).xy), pack_means((max_hi).zw));
  envelope[at + 8u] = vec4u(pack_means((min_lo).xy), pack_means((min_lo).zw), pack_means((min_hi).xy), pack_means((min_hi).zw));
}
