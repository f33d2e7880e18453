// search/0-bound
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
@group(0) @binding(2) var<storage, read> envelope: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
const TILE = 128u;
fn candidate_count(cell: u32, searchable: u32) -> u32 { return (searchable + 63u) / 64u; }
fn candidate_token(cell: u32, i: u32) -> u32 { return i * 64u; }
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
      for (var row = start; row < end; row++) {
        let x_bits = q[query_octet(batch, block.first_row + row, head) + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
        lo += x_lo;
        hi += x_hi;
      }
      lo /= f32(end - start); hi /= f32(end - start);
    }
    rows[r * D4 + 2u * c] = lo;
    rows[r * D4 + 2u * c + 1u] = hi;
    if (c == 0u) {
      row_position[r] = select(-1, 0x7fffffff, start < block.rows);
    }
  }
}
fn score_bound(batch: u32, head: u32, chunk: u32) -> f32 {
  let base = ((batch * shape.kvHeads + head / 4u) * shape.envelopeChunks + chunk) * 2u * D8;
  var s0 = 0.0f;
  var s1 = 0.0f;
  var s2 = 0.0f;
  var s3 = 0.0f;
  var s4 = 0.0f;
  var s5 = 0.0f;
  var s6 = 0.0f;
  var s7 = 0.0f;
  for (var c = 0u; c < D8; c += 2u) {
{ let x_bits = envelope[base + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    let n_bits = envelope[base + D8 + c];
let n_lo = vec4f(unpack2x16float(n_bits.x), unpack2x16float(n_bits.y));
let n_hi = vec4f(unpack2x16float(n_bits.z), unpack2x16float(n_bits.w));
    {
      let lo = rows[0u * D4 + 2u * c];
      let hi = rows[0u * D4 + 2u * c + 1u];
      s0 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[1u * D4 + 2u * c];
      let hi = rows[1u * D4 + 2u * c + 1u];
      s1 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[2u * D4 + 2u * c];
      let hi = rows[2u * D4 + 2u * c + 1u];
      s2 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[3u * D4 + 2u * c];
      let hi = rows[3u * D4 + 2u * c + 1u];
      s3 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[4u * D4 + 2u * c];
      let hi = rows[4u * D4 + 2u * c + 1u];
      s4 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[5u * D4 + 2u * c];
      let hi = rows[5u * D4 + 2u * c + 1u];
      s5 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[6u * D4 + 2u * c];
      let hi = rows[6u * D4 + 2u * c + 1u];
      s6 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[7u * D4 + 2u * c];
      let hi = rows[7u * D4 + 2u * c + 1u];
      s7 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    } }
{ let x_bits = envelope[base + (c + 1u)];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    let n_bits = envelope[base + D8 + (c + 1u)];
let n_lo = vec4f(unpack2x16float(n_bits.x), unpack2x16float(n_bits.y));
let n_hi = vec4f(unpack2x16float(n_bits.z), unpack2x16float(n_bits.w));
    {
      let lo = rows[0u * D4 + 2u * (c + 1u)];
      let hi = rows[0u * D4 + 2u * (c + 1u) + 1u];
      s0 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[1u * D4 + 2u * (c + 1u)];
      let hi = rows[1u * D4 + 2u * (c + 1u) + 1u];
      s1 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[2u * D4 + 2u * (c + 1u)];
      let hi = rows[2u * D4 + 2u * (c + 1u) + 1u];
      s2 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[3u * D4 + 2u * (c + 1u)];
      let hi = rows[3u * D4 + 2u * (c + 1u) + 1u];
      s3 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[4u * D4 + 2u * (c + 1u)];
      let hi = rows[4u * D4 + 2u * (c + 1u) + 1u];
      s4 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[5u * D4 + 2u * (c + 1u)];
      let hi = rows[5u * D4 + 2u * (c + 1u) + 1u];
      s5 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[6u * D4 + 2u * (c + 1u)];
      let hi = rows[6u * D4 + 2u * (c + 1u) + 1u];
      s6 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[7u * D4 + 2u * (c + 1u)];
      let hi = rows[7u * D4 + 2u * (c + 1u) + 1u];
      s7 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    } }
  }
  var best = -3.4e38f;
  best = select(best, max(best, s0), row_position[0] >= 0);
  best = select(best, max(best, s1), row_position[1] >= 0);
  best = select(best, max(best, s2), row_position[2] >= 0);
  best = select(best, max(best, s3), row_position[3] >= 0);
  best = select(best, max(best, s4), row_position[4] >= 0);
  best = select(best, max(best, s5), row_position[5] >= 0);
  best = select(best, max(best, s6), row_position[6] >= 0);
  best = select(best, max(best, s7), row_position[7] >= 0);
  return best;
}
fn keep_of(z: u32) -> u32 { return 64u; }
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
var best_score = -3.4e38f;
load_rows(batch, head, block, 0u, lane);
workgroupBarrier();
if (candidate < count) { best_score = max(best_score, score_bound(batch, head, candidate_token(cell, candidate) / 64u)); }
workgroupBarrier();
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
@group(0) @binding(2) var<storage, read_write> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
fn candidate_count(cell: u32, searchable: u32) -> u32 { return (searchable + 63u) / 64u; }
fn candidate_token(cell: u32, i: u32) -> u32 { return i * 64u; }
var<private> cell: u32;
var<private> target_cell: u32;
var<workgroup> cache: array<vec4u, 32>;
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * 64u + slot] = candidate_token(cell, i);
}
var<workgroup> kept: array<atomic<u32>, 4>;
fn select_top(count: u32, keep: u32, lane: u32) {
  for (var i = lane; i < 4u; i += 256u) { atomicStore(&kept[i], 0u); }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let mine = score_at(i);
    let own = i / 4u;
    var ranks = vec4u(0u);
    for (var j = 0u; j < own; j++) { ranks += vec4u(cache[j] >= vec4u(mine)); }
    for (var j = own + 1u; j < (count + 3u) / 4u; j++) { ranks += vec4u(cache[j] > vec4u(mine)); }
    let place = vec4u(i % 4u);
    let index = vec4u(0u, 1u, 2u, 3u);
    ranks += vec4u((cache[own] > vec4u(mine)) | ((cache[own] == vec4u(mine)) & (index < place)));
    let rank = ranks.x + ranks.y + ranks.z + ranks.w;
    if (rank < keep) { atomicOr(&kept[i / 32u], 1u << (i % 32u)); }
  }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let word = atomicLoad(&kept[i / 32u]);
    if ((word & (1u << (i % 32u))) != 0u) {
      var slot = countOneBits(word & ((1u << (i % 32u)) - 1u));
      for (var w = 0u; w < i / 32u; w++) { slot += countOneBits(atomicLoad(&kept[w])); }
      keep_candidate(i, slot);
    }
  }
}
fn keep_of(z: u32) -> u32 { return 64u; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = cell;
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  let keep = keep_of(group.z);
  if (lane == 0u) { counts[target_cell] = min(count, keep); }
  
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

// search/1-bound
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
@group(0) @binding(2) var<storage, read> envelope: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
@group(0) @binding(4) var<storage, read> previous_starts: array<u32>;
@group(0) @binding(5) var<storage, read> previous_counts: array<u32>;
const TILE = 128u;
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 64u + before - 1u];
  return (before - 1u) * 4u + (min(64u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 64u + i / 4u] + (i % 4u) * 16u;
}
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
      for (var row = start; row < end; row++) {
        let x_bits = q[query_octet(batch, block.first_row + row, head) + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
        lo += x_lo;
        hi += x_hi;
      }
      lo /= f32(end - start); hi /= f32(end - start);
    }
    rows[r * D4 + 2u * c] = lo;
    rows[r * D4 + 2u * c + 1u] = hi;
    if (c == 0u) {
      row_position[r] = select(-1, 0x7fffffff, start < block.rows);
    }
  }
}
fn score_bound(batch: u32, head: u32, chunk: u32) -> f32 {
  let base = ((batch * shape.kvHeads + head / 4u) * shape.envelopeChunks + chunk) * 2u * D8;
  var s0 = 0.0f;
  var s1 = 0.0f;
  var s2 = 0.0f;
  var s3 = 0.0f;
  var s4 = 0.0f;
  var s5 = 0.0f;
  var s6 = 0.0f;
  var s7 = 0.0f;
  for (var c = 0u; c < D8; c += 2u) {
{ let x_bits = envelope[base + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    let n_bits = envelope[base + D8 + c];
let n_lo = vec4f(unpack2x16float(n_bits.x), unpack2x16float(n_bits.y));
let n_hi = vec4f(unpack2x16float(n_bits.z), unpack2x16float(n_bits.w));
    {
      let lo = rows[0u * D4 + 2u * c];
      let hi = rows[0u * D4 + 2u * c + 1u];
      s0 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[1u * D4 + 2u * c];
      let hi = rows[1u * D4 + 2u * c + 1u];
      s1 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[2u * D4 + 2u * c];
      let hi = rows[2u * D4 + 2u * c + 1u];
      s2 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[3u * D4 + 2u * c];
      let hi = rows[3u * D4 + 2u * c + 1u];
      s3 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[4u * D4 + 2u * c];
      let hi = rows[4u * D4 + 2u * c + 1u];
      s4 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[5u * D4 + 2u * c];
      let hi = rows[5u * D4 + 2u * c + 1u];
      s5 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[6u * D4 + 2u * c];
      let hi = rows[6u * D4 + 2u * c + 1u];
      s6 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[7u * D4 + 2u * c];
      let hi = rows[7u * D4 + 2u * c + 1u];
      s7 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    } }
{ let x_bits = envelope[base + (c + 1u)];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    let n_bits = envelope[base + D8 + (c + 1u)];
let n_lo = vec4f(unpack2x16float(n_bits.x), unpack2x16float(n_bits.y));
let n_hi = vec4f(unpack2x16float(n_bits.z), unpack2x16float(n_bits.w));
    {
      let lo = rows[0u * D4 + 2u * (c + 1u)];
      let hi = rows[0u * D4 + 2u * (c + 1u) + 1u];
      s0 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[1u * D4 + 2u * (c + 1u)];
      let hi = rows[1u * D4 + 2u * (c + 1u) + 1u];
      s1 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[2u * D4 + 2u * (c + 1u)];
      let hi = rows[2u * D4 + 2u * (c + 1u) + 1u];
      s2 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[3u * D4 + 2u * (c + 1u)];
      let hi = rows[3u * D4 + 2u * (c + 1u) + 1u];
      s3 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[4u * D4 + 2u * (c + 1u)];
      let hi = rows[4u * D4 + 2u * (c + 1u) + 1u];
      s4 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[5u * D4 + 2u * (c + 1u)];
      let hi = rows[5u * D4 + 2u * (c + 1u) + 1u];
      s5 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[6u * D4 + 2u * (c + 1u)];
      let hi = rows[6u * D4 + 2u * (c + 1u) + 1u];
      s6 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    }
    {
      let lo = rows[7u * D4 + 2u * (c + 1u)];
      let hi = rows[7u * D4 + 2u * (c + 1u) + 1u];
      s7 += dot(lo, select(n_lo, x_lo, lo > vec4f(0.0))) + dot(hi, select(n_hi, x_hi, hi > vec4f(0.0)));
    } }
  }
  var best = -3.4e38f;
  best = select(best, max(best, s0), row_position[0] >= 0);
  best = select(best, max(best, s1), row_position[1] >= 0);
  best = select(best, max(best, s2), row_position[2] >= 0);
  best = select(best, max(best, s3), row_position[3] >= 0);
  best = select(best, max(best, s4), row_position[4] >= 0);
  best = select(best, max(best, s5), row_position[5] >= 0);
  best = select(best, max(best, s6), row_position[6] >= 0);
  best = select(best, max(best, s7), row_position[7] >= 0);
  return best;
}
fn keep_of(z: u32) -> u32 { return 96u; }
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
var best_score = -3.4e38f;
load_rows(batch, head, block, 0u, lane);
workgroupBarrier();
if (candidate < count) { best_score = max(best_score, score_bound(batch, head, candidate_token(cell, candidate) / 16u)); }
workgroupBarrier();
if (candidate < count) { store_score(cell, candidate, ordered(best_score)); }
}

