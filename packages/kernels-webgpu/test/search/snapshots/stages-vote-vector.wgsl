// search/0-deviation
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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
@group(0) @binding(2) var<storage, read> envelope: array<vec4f>;
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
  var s0 = 0.0f; var t0 = 0.0f;
  var s1 = 0.0f; var t1 = 0.0f;
  var s2 = 0.0f; var t2 = 0.0f;
  var s3 = 0.0f; var t3 = 0.0f;
  var s4 = 0.0f; var t4 = 0.0f;
  var s5 = 0.0f; var t5 = 0.0f;
  var s6 = 0.0f; var t6 = 0.0f;
  var s7 = 0.0f; var t7 = 0.0f;
  for (var c = 0u; c < D8; c += 2u) {
{ let x_at = 2u * (base + c); let x_lo = envelope[x_at]; let x_hi = envelope[x_at + 1u];
    let v_at = 2u * (base + D8 + c); let v_lo = envelope[v_at]; let v_hi = envelope[v_at + 1u];
    {
      let lo = rows[0u * D4 + 2u * c];
      let hi = rows[0u * D4 + 2u * c + 1u];
      s0 += dot(lo, x_lo) + dot(hi, x_hi);
      t0 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[1u * D4 + 2u * c];
      let hi = rows[1u * D4 + 2u * c + 1u];
      s1 += dot(lo, x_lo) + dot(hi, x_hi);
      t1 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[2u * D4 + 2u * c];
      let hi = rows[2u * D4 + 2u * c + 1u];
      s2 += dot(lo, x_lo) + dot(hi, x_hi);
      t2 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[3u * D4 + 2u * c];
      let hi = rows[3u * D4 + 2u * c + 1u];
      s3 += dot(lo, x_lo) + dot(hi, x_hi);
      t3 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[4u * D4 + 2u * c];
      let hi = rows[4u * D4 + 2u * c + 1u];
      s4 += dot(lo, x_lo) + dot(hi, x_hi);
      t4 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[5u * D4 + 2u * c];
      let hi = rows[5u * D4 + 2u * c + 1u];
      s5 += dot(lo, x_lo) + dot(hi, x_hi);
      t5 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[6u * D4 + 2u * c];
      let hi = rows[6u * D4 + 2u * c + 1u];
      s6 += dot(lo, x_lo) + dot(hi, x_hi);
      t6 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[7u * D4 + 2u * c];
      let hi = rows[7u * D4 + 2u * c + 1u];
      s7 += dot(lo, x_lo) + dot(hi, x_hi);
      t7 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    } }
{ let x_at = 2u * (base + (c + 1u)); let x_lo = envelope[x_at]; let x_hi = envelope[x_at + 1u];
    let v_at = 2u * (base + D8 + (c + 1u)); let v_lo = envelope[v_at]; let v_hi = envelope[v_at + 1u];
    {
      let lo = rows[0u * D4 + 2u * (c + 1u)];
      let hi = rows[0u * D4 + 2u * (c + 1u) + 1u];
      s0 += dot(lo, x_lo) + dot(hi, x_hi);
      t0 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[1u * D4 + 2u * (c + 1u)];
      let hi = rows[1u * D4 + 2u * (c + 1u) + 1u];
      s1 += dot(lo, x_lo) + dot(hi, x_hi);
      t1 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[2u * D4 + 2u * (c + 1u)];
      let hi = rows[2u * D4 + 2u * (c + 1u) + 1u];
      s2 += dot(lo, x_lo) + dot(hi, x_hi);
      t2 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[3u * D4 + 2u * (c + 1u)];
      let hi = rows[3u * D4 + 2u * (c + 1u) + 1u];
      s3 += dot(lo, x_lo) + dot(hi, x_hi);
      t3 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[4u * D4 + 2u * (c + 1u)];
      let hi = rows[4u * D4 + 2u * (c + 1u) + 1u];
      s4 += dot(lo, x_lo) + dot(hi, x_hi);
      t4 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[5u * D4 + 2u * (c + 1u)];
      let hi = rows[5u * D4 + 2u * (c + 1u) + 1u];
      s5 += dot(lo, x_lo) + dot(hi, x_hi);
      t5 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[6u * D4 + 2u * (c + 1u)];
      let hi = rows[6u * D4 + 2u * (c + 1u) + 1u];
      s6 += dot(lo, x_lo) + dot(hi, x_hi);
      t6 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    }
    {
      let lo = rows[7u * D4 + 2u * (c + 1u)];
      let hi = rows[7u * D4 + 2u * (c + 1u) + 1u];
      s7 += dot(lo, x_lo) + dot(hi, x_hi);
      t7 += dot(lo * lo, v_lo) + dot(hi * hi, v_hi);
    } }
  }
  var best = -3.4e38f;
  best = select(best, max(best, s0 + 2.0f * sqrt(t0)), row_position[0] >= 0);
  best = select(best, max(best, s1 + 2.0f * sqrt(t1)), row_position[1] >= 0);
  best = select(best, max(best, s2 + 2.0f * sqrt(t2)), row_position[2] >= 0);
  best = select(best, max(best, s3 + 2.0f * sqrt(t3)), row_position[3] >= 0);
  best = select(best, max(best, s4 + 2.0f * sqrt(t4)), row_position[4] >= 0);
  best = select(best, max(best, s5 + 2.0f * sqrt(t5)), row_position[5] >= 0);
  best = select(best, max(best, s6 + 2.0f * sqrt(t6)), row_position[6] >= 0);
  best = select(best, max(best, s7 + 2.0f * sqrt(t7)), row_position[7] >= 0);
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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

