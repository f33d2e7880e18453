// search/tree
struct Shape {
  queries: u32,
  keys: u32,
  lag: u32,
  keyRows: u32,
  heads: u32,
  queryHeads: u32,
  headOffset: u32,
  kvHeads: u32,
  batchFirst: u32,
  queryBase: u32,
  keyBase: u32,
  keyFirst: u32,
  keyEnd: u32,
  firstBlock: u32,
  slabBlocks: u32,
  queryBlocks: u32,
  scoreStride: u32,
  envelopeChunks: u32,
}
const D8 = 8u;
const D4 = 16u;
const BLOCK_Q = 64u;
const SINK = 16u;
struct Block { first_row: u32, rows: u32, searchable: u32 }
fn block_at(n: u32) -> Block {
  let first_row = n * BLOCK_Q;
  let rows = min(BLOCK_Q, shape.queries - first_row);
  let visible = clamp(i32(first_row + rows + shape.keys) - i32(shape.queries), 0, i32(shape.keys));
  return Block(first_row, rows, u32(max(visible - 272 - i32(shape.lag), 0)));
}
fn batch_of(z: u32) -> u32 { return shape.batchFirst + z / shape.heads; }
fn head_of(z: u32) -> u32 { return z % shape.heads; }
fn query_octet(batch: u32, row: u32, head: u32) -> u32 {
  return ((batch * shape.queries + row - shape.queryBase) * shape.queryHeads + shape.headOffset + head) * D8;
}
fn key_row(batch: u32, key: u32) -> u32 { return batch * shape.keyRows + key - shape.keyBase; }
fn key_octet(batch: u32, key: u32, head: u32) -> u32 {
  return (key_row(batch, key) * shape.kvHeads + head / 4u) * D8;
}
// NaN has no rank: it stands below every number.
fn ordered(x: f32) -> u32 {
  let bits = bitcast<u32>(select(x + 0.0f, -3.4e38f, ((bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u)));
  return select(~bits, bits | 0x80000000u, bits < 0x80000000u);
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> q: array<vec4u>;
@group(0) @binding(2) var<storage, read> k: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> starts: array<i32>;
@group(0) @binding(4) var<storage, read_write> counts: array<u32>;
@group(0) @binding(5) var<storage, read_write> spilled: array<atomic<u32>>;
var<workgroup> rows: array<vec4f, 256>;
var<workgroup> row_position: array<i32, 16>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < 128u; i += 256u) {
    let r = i / 8u;
    let c = i % 8u;
    let start = (tile * 16u + r) * 2u;
    let end = min(start + 2u, block.rows);
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    if (start < block.rows) {
      for (var row = end - 1u; row < end; row++) {
        let x_bits = q[query_octet(batch, block.first_row + row, head) + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
        lo += x_lo;
        hi += x_hi;
      }
      
    }
    rows[r * D4 + 2u * c] = lo;
    rows[r * D4 + 2u * c + 1u] = hi;
    if (c == 0u) {
      row_position[r] = select(-1, i32(block.first_row + end + shape.keys) - 1 - i32(shape.queries), start < block.rows);
    }
  }
}
fn score_key(batch: u32, head: u32, key: u32) -> f32 {
  let base = key_octet(batch, key, head);
  var s0 = 0.0f;
  var s1 = 0.0f;
  var s2 = 0.0f;
  var s3 = 0.0f;
  var s4 = 0.0f;
  var s5 = 0.0f;
  var s6 = 0.0f;
  var s7 = 0.0f;
  var s8 = 0.0f;
  var s9 = 0.0f;
  var s10 = 0.0f;
  var s11 = 0.0f;
  var s12 = 0.0f;
  var s13 = 0.0f;
  var s14 = 0.0f;
  var s15 = 0.0f;
  for (var c = 0u; c < D8; c += 1u) {
{ let x_bits = k[base + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    s0 += dot(x_lo, rows[0u * D4 + 2u * c]) + dot(x_hi, rows[0u * D4 + 2u * c + 1u]);
    s1 += dot(x_lo, rows[1u * D4 + 2u * c]) + dot(x_hi, rows[1u * D4 + 2u * c + 1u]);
    s2 += dot(x_lo, rows[2u * D4 + 2u * c]) + dot(x_hi, rows[2u * D4 + 2u * c + 1u]);
    s3 += dot(x_lo, rows[3u * D4 + 2u * c]) + dot(x_hi, rows[3u * D4 + 2u * c + 1u]);
    s4 += dot(x_lo, rows[4u * D4 + 2u * c]) + dot(x_hi, rows[4u * D4 + 2u * c + 1u]);
    s5 += dot(x_lo, rows[5u * D4 + 2u * c]) + dot(x_hi, rows[5u * D4 + 2u * c + 1u]);
    s6 += dot(x_lo, rows[6u * D4 + 2u * c]) + dot(x_hi, rows[6u * D4 + 2u * c + 1u]);
    s7 += dot(x_lo, rows[7u * D4 + 2u * c]) + dot(x_hi, rows[7u * D4 + 2u * c + 1u]);
    s8 += dot(x_lo, rows[8u * D4 + 2u * c]) + dot(x_hi, rows[8u * D4 + 2u * c + 1u]);
    s9 += dot(x_lo, rows[9u * D4 + 2u * c]) + dot(x_hi, rows[9u * D4 + 2u * c + 1u]);
    s10 += dot(x_lo, rows[10u * D4 + 2u * c]) + dot(x_hi, rows[10u * D4 + 2u * c + 1u]);
    s11 += dot(x_lo, rows[11u * D4 + 2u * c]) + dot(x_hi, rows[11u * D4 + 2u * c + 1u]);
    s12 += dot(x_lo, rows[12u * D4 + 2u * c]) + dot(x_hi, rows[12u * D4 + 2u * c + 1u]);
    s13 += dot(x_lo, rows[13u * D4 + 2u * c]) + dot(x_hi, rows[13u * D4 + 2u * c + 1u]);
    s14 += dot(x_lo, rows[14u * D4 + 2u * c]) + dot(x_hi, rows[14u * D4 + 2u * c + 1u]);
    s15 += dot(x_lo, rows[15u * D4 + 2u * c]) + dot(x_hi, rows[15u * D4 + 2u * c + 1u]); }
  }
  var best = -3.4e38f;
  best = select(best, max(best, s0), row_position[0] >= i32(key));
  best = select(best, max(best, s1), row_position[1] >= i32(key));
  best = select(best, max(best, s2), row_position[2] >= i32(key));
  best = select(best, max(best, s3), row_position[3] >= i32(key));
  best = select(best, max(best, s4), row_position[4] >= i32(key));
  best = select(best, max(best, s5), row_position[5] >= i32(key));
  best = select(best, max(best, s6), row_position[6] >= i32(key));
  best = select(best, max(best, s7), row_position[7] >= i32(key));
  best = select(best, max(best, s8), row_position[8] >= i32(key));
  best = select(best, max(best, s9), row_position[9] >= i32(key));
  best = select(best, max(best, s10), row_position[10] >= i32(key));
  best = select(best, max(best, s11), row_position[11] >= i32(key));
  best = select(best, max(best, s12), row_position[12] >= i32(key));
  best = select(best, max(best, s13), row_position[13] >= i32(key));
  best = select(best, max(best, s14), row_position[14] >= i32(key));
  best = select(best, max(best, s15), row_position[15] >= i32(key));
  return best;
}
var<private> spill_base: u32;
var<workgroup> halves_alive: array<atomic<u32>, 128>;
var<private> target_cell: u32;
var<private> side: u32;
fn representative_of(first: u32, size: u32, u: u32, position: u32, call: u32) -> u32 {
  var mixed = (0u ^ (position + 0x9e3779b9u)) * 0x85ebca6bu;
  mixed = (mixed ^ (mixed >> 13u)) * 0xc2b2ae35u;
  mixed ^= mixed >> 16u;
  let state = mixed + 0x6d2b79f5u * (call + 1u);
  var t = (state ^ (state >> 15u)) * (state | 1u);
  t ^= t + (t ^ (t >> 7u)) * (t | 61u);
  t ^= t >> 14u;
  let low = (t & 0xffffu) * (size & 0xffffu);
  let cross = (t >> 16u) * (size & 0xffffu) + (low >> 16u);
  let other = (t & 0xffffu) * (size >> 16u) + (cross & 0xffffu);
  let high = (t >> 16u) * (size >> 16u) + (cross >> 16u) + (other >> 16u);
  return first + high;
}
fn raise(half: u32, value: u32) { atomicMax(&spilled[spill_base + 8192u + half], value); }
fn score_at(i: u32) -> u32 { return atomicLoad(&spilled[spill_base + 8192u + i]); }
fn keep_candidate(i: u32, slot: u32) {
  let first_node = atomicLoad(&spilled[spill_base + side + i / 2u]);
  let node_size = atomicLoad(&spilled[spill_base + side + 2048u + i / 2u]);
  let left = node_size / 2u;
  let other = 4096u - side;
  atomicStore(&spilled[spill_base + other + slot], first_node + select(left, 0u, i % 2u == 0u));
  atomicStore(&spilled[spill_base + other + 2048u + slot], select(node_size - left, left, i % 2u == 0u));
}
fn calls_before(half: u32) -> u32 {
  var alive = countOneBits(atomicLoad(&halves_alive[half / 32u]) & ((1u << (half % 32u)) - 1u));
  for (var w = 0u; w < half / 32u; w++) { alive += countOneBits(atomicLoad(&halves_alive[w])); }
  return alive;
}
var<workgroup> sums: array<array<vec2u, 256>, 2>;
fn prefix_sum(value: vec2u, lane: u32) -> vec2u {
  sums[0][lane] = value;
  workgroupBarrier();
  var side = 0u;
  for (var reach = 1u; reach < 256u; reach *= 2u) {
    var sum = sums[side][lane];
    if (lane >= reach) { sum += sums[side][lane - reach]; }
    side = 1u - side;
    sums[side][lane] = sum;
    workgroupBarrier();
  }
  let result = sums[side][lane] - value;
  workgroupBarrier();
  return result;
}
var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> found: array<u32, 4>;
fn select_top(count: u32, keep: u32, lane: u32) {
  var threshold = 0u;
  var wanted = keep;
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    let known = select(0xffffffffu << ((shift + 8u) % 32u), 0u, round == 0u);
    atomicStore(&histogram[lane], 0u);
    workgroupBarrier();
    for (var i = lane; i < count; i += 256u) {
      let score = score_at(i);
      if ((score & known) == threshold) { atomicAdd(&histogram[(score >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    // Lane 0 owns the highest bin.
    let here = atomicLoad(&histogram[255u - lane]);
    let above = prefix_sum(vec2u(here, 0u), lane).x;
    if (above < wanted && wanted <= above + here) {
      found[0] = 255u - lane;
      found[1] = above;
    }
    workgroupBarrier();
    threshold |= found[0] << shift;
    wanted -= found[1];
    workgroupBarrier();
  }
  // Each lane owns a run of candidates, so slots ascend; of those at the threshold the first `wanted` win.
  let run = (count + 255u) / 256u;
  let begin = min(lane * run, count);
  let end = min(begin + run, count);
  var mine = vec2u(0u);
  for (var i = begin; i < end; i++) {
    let score = score_at(i);
    mine += vec2u(u32(score > threshold), u32(score == threshold));
  }
  var before = prefix_sum(mine, lane);
  for (var i = begin; i < end; i++) {
    let score = score_at(i);
    let tie = score == threshold;
    if (score > threshold || (tie && before.y < wanted)) { keep_candidate(i, before.x + min(before.y, wanted)); }
    before += vec2u(u32(score > threshold), u32(tie));
  }
}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  
  let n = shape.firstBlock + group.y;
  let block = block_at(n);
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  target_cell = (batch * shape.queryHeads + shape.headOffset + head_of(group.z)) * shape.queryBlocks + n;
  spill_base = (group.z * shape.slabBlocks + group.y) * 12288u;
  let blocks = (block.searchable + 1u) / 2u;
  if (lane == 0u) { counts[target_cell] = min(blocks, 2048u); }
  if (blocks <= 2048u) {
    for (var i = lane; i < 2048u; i += 256u) {
      starts[target_cell * 2048u + i] = select(-1, i32(SINK + i * 2u), i < blocks);
    }
    return;
  }
  
  // floor(j·blocks / M) without the product: blocks = whole·M + rest.
  let whole = blocks / 2048u;
  let rest = blocks % 2048u;
  side = 0u;
  for (var j = lane; j < 2048u; j += 256u) {
    let first = j * whole + (j * rest) / 2048u;
    let end = (j + 1u) * whole + ((j + 1u) * rest) / 2048u;
    atomicStore(&spilled[spill_base + j], first);
    atomicStore(&spilled[spill_base + 2048u + j], end - first);
  }
  var largest = whole + u32(rest > 0u);
  let position = block.first_row + block.rows - 1u + shape.keys - shape.queries;
  var calls = 0u;
  for (; largest > 1u; largest = largest - largest / 2u) {
    storageBarrier(); workgroupBarrier();
    for (var i = lane; i < 4096u; i += 256u) {
      let node_size = atomicLoad(&spilled[spill_base + side + 2048u + i / 2u]);
      let alive = node_size > 1u || i % 2u == 1u;
      // An alive half beats every dead one even where no row sees its keys.
      atomicStore(&spilled[spill_base + 8192u + i], select(0u, ordered(-3.4e38f), alive));
    }
    for (var w = lane; w < 128u; w += 256u) {
      var bits = 0u;
      for (var i = 32u * w; i < min(32u * w + 32u, 4096u); i++) {
        if (i % 2u == 1u || atomicLoad(&spilled[spill_base + side + 2048u + i / 2u]) > 1u) { bits |= 1u << (i % 32u); }
      }
      atomicStore(&halves_alive[w], bits);
    }
    storageBarrier(); workgroupBarrier();
    const u = 0u;
    
    for (var tile = 0u; tile < 2u; tile++) {
      load_rows(batch, head, block, tile, lane);
workgroupBarrier();
      for (var i = lane; i < 8192u; i += 256u) {
      let half = i / 2u;
      let first_node = atomicLoad(&spilled[spill_base + side + half / 2u]);
      let node_size = atomicLoad(&spilled[spill_base + side + 2048u + half / 2u]);
      let left = node_size / 2u;
      let first = first_node + select(left, 0u, half % 2u == 0u);
      let size = select(node_size - left, left, half % 2u == 0u);
      if (u < size) {
        let key = SINK + representative_of(first, size, u, position, calls + calls_before(half)) * 2u + (i % 2u) * 1u;
        if (key < shape.keys) { raise(half, ordered(score_key(batch, head, key))); }
      }
    }
      workgroupBarrier();
    }
    
    storageBarrier(); workgroupBarrier();
    let made = calls_before(4095u) + 1u;
    select_top(4096u, 2048u, lane);
    calls += made;
    side = 4096u - side;
  }
  storageBarrier(); workgroupBarrier();
  for (var i = lane; i < 2048u; i += 256u) {
    starts[target_cell * 2048u + i] = i32(SINK + atomicLoad(&spilled[spill_base + side + i]) * 2u);
  }
}
