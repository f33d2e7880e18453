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
@group(0) @binding(2) var<storage, read_write> envelope: array<vec4f>;
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
  var mean_lo = vec4f(0.0); var spread_lo = vec4f(0.0); var count_lo = vec4f(0.0);
  var mean_hi = vec4f(0.0); var spread_hi = vec4f(0.0); var count_hi = vec4f(0.0);
  for (var key = first; key < end; key++) {
    let x_bits = k[(key_row(batch, key) * sizes.kvHeads + head) * 8u + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    {
      let present = !((bitcast<vec4<u32>>(x_lo) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u));
      let number = select(mean_lo, x_lo, present);
      count_lo += select(vec4f(0.0), vec4f(1.0), present);
      let off = number - mean_lo;
      mean_lo += off / max(count_lo, vec4f(1.0));
      spread_lo += off * (number - mean_lo);
    }
    {
      let present = !((bitcast<vec4<u32>>(x_hi) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u));
      let number = select(mean_hi, x_hi, present);
      count_hi += select(vec4f(0.0), vec4f(1.0), present);
      let off = number - mean_hi;
      mean_hi += off / max(count_hi, vec4f(1.0));
      spread_hi += off * (number - mean_hi);
    }
  }
  let at = ((batch * sizes.kvHeads + head) * sizes.envelopeChunks + chunk) * 16u + c;
  envelope[2u * (at)] = clamp(mean_lo, vec4f(-3.4e38), vec4f(3.4e38)); envelope[2u * (at) + 1u] = clamp(mean_hi, vec4f(-3.4e38), vec4f(3.4e38));
  envelope[2u * (at + 8u)] = clamp(spread_lo / max(vec4f(64.0) - vec4f(f32(end - first)) + count_lo, vec4f(1.0)), vec4f(-3.4e38), vec4f(3.4e38)); envelope[2u * (at + 8u) + 1u] = clamp(spread_hi / max(vec4f(64.0) - vec4f(f32(end - first)) + count_hi, vec4f(1.0)), vec4f(-3.4e38), vec4f(3.4e38));
}