// search/1-exact
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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
  let last = previous_starts[cell * 64u + before - 1u];
  return (before - 1u) * 4u + (min(64u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 64u + i / 4u] + (i % 4u) * 16u;
}
var<workgroup> rows: array<vec4f, 128>;
var<workgroup> row_position: array<i32, 16>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < 64u; i += 128u) {
    let r = i / 4u;
    let c = i % 4u;
    let start = (tile * 16u + r) * 1u;
    let end = min(start + 1u, block.rows);
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    if (start < block.rows) {
      for (var row = end - 1u; row < end; row++) {
        let x_bits = q[query_octet(batch, block.first_row + row, head) + (c + select(4u, 2u, c < 2u))];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
        lo += x_lo;
        hi += x_hi;
      }
      
    }
    rows[r * 8u + 2u * c] = lo;
    rows[r * 8u + 2u * c + 1u] = hi;
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
  for (var c = 0u; c < 4u; c += 1u) {
{ let x_bits = k[base + (c + select(4u, 2u, c < 2u))];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    s0 += dot(x_lo, rows[0u * 8u + 2u * c]) + dot(x_hi, rows[0u * 8u + 2u * c + 1u]);
    s1 += dot(x_lo, rows[1u * 8u + 2u * c]) + dot(x_hi, rows[1u * 8u + 2u * c + 1u]);
    s2 += dot(x_lo, rows[2u * 8u + 2u * c]) + dot(x_hi, rows[2u * 8u + 2u * c + 1u]);
    s3 += dot(x_lo, rows[3u * 8u + 2u * c]) + dot(x_hi, rows[3u * 8u + 2u * c + 1u]);
    s4 += dot(x_lo, rows[4u * 8u + 2u * c]) + dot(x_hi, rows[4u * 8u + 2u * c + 1u]);
    s5 += dot(x_lo, rows[5u * 8u + 2u * c]) + dot(x_hi, rows[5u * 8u + 2u * c + 1u]);
    s6 += dot(x_lo, rows[6u * 8u + 2u * c]) + dot(x_hi, rows[6u * 8u + 2u * c + 1u]);
    s7 += dot(x_lo, rows[7u * 8u + 2u * c]) + dot(x_hi, rows[7u * 8u + 2u * c + 1u]);
    s8 += dot(x_lo, rows[8u * 8u + 2u * c]) + dot(x_hi, rows[8u * 8u + 2u * c + 1u]);
    s9 += dot(x_lo, rows[9u * 8u + 2u * c]) + dot(x_hi, rows[9u * 8u + 2u * c + 1u]);
    s10 += dot(x_lo, rows[10u * 8u + 2u * c]) + dot(x_hi, rows[10u * 8u + 2u * c + 1u]);
    s11 += dot(x_lo, rows[11u * 8u + 2u * c]) + dot(x_hi, rows[11u * 8u + 2u * c + 1u]);
    s12 += dot(x_lo, rows[12u * 8u + 2u * c]) + dot(x_hi, rows[12u * 8u + 2u * c + 1u]);
    s13 += dot(x_lo, rows[13u * 8u + 2u * c]) + dot(x_hi, rows[13u * 8u + 2u * c + 1u]);
    s14 += dot(x_lo, rows[14u * 8u + 2u * c]) + dot(x_hi, rows[14u * 8u + 2u * c + 1u]);
    s15 += dot(x_lo, rows[15u * 8u + 2u * c]) + dot(x_hi, rows[15u * 8u + 2u * c + 1u]); }
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
fn keep_of(z: u32) -> u32 { return 96u; }
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
for (var tile = 0u; tile < 4u; tile++) {
load_rows(batch, head, block, tile, lane);
workgroupBarrier();
for (var i = lane; i < 128u; i += 128u) {
  let candidate = first + i / 16u;
  if (candidate < count) {
    let key = SINK + candidate_token(cell, candidate) + i % 16u;
    if (key >= shape.keyFirst && key < shape.keyEnd) { atomicMax(&best[i / 16u], ordered(score_key(batch, head, key))); }
  }
}
workgroupBarrier();
}
for (var i = lane; i < TILE; i += 128u) {
  if (first + i < count) { store_score(cell, first + i, atomicLoad(&best[i])); }
}
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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

// search/2-mass
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 96u + before - 1u];
  return (before - 1u) * 8u + (min(16u, searchable - last) + 1u) / 2u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 96u + i / 8u] + (i % 8u) * 2u;
}
fn keep_of(z: u32) -> u32 { return 160u; }
fn logit(dot: f32) -> f32 { return dot * 1.803368777036667e-1f; }
struct Extent { start: u32, end: u32 }
fn extent_of(row: u32) -> Extent {
  let end = clamp(i32(row + 1u + shape.keys) - i32(shape.queries), 0, i32(shape.keys));
  return Extent(u32(max(end - 64 - i32(shape.lag), 0)), u32(end));
}
fn inverse_of(top: f32, sum: f32) -> f32 {
  let sound = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u && (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u && !(((bitcast<u32>(top) & 0x7fffffffu) > 0x7f800000u));
  return select(0.0f, 1.0f / sum, sound && sum > 0.0f);
}
var<workgroup> rows: array<vec4f, 128>;
var<workgroup> row_position: array<i32, 16>;
fn load_rows(batch: u32, head: u32, block: Block, tile: u32, lane: u32) {
  for (var i = lane; i < 64u; i += 64u) {
    let r = i / 4u;
    let c = i % 4u;
    let start = (tile * 16u + r) * 1u;
    let end = min(start + 1u, block.rows);
    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    if (start < block.rows) {
      for (var row = end - 1u; row < end; row++) {
        let x_bits = q[query_octet(batch, block.first_row + row, head) + (c + select(4u, 2u, c < 2u))];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
        lo += x_lo;
        hi += x_hi;
      }
      
    }
    rows[r * 8u + 2u * c] = lo;
    rows[r * 8u + 2u * c + 1u] = hi;
    if (c == 0u) {
      row_position[r] = select(-1, i32(block.first_row + end + shape.keys) - 1 - i32(shape.queries), start < block.rows);
    }
  }
}
var<workgroup> lane_sums: array<vec2f, 1024>;
var<workgroup> part_sums: array<vec2f, 64>;
var<workgroup> extents: array<vec2u, 16>;
// Largest logit, and one over the sum.
var<workgroup> totals: array<vec2f, 16>;
var<private> s0: f32;
var<private> s1: f32;
var<private> s2: f32;
var<private> s3: f32;
var<private> s4: f32;
var<private> s5: f32;
var<private> s6: f32;
var<private> s7: f32;
var<private> s8: f32;
var<private> s9: f32;
var<private> s10: f32;
var<private> s11: f32;
var<private> s12: f32;
var<private> s13: f32;
var<private> s14: f32;
var<private> s15: f32;
fn products(batch: u32, head: u32, key: u32) {
  let base = key_octet(batch, key, head);
  s0 = 0.0f;
  s1 = 0.0f;
  s2 = 0.0f;
  s3 = 0.0f;
  s4 = 0.0f;
  s5 = 0.0f;
  s6 = 0.0f;
  s7 = 0.0f;
  s8 = 0.0f;
  s9 = 0.0f;
  s10 = 0.0f;
  s11 = 0.0f;
  s12 = 0.0f;
  s13 = 0.0f;
  s14 = 0.0f;
  s15 = 0.0f;
  for (var c = 0u; c < 4u; c += 1u) {
{ let x_bits = k[base + (c + select(4u, 2u, c < 2u))];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    s0 += dot(x_lo, rows[0u * 8u + 2u * c]) + dot(x_hi, rows[0u * 8u + 2u * c + 1u]);
    s1 += dot(x_lo, rows[1u * 8u + 2u * c]) + dot(x_hi, rows[1u * 8u + 2u * c + 1u]);
    s2 += dot(x_lo, rows[2u * 8u + 2u * c]) + dot(x_hi, rows[2u * 8u + 2u * c + 1u]);
    s3 += dot(x_lo, rows[3u * 8u + 2u * c]) + dot(x_hi, rows[3u * 8u + 2u * c + 1u]);
    s4 += dot(x_lo, rows[4u * 8u + 2u * c]) + dot(x_hi, rows[4u * 8u + 2u * c + 1u]);
    s5 += dot(x_lo, rows[5u * 8u + 2u * c]) + dot(x_hi, rows[5u * 8u + 2u * c + 1u]);
    s6 += dot(x_lo, rows[6u * 8u + 2u * c]) + dot(x_hi, rows[6u * 8u + 2u * c + 1u]);
    s7 += dot(x_lo, rows[7u * 8u + 2u * c]) + dot(x_hi, rows[7u * 8u + 2u * c + 1u]);
    s8 += dot(x_lo, rows[8u * 8u + 2u * c]) + dot(x_hi, rows[8u * 8u + 2u * c + 1u]);
    s9 += dot(x_lo, rows[9u * 8u + 2u * c]) + dot(x_hi, rows[9u * 8u + 2u * c + 1u]);
    s10 += dot(x_lo, rows[10u * 8u + 2u * c]) + dot(x_hi, rows[10u * 8u + 2u * c + 1u]);
    s11 += dot(x_lo, rows[11u * 8u + 2u * c]) + dot(x_hi, rows[11u * 8u + 2u * c + 1u]);
    s12 += dot(x_lo, rows[12u * 8u + 2u * c]) + dot(x_hi, rows[12u * 8u + 2u * c + 1u]);
    s13 += dot(x_lo, rows[13u * 8u + 2u * c]) + dot(x_hi, rows[13u * 8u + 2u * c + 1u]);
    s14 += dot(x_lo, rows[14u * 8u + 2u * c]) + dot(x_hi, rows[14u * 8u + 2u * c + 1u]);
    s15 += dot(x_lo, rows[15u * 8u + 2u * c]) + dot(x_hi, rows[15u * 8u + 2u * c + 1u]); }
  }
}
fn joined(a: vec2f, b: vec2f) -> vec2f {
  let top = max(a.x, b.x);
  return vec2f(top, select(0.0f, a.y * exp2(max(a.x - top, -150.0f)), a.y != 0.0f) + select(0.0f, b.y * exp2(max(b.x - top, -150.0f)), b.y != 0.0f));
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let base = cell * shape.scoreStride;
  let recent = extent_of(block.first_row).start;
  let newest = extent_of(block.first_row + block.rows - 1u);
  let chosen = count * 2u;
  let sinks = min(16u, newest.start);
  let total = chosen + sinks + max(newest.end, recent) - recent;
  let head = head_of(group.z);
  for (var tile = 0u; tile < 4u; tile++) {
    load_rows(batch, head, block, tile, lane);
    for (var r = lane; r < 16u; r += 64u) {
      let row = tile * 16u + r;
      let extent = extent_of(block.first_row + row);
      extents[r] = select(vec2u(0u), vec2u(extent.start, extent.end), row < block.rows);
    }
    workgroupBarrier();
    let extent0 = extents[0]; var m0 = -3.4e38f; var l0 = 0.0f;
    let extent1 = extents[1]; var m1 = -3.4e38f; var l1 = 0.0f;
    let extent2 = extents[2]; var m2 = -3.4e38f; var l2 = 0.0f;
    let extent3 = extents[3]; var m3 = -3.4e38f; var l3 = 0.0f;
    let extent4 = extents[4]; var m4 = -3.4e38f; var l4 = 0.0f;
    let extent5 = extents[5]; var m5 = -3.4e38f; var l5 = 0.0f;
    let extent6 = extents[6]; var m6 = -3.4e38f; var l6 = 0.0f;
    let extent7 = extents[7]; var m7 = -3.4e38f; var l7 = 0.0f;
    let extent8 = extents[8]; var m8 = -3.4e38f; var l8 = 0.0f;
    let extent9 = extents[9]; var m9 = -3.4e38f; var l9 = 0.0f;
    let extent10 = extents[10]; var m10 = -3.4e38f; var l10 = 0.0f;
    let extent11 = extents[11]; var m11 = -3.4e38f; var l11 = 0.0f;
    let extent12 = extents[12]; var m12 = -3.4e38f; var l12 = 0.0f;
    let extent13 = extents[13]; var m13 = -3.4e38f; var l13 = 0.0f;
    let extent14 = extents[14]; var m14 = -3.4e38f; var l14 = 0.0f;
    let extent15 = extents[15]; var m15 = -3.4e38f; var l15 = 0.0f;
    for (var i = lane; i < total; i += 64u) {
      var key = recent + i - chosen - sinks;
      let near = i >= chosen + sinks;
      if (i < chosen) { key = SINK + candidate_token(cell, i / 2u) + i % 2u; }
      else if (!near) { key = i - chosen; }
      products(batch, head, min(key, shape.keys - 1u));
      {
        let sees = (key < extent0.y) & ((key >= extent0.x) == near);
        let x = select(-3.4e38f, logit(s0), sees);
        let top = max(m0, x);
        l0 = l0 * exp2(max(m0 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m0 = top;
      }
      {
        let sees = (key < extent1.y) & ((key >= extent1.x) == near);
        let x = select(-3.4e38f, logit(s1), sees);
        let top = max(m1, x);
        l1 = l1 * exp2(max(m1 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m1 = top;
      }
      {
        let sees = (key < extent2.y) & ((key >= extent2.x) == near);
        let x = select(-3.4e38f, logit(s2), sees);
        let top = max(m2, x);
        l2 = l2 * exp2(max(m2 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m2 = top;
      }
      {
        let sees = (key < extent3.y) & ((key >= extent3.x) == near);
        let x = select(-3.4e38f, logit(s3), sees);
        let top = max(m3, x);
        l3 = l3 * exp2(max(m3 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m3 = top;
      }
      {
        let sees = (key < extent4.y) & ((key >= extent4.x) == near);
        let x = select(-3.4e38f, logit(s4), sees);
        let top = max(m4, x);
        l4 = l4 * exp2(max(m4 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m4 = top;
      }
      {
        let sees = (key < extent5.y) & ((key >= extent5.x) == near);
        let x = select(-3.4e38f, logit(s5), sees);
        let top = max(m5, x);
        l5 = l5 * exp2(max(m5 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m5 = top;
      }
      {
        let sees = (key < extent6.y) & ((key >= extent6.x) == near);
        let x = select(-3.4e38f, logit(s6), sees);
        let top = max(m6, x);
        l6 = l6 * exp2(max(m6 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m6 = top;
      }
      {
        let sees = (key < extent7.y) & ((key >= extent7.x) == near);
        let x = select(-3.4e38f, logit(s7), sees);
        let top = max(m7, x);
        l7 = l7 * exp2(max(m7 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m7 = top;
      }
      {
        let sees = (key < extent8.y) & ((key >= extent8.x) == near);
        let x = select(-3.4e38f, logit(s8), sees);
        let top = max(m8, x);
        l8 = l8 * exp2(max(m8 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m8 = top;
      }
      {
        let sees = (key < extent9.y) & ((key >= extent9.x) == near);
        let x = select(-3.4e38f, logit(s9), sees);
        let top = max(m9, x);
        l9 = l9 * exp2(max(m9 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m9 = top;
      }
      {
        let sees = (key < extent10.y) & ((key >= extent10.x) == near);
        let x = select(-3.4e38f, logit(s10), sees);
        let top = max(m10, x);
        l10 = l10 * exp2(max(m10 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m10 = top;
      }
      {
        let sees = (key < extent11.y) & ((key >= extent11.x) == near);
        let x = select(-3.4e38f, logit(s11), sees);
        let top = max(m11, x);
        l11 = l11 * exp2(max(m11 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m11 = top;
      }
      {
        let sees = (key < extent12.y) & ((key >= extent12.x) == near);
        let x = select(-3.4e38f, logit(s12), sees);
        let top = max(m12, x);
        l12 = l12 * exp2(max(m12 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m12 = top;
      }
      {
        let sees = (key < extent13.y) & ((key >= extent13.x) == near);
        let x = select(-3.4e38f, logit(s13), sees);
        let top = max(m13, x);
        l13 = l13 * exp2(max(m13 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m13 = top;
      }
      {
        let sees = (key < extent14.y) & ((key >= extent14.x) == near);
        let x = select(-3.4e38f, logit(s14), sees);
        let top = max(m14, x);
        l14 = l14 * exp2(max(m14 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m14 = top;
      }
      {
        let sees = (key < extent15.y) & ((key >= extent15.x) == near);
        let x = select(-3.4e38f, logit(s15), sees);
        let top = max(m15, x);
        l15 = l15 * exp2(max(m15 - top, -150.0f)) + select(0.0f, exp2(x - top), sees);
        m15 = top;
      }
    }
    lane_sums[0u + lane] = vec2f(m0, l0);
    lane_sums[64u + lane] = vec2f(m1, l1);
    lane_sums[128u + lane] = vec2f(m2, l2);
    lane_sums[192u + lane] = vec2f(m3, l3);
    lane_sums[256u + lane] = vec2f(m4, l4);
    lane_sums[320u + lane] = vec2f(m5, l5);
    lane_sums[384u + lane] = vec2f(m6, l6);
    lane_sums[448u + lane] = vec2f(m7, l7);
    lane_sums[512u + lane] = vec2f(m8, l8);
    lane_sums[576u + lane] = vec2f(m9, l9);
    lane_sums[640u + lane] = vec2f(m10, l10);
    lane_sums[704u + lane] = vec2f(m11, l11);
    lane_sums[768u + lane] = vec2f(m12, l12);
    lane_sums[832u + lane] = vec2f(m13, l13);
    lane_sums[896u + lane] = vec2f(m14, l14);
    lane_sums[960u + lane] = vec2f(m15, l15);
    workgroupBarrier();
    for (var i = lane; i < 64u; i += 64u) {
      var sum = lane_sums[i * 16u];
      for (var j = 1u; j < 16u; j++) { sum = joined(sum, lane_sums[i * 16u + j]); }
      part_sums[i] = sum;
    }
    workgroupBarrier();
    for (var r = lane; r < 16u; r += 64u) {
      var sum = part_sums[r * 4u];
      sum = joined(sum, part_sums[r * 4u + 1u]);
      sum = joined(sum, part_sums[r * 4u + 2u]);
      sum = joined(sum, part_sums[r * 4u + 3u]);
      totals[r] = vec2f(sum.x, inverse_of(sum.x, sum.y));
    }
    workgroupBarrier();
    for (var candidate = lane; candidate < count; candidate += 64u) {
      let first_key = SINK + candidate_token(cell, candidate);
      var mass = 0.0f;
      for (var key = first_key; key < min(first_key + 2u, newest.start); key++) {
        products(batch, head, key);
        { let row = totals[0]; mass += select(0.0f, exp2(logit(s0) - row.x) * row.y, key < extents[0].x && row.y > 0.0f); }
        { let row = totals[1]; mass += select(0.0f, exp2(logit(s1) - row.x) * row.y, key < extents[1].x && row.y > 0.0f); }
        { let row = totals[2]; mass += select(0.0f, exp2(logit(s2) - row.x) * row.y, key < extents[2].x && row.y > 0.0f); }
        { let row = totals[3]; mass += select(0.0f, exp2(logit(s3) - row.x) * row.y, key < extents[3].x && row.y > 0.0f); }
        { let row = totals[4]; mass += select(0.0f, exp2(logit(s4) - row.x) * row.y, key < extents[4].x && row.y > 0.0f); }
        { let row = totals[5]; mass += select(0.0f, exp2(logit(s5) - row.x) * row.y, key < extents[5].x && row.y > 0.0f); }
        { let row = totals[6]; mass += select(0.0f, exp2(logit(s6) - row.x) * row.y, key < extents[6].x && row.y > 0.0f); }
        { let row = totals[7]; mass += select(0.0f, exp2(logit(s7) - row.x) * row.y, key < extents[7].x && row.y > 0.0f); }
        { let row = totals[8]; mass += select(0.0f, exp2(logit(s8) - row.x) * row.y, key < extents[8].x && row.y > 0.0f); }
        { let row = totals[9]; mass += select(0.0f, exp2(logit(s9) - row.x) * row.y, key < extents[9].x && row.y > 0.0f); }
        { let row = totals[10]; mass += select(0.0f, exp2(logit(s10) - row.x) * row.y, key < extents[10].x && row.y > 0.0f); }
        { let row = totals[11]; mass += select(0.0f, exp2(logit(s11) - row.x) * row.y, key < extents[11].x && row.y > 0.0f); }
        { let row = totals[12]; mass += select(0.0f, exp2(logit(s12) - row.x) * row.y, key < extents[12].x && row.y > 0.0f); }
        { let row = totals[13]; mass += select(0.0f, exp2(logit(s13) - row.x) * row.y, key < extents[13].x && row.y > 0.0f); }
        { let row = totals[14]; mass += select(0.0f, exp2(logit(s14) - row.x) * row.y, key < extents[14].x && row.y > 0.0f); }
        { let row = totals[15]; mass += select(0.0f, exp2(logit(s15) - row.x) * row.y, key < extents[15].x && row.y > 0.0f); }
      }
      if (!(tile == 0u)) { mass += bitcast<f32>(scores[base + candidate]); }
      scores[base + candidate] = select(bitcast<u32>(mass), ordered(mass), tile == 3u);
    }
    workgroupBarrier();
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
  return Block(first_row, rows, u32(max(visible - 80 - i32(shape.lag), 0)));
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
  return (before - 1u) * 8u + (min(16u, searchable - last) + 1u) / 2u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 96u + i / 8u] + (i % 8u) * 2u;
}
var<private> cell: u32;
var<private> target_cell: u32;
var<workgroup> cache: array<vec4u, 256>;
fn score_at(i: u32) -> u32 { return cache[i / 4u][i % 4u]; }
fn keep_candidate(i: u32, slot: u32) {
  starts[target_cell * 160u + slot] = i32(SINK + candidate_token(cell, i));
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
fn keep_of(z: u32) -> u32 { return 160u; }
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  
  let block = block_at(shape.firstBlock + group.y);
  cell = group.z * shape.slabBlocks + group.y;
  target_cell = (batch_of(group.z) * shape.queryHeads + shape.headOffset + head_of(group.z)) * shape.queryBlocks + shape.firstBlock + group.y;
  let count = candidate_count(group.z * shape.slabBlocks + group.y, block.searchable);
  let keep = keep_of(group.z);
  if (lane == 0u) { counts[target_cell] = min(count, keep); }
  for (var i = min(count, keep) + lane; i < 160u; i += 256u) { starts[target_cell * 160u + i] = -1; }
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
