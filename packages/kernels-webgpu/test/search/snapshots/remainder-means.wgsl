struct Means {
  batchFirst: u32,
  kvHeads: u32,
  keyBase: u32,
  keyRows: u32,
  keys: u32,
  firstBlock: u32,
  endBlock: u32,
  row: u32,
  halfRow: u32,
  rows: u32,
  baseBlocks: u32,
}
@group(0) @binding(0) var<uniform> sizes: Means;
@group(0) @binding(1) var<storage, read> k: array<vec4u>;
@group(0) @binding(2) var<storage, read> v: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> means: array<vec4u>;
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
  let block = sizes.firstBlock + lane / (8u * sizes.kvHeads);
  if (block >= sizes.endBlock) { return; }
  let head_row = (batch * sizes.kvHeads + head) * sizes.rows;
  var k_lo = vec4f(0.0); var k_hi = vec4f(0.0); var v_lo = vec4f(0.0); var v_hi = vec4f(0.0);
  let first = 16u + block * 64u;
  for (var key = first; key < first + 64u; key++) {
    let row = key_row(batch, key);
    {
      let x_bits = k[(row * sizes.kvHeads + head) * 8u + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
      k_lo += 0.015625f * x_lo;
      k_hi += 0.015625f * x_hi;
    }
    {
      let x_bits = v[(row * sizes.kvHeads + head) * 8u + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
      v_lo += 0.015625f * x_lo;
      v_hi += 0.015625f * x_hi;
    }
  }
  let at = (head_row + block) * 16u + c;
  means[at] = vec4u(pack_means((k_lo * 1f).xy), pack_means((k_lo * 1f).zw), pack_means((k_hi * 1f).xy), pack_means((k_hi * 1f).zw));
  means[at + 8u] = vec4u(pack_means((v_lo * 1f).xy), pack_means((v_lo * 1f).zw), pack_means((v_hi * 1f).xy), pack_means((v_hi * 1f).zw));
}
