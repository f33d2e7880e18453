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
@group(0) @binding(1) var<storage, read> q: array<vec4u>;
@group(0) @binding(2) var<storage, read> means: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> pseudo: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> parts: array<vec4f>;
fn mean_at(i: u32) -> vec4<f32> {
  let bits = means[i];
  return vec4<f32>(unpack2x16float(bits.x), unpack2x16float(bits.y));
}
var<workgroup> query: array<vec4f, 16>;
var<workgroup> weights: array<f32, 40>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  let row = group.y;
  let batch = group.z;
  let query_at = ((batch * decode.queries + row + decode.firstRow) * decode.queryHeads + decode.headFirst + head) * 8u;
  for (var c = lane; c < 8u; c += 128u) {
    let x_bits = q[query_at + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    query[2u * c] = x_lo;
    query[2u * c + 1u] = x_hi;
  }
  let list = ((batch * decode.maskHeads + select(decode.headFirst + head, 0u, decode.maskHeads == 1u)) * decode.queryBlocks + row / decode.blockQ) * 41u;
  let count = pseudo[list].x;
  let base = (batch * decode.kvHeads + head / 4u) * 100u;
  workgroupBarrier();
  for (var i = lane; i < count; i += 128u) {
    let known = pseudo[list + 1u + i];
    let mean = (base + known.x) * 32u;
    var sum = 0.0f;
    for (var c = 0u; c < 16u; c++) { sum += dot(query[c], mean_at(mean + c)); }
    weights[i] = sum * decode.scale + bitcast<f32>(known.y);
  }
  workgroupBarrier();
  var top = -3.4e38f;
  for (var i = 0u; i < count; i++) { top = max(top, weights[i]); }
  let part = (((batch * decode.queries + row) * decode.heads + head) * decode.allSplits + decode.allSplits - 1u) * 17u;
  for (var c = lane; c < 16u; c += 128u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < count; i++) {
      sum += exp2(weights[i] - top) * mean_at((base + pseudo[list + 1u + i].x) * 32u + 16u + c);
    }
    parts[part + c] = sum;
  }
  if (lane == 0u) {
    var total = 0.0f;
    for (var i = 0u; i < count; i++) { total += exp2(weights[i] - top); }
    parts[part + 16u] = vec4f(top, total, 0.0, 0.0);
  }
}
