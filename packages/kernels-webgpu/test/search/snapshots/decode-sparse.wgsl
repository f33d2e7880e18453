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
@group(0) @binding(2) var<storage, read> k: array<vec4u>;
@group(0) @binding(3) var<storage, read> v: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> parts: array<vec4f>;
@group(0) @binding(5) var<storage, read> starts: array<i32>;
@group(0) @binding(6) var<storage, read> counts: array<u32>;
struct Keys { visible: u32, slots: u32, sink_end: u32, selected: u32, window_start: u32, first_start: u32 }
fn keys_of(batch: u32, head: u32, row: u32) -> Keys {
  let end = i32(row + decode.keys) + 1 - i32(decode.queries);
  let visible = u32(clamp(end, 0, i32(decode.keys)));
  let window_start = u32(max(end - i32(decode.window), 0));
  let sink_end = min(min(16u, visible), window_start);
  let cell = (batch * decode.maskHeads + select(decode.headFirst + head, 0u, decode.maskHeads == 1u)) * decode.queryBlocks + row / decode.blockQ;
  let selected = min(counts[cell], decode.capacity) * 16u;
  let slots = sink_end + selected + max(visible, window_start) - window_start;
  return Keys(visible, slots, sink_end, selected, window_start, cell * decode.capacity);
}
fn slot_key(keys: Keys, i: u32) -> u32 {
  var key = i;
  var valid = true;
  if (i >= keys.sink_end + keys.selected) {
    key = keys.window_start + i - keys.sink_end - keys.selected;
  } else if (i >= keys.sink_end) {
    let inside = i - keys.sink_end;
    key = u32(starts[keys.first_start + inside / 16u]) + inside % 16u;
    valid = key >= 16u && key < min(keys.window_start, keys.visible);
  }
  return select(0xffffffffu, key, valid && key >= decode.keyFirst && key < decode.keyEnd);
}
const NONE = 0xffffffffu;
var<workgroup> queries: array<vec4f, 16>;
// Four at a time, for the maximum.
var<workgroup> weights: array<vec4f, 32>;
var<workgroup> rows: array<u32, 128>;
var<workgroup> sums: array<vec4f, 256>;
fn key_row(batch: u32, key: u32) -> u32 { return batch * decode.keyRows + key - decode.keyBase; }
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let batch = decode.batchFirst + group.z / decode.queries;
  let row = group.z % decode.queries;
  let head = group.y * 1u;
  let keys = keys_of(batch, head, row);
  let per = (keys.slots + decode.splits * 128u - 1u) / (decode.splits * 128u) * 128u;
  let first = group.x * per;
  let last = min(first + per, keys.slots);
  let query_at = ((batch * decode.queries + row + decode.firstRow) * decode.queryHeads + decode.headFirst + head) * 8u;
  for (var i = lane; i < 8u; i += 128u) {
    let x_bits = q[query_at + i];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    queries[2u * i] = x_lo;
    queries[2u * i + 1u] = x_hi;
  }
  let kv_at = head / 4u;


  let c = lane % 8u;
  let key_group = lane / 8u;
  var m0 = -3.4e38f; var l0 = 0.0f; var lo0 = vec4f(0.0); var hi0 = vec4f(0.0);
  for (var round = first; round < last; round += 128u) {
    workgroupBarrier();
    var at = NONE;
    if (round + lane < last) {
      let key = slot_key(keys, round + lane);
      if (key != NONE) { at = (key_row(batch, key) * decode.kvHeads + kv_at) * 8u; }
    }
    rows[lane] = at;
    if (at != NONE) {
      var s0 = 0.0f;
      for (var i = 0u; i < 8u; i += 4u) {
        {
          let o = i + 0u;
          let x_bits = k[at + o];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          s0 += dot(x_lo, queries[0u + 2u * o]) + dot(x_hi, queries[1u + 2u * o]);
        }
        {
          let o = i + 1u;
          let x_bits = k[at + o];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          s0 += dot(x_lo, queries[0u + 2u * o]) + dot(x_hi, queries[1u + 2u * o]);
        }
        {
          let o = i + 2u;
          let x_bits = k[at + o];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          s0 += dot(x_lo, queries[0u + 2u * o]) + dot(x_hi, queries[1u + 2u * o]);
        }
        {
          let o = i + 3u;
          let x_bits = k[at + o];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          s0 += dot(x_lo, queries[0u + 2u * o]) + dot(x_hi, queries[1u + 2u * o]);
        }
      }
      weights[0u + lane / 4u][lane % 4u] = s0 * decode.scale;
    } else {
      weights[0u + lane / 4u][lane % 4u] = -3.4e38f;
    }
    workgroupBarrier();
    let mine0 = weights[0u + lane / 4u][lane % 4u];
    var four0 = vec4f(-3.4e38f);
    for (var j = 0u; j < 32u; j++) { four0 = max(four0, weights[0u + j]); }
    let top0 = max(m0, max(max(four0.x, four0.y), max(four0.z, four0.w)) + 20.0f);
    let shrink0 = exp2(m0 - top0);
    m0 = top0; l0 *= shrink0; lo0 *= shrink0; hi0 *= shrink0;
    workgroupBarrier();
    weights[0u + lane / 4u][lane % 4u] = select(exp2(mine0 - top0), 0.0f, at == NONE);
    workgroupBarrier();
    if (key_group < 16u) {
      for (var j = key_group; j < 128u; j += 64u) {
        {
          let slot = min(j + 0u, 127u);
          let at = rows[slot];
          let present = at != NONE;
          // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
          let x_bits = select(vec4u(0u), v[select(0u, at, present) + c], present);
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          { let w = select(0.0f, weights[0u + slot / 4u][slot % 4u], present); l0 += w; lo0 += w * x_lo; hi0 += w * x_hi; }
        }
        {
          let slot = min(j + 16u, 127u);
          let at = rows[slot];
          let present = at != NONE;
          // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
          let x_bits = select(vec4u(0u), v[select(0u, at, present) + c], present);
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          { let w = select(0.0f, weights[0u + slot / 4u][slot % 4u], present); l0 += w; lo0 += w * x_lo; hi0 += w * x_hi; }
        }
        {
          let slot = min(j + 32u, 127u);
          let at = rows[slot];
          let present = at != NONE;
          // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
          let x_bits = select(vec4u(0u), v[select(0u, at, present) + c], present);
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          { let w = select(0.0f, weights[0u + slot / 4u][slot % 4u], present); l0 += w; lo0 += w * x_lo; hi0 += w * x_hi; }
        }
        {
          let slot = min(j + 48u, 127u);
          let at = rows[slot];
          let present = at != NONE;
          // Absent keys weigh nothing; what is read in their stead, perhaps another sequence's, must not count at all.
          let x_bits = select(vec4u(0u), v[select(0u, at, present) + c], present);
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
          { let w = select(0.0f, weights[0u + slot / 4u][slot % 4u], present); l0 += w; lo0 += w * x_lo; hi0 += w * x_hi; }
        }
      }
    }
  }
  let part = ((batch * decode.queries + row) * decode.heads + head) * decode.allSplits + decode.splitFirst + group.x;
  workgroupBarrier();
  sums[2u * lane] = lo0;
  sums[2u * lane + 1u] = hi0;
  if (c == 0u) { rows[key_group] = bitcast<u32>(l0); }
  workgroupBarrier();
  for (var i = lane; i < 16u; i += 128u) {
    var sum = vec4f(0.0);
    for (var j = 0u; j < 16u; j++) { sum += sums[2u * (j * 8u) + i]; }
    parts[(part + 0u * decode.allSplits) * 17u + i] = sum;
  }
  if (lane == 0u) {
    var weight = 0.0f;
    for (var j = 0u; j < 16u; j++) { weight += bitcast<f32>(rows[j]); }
    parts[(part + 0u * decode.allSplits) * 17u + 16u] = vec4f(m0, weight, 0.0, 0.0);
  }
}