// search/1-select
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
@group(0) @binding(2) var<storage, read_write> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read> previous_starts: array<u32>;
@group(0) @binding(5) var<storage, read> previous_counts: array<u32>;
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 64u + before - 1u];
  return (before - 1u) * 4u + (min(64u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 64u + i / 4u] + (i % 4u) * 16u;
}
var<private> cell: u32;
var<private> target_cell: u32;
var<workgroup> cache: array<vec4u, 64>;
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * 96u + slot] = candidate_token(cell, i);
}
var<workgroup> kept: array<atomic<u32>, 8>;
fn select_top(count: u32, keep: u32, lane: u32) {
  for (var i = lane; i < 8u; i += 256u) { atomicStore(&kept[i], 0u); }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let mine = score_at(i);
    let own = i / 4u;
    var ranks = vec4u(0u);
    for (var j = 0u; j < own; j++) { ranks += vec4u(cache[j] >= vec4u(mine)); }
    for (var j = own + 1u; j < (count + 3u) / 4u; j++) { ranks += vec4u(cache[j] > vec4u(mine)); }
    let place = vec4u(i % 4u);
    let index = vec4u(0u, 1u, 2u, 3u);
    ranks += vec4u((cache[own] > vec4u(mine)) | ((cache[own] == vec4u(mine)) & (index < place)));
    let rank = ranks.x + ranks.y + ranks.z + ranks.w;
    if (rank < keep) { atomicOr(&kept[i / 32u], 1u << (i % 32u)); }
  }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let word = atomicLoad(&kept[i / 32u]);
    if ((word & (1u << (i % 32u))) != 0u) {
      var slot = countOneBits(word & ((1u << (i % 32u)) - 1u));
      for (var w = 0u; w < i / 32u; w++) { slot += countOneBits(atomicLoad(&kept[w])); }
      keep_candidate(i, slot);
    }
  }
}
fn keep_of(z: u32) -> u32 { return 96u; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = cell;
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  let keep = keep_of(group.z);
  if (lane == 0u) { counts[target_cell] = min(count, keep); }
  
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

// search/2-exact
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
@group(0) @binding(4) var<storage, read> previous_starts: array<u32>;
@group(0) @binding(5) var<storage, read> previous_counts: array<u32>;
const TILE = 8u;
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 96u + before - 1u];
  return (before - 1u) * 1u + (min(16u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 96u + i / 1u] + (i % 1u) * 16u;
}
var<workgroup> rows: array<vec4f, 256>;
var<workgroup> row_position: array<i32, 16>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < 128u; i += 128u) {
    let r = i / 8u;
    let c = i % 8u;
    let start = (tile * 16u + r) * 4u;
    let end = min(start + 4u, block.rows);
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
fn keep_of(z: u32) -> u32 { return 32u; }
var<workgroup> best: array<atomic<u32>, 8>;
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
  for (var i = lane; i < TILE; i += 128u) { atomicStore(&best[i], 0u); }
workgroupBarrier();
load_rows(batch, head, block, 0u, lane);
workgroupBarrier();
for (var i = lane; i < 128u; i += 128u) {
  let candidate = first + i / 16u;
  if (candidate < count) {
    let key = SINK + candidate_token(cell, candidate) + i % 16u;
    if (key >= shape.keyFirst && key < shape.keyEnd) { atomicMax(&best[i / 16u], ordered(score_key(batch, head, key))); }
  }
}
workgroupBarrier();
for (var i = lane; i < TILE; i += 128u) {
  if (first + i < count) { store_score(cell, first + i, atomicLoad(&best[i])); }
}
}

