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
  let first_bits = k[(key_row(batch, first) * sizes.kvHeads + head) * 8u + c];
let first_lo = vec4f(unpack2x16float(first_bits.x), unpack2x16float(first_bits.y));
let first_hi = vec4f(unpack2x16float(first_bits.z), unpack2x16float(first_bits.w));
  var max_lo = first_lo;
  var max_hi = first_hi;
  var min_lo = first_lo;
  var min_hi = first_hi;
  for (var key = first + 1u; key < end; key++) {
    let x_bits = k[(key_row(batch, key) * sizes.kvHeads + head) * 8u + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    max_lo = max(max_lo, x_lo);
    max_hi = max(max_hi, x_hi);
    min_lo = min(min_lo, x_lo);
    min_hi = min(min_hi, x_hi);
  }
  let at = ((batch * sizes.kvHeads + head) * sizes.envelopeChunks + chunk) * 16u + c;
  envelope[at] = vec4u(pack2x16float((max_lo).xy), pack2x16float((max_lo).zw), pack2x16float((max_hi).xy), pack2x16float((max_hi).zw));
  envelope[at + 8u] = vec4u(pack2x16float((min_lo).xy), pack2x16float((min_lo).zw), pack2x16float((min_hi).xy), pack2x16float((min_hi).zw));
}
