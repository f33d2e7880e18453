struct Decode {
  queries: u32,
  firstRow: u32,
  keys: u32,
  pageFirst: u32,
  keyFirst: u32,
  keyEnd: u32,
  keyRows: u32,
  batchFirst: u32,
  keyBase: u32,
  heads: u32,
  queryHeads: u32,
  headFirst: u32,
  kvHeads: u32,
  window: u32,
  maskHeads: u32,
  queryBlocks: u32,
  blockQ: u32,
  capacity: u32,
  splits: u32,
  splitFirst: u32,
  allSplits: u32,
  scale: f32,
  cap: f32,
}
@group(0) @binding(0) var<uniform> decode: Decode;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4u>;
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
var<workgroup> sums: array<vec4f, 256>;
var<workgroup> weights: array<f32, 128>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.z * decode.queries + group.y;
  let part = (row * decode.heads + group.x) * decode.allSplits;
  let c = lane % 8u;
  let team = lane / 8u;
  var top = -3.4e38f;
  for (var s = lane; s < decode.allSplits; s += 128u) { top = max(top, parts[(part + s) * 17u + 16u].x); }
  weights[lane] = top;
  workgroupBarrier();
  for (var s = 0u; s < min(decode.allSplits, 128u); s++) { top = max(top, weights[s]); }
  workgroupBarrier();
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  var total = 0.0f;
  if (team < 16u) {
    for (var s = team; s < decode.allSplits; s += 16u) {
      let at = (part + s) * 17u;
      let weight = parts[at + 16u];
      let scale = exp2(weight.x - top);
      total += weight.y * scale;
      lo += scale * parts[at + 2u * c];
      hi += scale * parts[at + 2u * c + 1u];
    }
  }
  sums[2u * lane] = lo;
  sums[2u * lane + 1u] = hi;
  weights[lane] = total;
  workgroupBarrier();
  if (lane >= 8u) { return; }
  for (var t = 1u; t < 16u; t++) {
    lo += sums[2u * (t * 8u + lane)];
    hi += sums[2u * (t * 8u + lane) + 1u];
    total += weights[t * 8u];
  }
  let scale = select(1.0f / total, 0.0f, total == 0.0f);
  let at = ((row + decode.firstRow) * decode.queryHeads + decode.headFirst + group.x) * 8u + lane;
  out[at] = vec4u(pack_means((lo * scale).xy), pack_means((lo * scale).zw), pack_means((hi * scale).xy), pack_means((hi * scale).zw));
}