// search/2-select
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
@group(0) @binding(4) var<storage, read> previous_starts: array<u32>;
@group(0) @binding(5) var<storage, read> previous_counts: array<u32>;
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 96u + before - 1u];
  return (before - 1u) * 1u + (min(16u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 96u + i / 1u] + (i % 1u) * 16u;
}
var<private> cell: u32;
var<private> target_cell: u32;
var<workgroup> cache: array<vec4u, 32>;
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * 32u + slot] = i32(SINK + candidate_token(cell, i));
}
var<workgroup> kept: array<atomic<u32>, 4>;
fn select_top(count: u32, keep: u32, lane: u32) {
  for (var i = lane; i < 4u; i += 256u) { atomicStore(&kept[i], 0u); }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let mine = score_at(i);
    let own = i / 4u;
    var ranks = vec4u(0u);
    for (var j = 0u; j < own; j++) { ranks += vec4u(cache[j] >= vec4u(mine)); }
    for (var j = own + 1u; j < (count + 3u) / 4u; j++) { ranks += vec4u(cache[j] > vec4u(mine)); }
    let place = vec4u(i % 4u);
    let index = vec4u(0u, 1u, 2u, 3u);
    ranks += vec4u((cache[own] > vec4u(mine)) | ((cache[own] == vec4u(mine)) & (index < place)));
    let rank = ranks.x + ranks.y + ranks.z + ranks.w;
    if (rank < keep) { atomicOr(&kept[i / 32u], 1u << (i % 32u)); }
  }
  workgroupBarrier();
  for (var i = lane; i < count; i += 256u) {
    let word = atomicLoad(&kept[i / 32u]);
    if ((word & (1u << (i % 32u))) != 0u) {
      var slot = countOneBits(word & ((1u << (i % 32u)) - 1u));
      for (var w = 0u; w < i / 32u; w++) { slot += countOneBits(atomicLoad(&kept[w])); }
      keep_candidate(i, slot);
    }
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
