// search/0-binary
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
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
const TILE = 128u;
fn candidate_count(cell: u32, searchable: u32) -> u32 { return (searchable + 15u) / 16u; }
fn candidate_token(cell: u32, i: u32) -> u32 { return i * 16u; }
var<workgroup> rows: array<vec4f, 128>;
var<workgroup> row_position: array<i32, 8>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < 64u; i += 128u) {
    let r = i / 8u;
    let c = i % 8u;
    let start = (tile * 8u + r) * 8u;
    let end = min(start + 8u, block.rows);
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
  for (var c = 0u; c < D8; c += 2u) {
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
    s7 += dot(x_lo, rows[7u * D4 + 2u * c]) + dot(x_hi, rows[7u * D4 + 2u * c + 1u]); }
{ let x_bits = k[base + (c + 1u)];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    s0 += dot(x_lo, rows[0u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[0u * D4 + 2u * (c + 1u) + 1u]);
    s1 += dot(x_lo, rows[1u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[1u * D4 + 2u * (c + 1u) + 1u]);
    s2 += dot(x_lo, rows[2u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[2u * D4 + 2u * (c + 1u) + 1u]);
    s3 += dot(x_lo, rows[3u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[3u * D4 + 2u * (c + 1u) + 1u]);
    s4 += dot(x_lo, rows[4u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[4u * D4 + 2u * (c + 1u) + 1u]);
    s5 += dot(x_lo, rows[5u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[5u * D4 + 2u * (c + 1u) + 1u]);
    s6 += dot(x_lo, rows[6u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[6u * D4 + 2u * (c + 1u) + 1u]);
    s7 += dot(x_lo, rows[7u * D4 + 2u * (c + 1u)]) + dot(x_hi, rows[7u * D4 + 2u * (c + 1u) + 1u]); }
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
  return best;
}
fn keep_of(z: u32) -> u32 { return 32u; }
fn store_score(cell: u32, candidate: u32, value: u32) {
  let at = cell * shape.scoreStride + candidate;
  scores[at] = value;
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  let first = group.x * TILE;
  if (count <= keep_of(group.z) || first >= count) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let candidate = first + lane;
var start = 0u;
var size = 0u;
if (candidate < count) {
  start = candidate_token(cell, candidate);
  size = min(start + 16u, block.searchable) - start;
  start += SINK;
}
var best_score = -3.4e38f;
for (var level = 0u; level < 4u; level++) {
  let left = size / 2u;
  let right = size - left;
  let left_key = start + left / 2u;
  let right_key = start + left + right / 2u;
  let alive = size > 1u || (level == 0u && size == 1u);
  var left_score = -3.4e38f;
  var right_score = -3.4e38f;
  load_rows(batch, head, block, 0u, lane);
workgroupBarrier();
if (alive) {
  left_score = max(left_score, score_key(batch, head, left_key));
  right_score = max(right_score, score_key(batch, head, right_key));
}
workgroupBarrier();
  if (alive) {
    best_score = max(best_score, max(left_score, right_score));
    let go_right = right_score > left_score;
    start += select(0u, left, go_right);
    size = select(left, right, go_right);
  }
}
if (candidate < count) { store_score(cell, candidate, ordered(best_score)); }
}

// search/0-select
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
@group(0) @binding(1) var<storage, read> scores: array<u32>;
@group(0) @binding(2) var<storage, read_write> starts: array<i32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
fn candidate_count(cell: u32, searchable: u32) -> u32 { return (searchable + 15u) / 16u; }
fn candidate_token(cell: u32, i: u32) -> u32 { return i * 16u; }
var<private> cell: u32;
var<private> target_cell: u32;
var<workgroup> cache: array<vec4u, 128>;
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * 32u + slot] = i32(SINK + candidate_token(cell, i));
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
fn keep_of(z: u32) -> u32 { return 32u; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = (batch_of(group.z) * shape.queryHeads + shape.headOffset + head_of(group.z)) * shape.queryBlocks + shape.firstBlock + group.y;
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  let keep = keep_of(group.z);
  if (lane == 0u) { counts[target_cell] = min(count, keep); }
  for (var i = min(count, keep) + lane; i < 32u; i += 256u) { starts[target_cell * 32u + i] = -1; }
  if (count <= keep) {
    for (var i = lane; i < count; i += 256u) { keep_candidate(i, i); }
    return;
  }
  if (keep == 0u) { return; }
  let base = cell * shape.scoreStride;
  // Whole vectors: a store to one component may rewrite the others, which other lanes would be writing.
  for (var i = lane; i < (count + 3u) / 4u; i += 256u) {
    let index = vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u);
    // Read behind the end only where a score stands; the rest ranks below all.
    let at = base + min(index, vec4u(count - 1u));
    cache[i] = select(vec4u(0u), vec4u(scores[at.x], scores[at.y], scores[at.z], scores[at.w]), index < vec4u(count));
  }
  workgroupBarrier();
  select_top(count, keep, lane);
}
