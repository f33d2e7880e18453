// search/0-rows
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
@group(0) @binding(2) var<storage, read_write> split: array<vec4u>;
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
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 128u + lane;
  if (i >= 64u) { return; }
  let block = block_at(shape.firstBlock + group.y);
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let last = (block.rows - 1u) / 8u;
  let r = i / 8u;
  let c = i % 8u;
  let start = min(r, last) * 8u;
  let end = min(start + 8u, block.rows);
  var lo = vec4f(0.0);
  var hi = vec4f(0.0);
  for (var row = start; row < end; row++) {
    let x_bits = q[query_octet(batch, block.first_row + row, head) + c];
let x_lo = vec4f(unpack2x16float(x_bits.x), unpack2x16float(x_bits.y));
let x_hi = vec4f(unpack2x16float(x_bits.z), unpack2x16float(x_bits.w));
    lo += x_lo;
    hi += x_hi;
  }
  lo /= f32(end - start); hi /= f32(end - start);
  let at = ((group.z * shape.slabBlocks + group.y) * 8u + r) * 16u + c;
  split[at] = vec4u(pack_means((max(lo, vec4f(0.0))).xy), pack_means((max(lo, vec4f(0.0))).zw), pack_means((max(hi, vec4f(0.0))).xy), pack_means((max(hi, vec4f(0.0))).zw));
  split[at + 8u] = vec4u(pack_means((min(lo, vec4f(0.0))).xy), pack_means((min(lo, vec4f(0.0))).zw), pack_means((min(hi, vec4f(0.0))).xy), pack_means((min(hi, vec4f(0.0))).zw));
}

// search/0-bound
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
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
@group(0) @binding(1) var<storage, read> split: array<vec4u>;
@group(0) @binding(2) var<storage, read> envelope: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
// First the workgroup's rows, then chunks.
var<workgroup> staged: array<vec4u, 1088>;
var<workgroup> tiles: array<f32, 2048>;
fn count_of(local_block: u32) -> u32 { return (block_at(shape.firstBlock + local_block).searchable + 63u) / 64u; }
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let begin = group.x * 256u;
  let first_row = group.y * 64u;
  let last_block = min((first_row + 63u) / 8u, shape.slabBlocks - 1u);
  let most = count_of(last_block);
  if (most <= 64u || begin >= most) { return; }
  let end = min(begin + 256u, most);
  let row = first_row + subgroup * 16u;
  let rows_at = (group.z * shape.slabBlocks * 8u + first_row) * 16u;
  for (var i = lane; i < 1024u; i += 128u) {
    staged[i / 16u * 17u + i % 16u] = split[rows_at + i];
  }
  workgroupBarrier();
  let a0 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 0u, 17u);
let a1 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 2u, 17u);
let a2 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 4u, 17u);
let a3 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 6u, 17u);
let a4 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 8u, 17u);
let a5 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 10u, 17u);
let a6 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 12u, 17u);
let a7 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 16u * 17u + 14u, 17u);
  workgroupBarrier();
  let columns_at = (batch_of(group.z) * shape.kvHeads + head_of(group.z) / 4u) * shape.envelopeChunks;
  let tile_at = subgroup * 512u;
  var held0: vec4u; var held1: vec4u; var held2: vec4u; var held3: vec4u;
  { let n = lane / 16u; held0 = envelope[(columns_at + min(begin + n, shape.envelopeChunks - 1u)) * 16u + lane % 16u]; }
{ let n = (lane + 128u) / 16u; held1 = envelope[(columns_at + min(begin + n, shape.envelopeChunks - 1u)) * 16u + (lane + 128u) % 16u]; }
{ let n = (lane + 256u) / 16u; held2 = envelope[(columns_at + min(begin + n, shape.envelopeChunks - 1u)) * 16u + (lane + 256u) % 16u]; }
{ let n = (lane + 384u) / 16u; held3 = envelope[(columns_at + min(begin + n, shape.envelopeChunks - 1u)) * 16u + (lane + 384u) % 16u]; }
  for (var column = begin; column < end; column += 32u) {
    { staged[lane / 16u * 17u + lane % 16u] = held0; }
{ staged[(lane + 128u) / 16u * 17u + (lane + 128u) % 16u] = held1; }
{ staged[(lane + 256u) / 16u * 17u + (lane + 256u) % 16u] = held2; }
{ staged[(lane + 384u) / 16u * 17u + (lane + 384u) % 16u] = held3; }
    workgroupBarrier();
    if (column + 32u < end) {
      { let n = lane / 16u; held0 = envelope[(columns_at + min(column + 32u + n, shape.envelopeChunks - 1u)) * 16u + lane % 16u]; }
{ let n = (lane + 128u) / 16u; held1 = envelope[(columns_at + min(column + 32u + n, shape.envelopeChunks - 1u)) * 16u + (lane + 128u) % 16u]; }
{ let n = (lane + 256u) / 16u; held2 = envelope[(columns_at + min(column + 32u + n, shape.envelopeChunks - 1u)) * 16u + (lane + 256u) % 16u]; }
{ let n = (lane + 384u) / 16u; held3 = envelope[(columns_at + min(column + 32u + n, shape.envelopeChunks - 1u)) * 16u + (lane + 384u) % 16u]; }
    }
    var c0 = Result();
    c0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 0u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 2u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a2, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 4u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a3, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 6u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a4, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 8u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a5, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 10u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a6, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 12u, 17u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a7, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 14u, 17u), c0);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 0u, c0, 16u);
    var c1 = Result();
    c1 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 0u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 2u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a2, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 4u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a3, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 6u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a4, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 8u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a5, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 10u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a6, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 12u, 17u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a7, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 14u, 17u), c1);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 256u, c1, 16u);
    workgroupBarrier();
    for (var i = within; i < 64u; i += 32u) {
      let t = i / 32u;
      let b = (i / 16u) % 2u;
      let n = i % 16u;
      let at = tile_at + t * 256u + b * 128u + n;
      var best = tiles[at];
      best = max(best, tiles[at + 16u]);
      best = max(best, tiles[at + 32u]);
      best = max(best, tiles[at + 48u]);
      best = max(best, tiles[at + 64u]);
      best = max(best, tiles[at + 80u]);
      best = max(best, tiles[at + 96u]);
      best = max(best, tiles[at + 112u]);
      let local_block = row / 8u + b;
      let chunk = column + t * 16u + n;
      if (local_block < shape.slabBlocks && chunk < most) {
        scores[(group.z * shape.slabBlocks + local_block) * shape.scoreStride + chunk] = ordered(best);
      }
    }
  }
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
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
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
@group(0) @binding(1) var<storage, read> split: array<vec4u>;
@group(0) @binding(2) var<storage, read> envelope: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
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
var<workgroup> staged: array<vec4u, 544>;
var<workgroup> tiles: array<f32, 1024>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= 96u) { return; }
  let head_at = (batch_of(group.z) * shape.kvHeads + head_of(group.z) / 4u) * shape.envelopeChunks;
  // Subgroups 0 and 1 take the maxima with q⁺, 2 and 3 the minima with q⁻.
  let side = (subgroup / 2u) * 8u;
  let tile = subgroup % 2u;
  for (var i = lane; i < 256u; i += 128u) {
    staged[i / 16u * 17u + i % 16u] = split[cell * 128u + i];
  }
  workgroupBarrier();
  let a0 = subgroupMatrixLoad<Left, row_major>(&staged, side + 0u, 17u);
let a1 = subgroupMatrixLoad<Left, row_major>(&staged, side + 2u, 17u);
let a2 = subgroupMatrixLoad<Left, row_major>(&staged, side + 4u, 17u);
let a3 = subgroupMatrixLoad<Left, row_major>(&staged, side + 6u, 17u);
  workgroupBarrier();
  var held0: vec4u; var held1: vec4u; var held2: vec4u; var held3: vec4u;
  { let n = lane / 16u; held0 = envelope[(head_at + candidate_token(cell, min(0u + n, count - 1u)) / 16u) * 16u + lane % 16u]; }
{ let n = (lane + 128u) / 16u; held1 = envelope[(head_at + candidate_token(cell, min(0u + n, count - 1u)) / 16u) * 16u + (lane + 128u) % 16u]; }
{ let n = (lane + 256u) / 16u; held2 = envelope[(head_at + candidate_token(cell, min(0u + n, count - 1u)) / 16u) * 16u + (lane + 256u) % 16u]; }
{ let n = (lane + 384u) / 16u; held3 = envelope[(head_at + candidate_token(cell, min(0u + n, count - 1u)) / 16u) * 16u + (lane + 384u) % 16u]; }
  for (var first = 0u; first < count; first += 32u) {
    { staged[lane / 16u * 17u + lane % 16u] = held0; }
{ staged[(lane + 128u) / 16u * 17u + (lane + 128u) % 16u] = held1; }
{ staged[(lane + 256u) / 16u * 17u + (lane + 256u) % 16u] = held2; }
{ staged[(lane + 384u) / 16u * 17u + (lane + 384u) % 16u] = held3; }
    workgroupBarrier();
    if (first + 32u < count) {
      { let n = lane / 16u; held0 = envelope[(head_at + candidate_token(cell, min(first + 32u + n, count - 1u)) / 16u) * 16u + lane % 16u]; }
{ let n = (lane + 128u) / 16u; held1 = envelope[(head_at + candidate_token(cell, min(first + 32u + n, count - 1u)) / 16u) * 16u + (lane + 128u) % 16u]; }
{ let n = (lane + 256u) / 16u; held2 = envelope[(head_at + candidate_token(cell, min(first + 32u + n, count - 1u)) / 16u) * 16u + (lane + 256u) % 16u]; }
{ let n = (lane + 384u) / 16u; held3 = envelope[(head_at + candidate_token(cell, min(first + 32u + n, count - 1u)) / 16u) * 16u + (lane + 384u) % 16u]; }
    }
    var c = Result();
    let columns_at = tile * 272u + side;
    c = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u, 17u), c);
c = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 2u, 17u), c);
c = subgroupMatrixMultiplyAccumulate(a2, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 4u, 17u), c);
c = subgroupMatrixMultiplyAccumulate(a3, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 6u, 17u), c);
    subgroupMatrixStore<row_major>(&tiles, subgroup * 256u, c, 16u);
    workgroupBarrier();
    if (lane < 32u && first + lane < count) {
      let at = (lane / 16u) * 256u + lane % 16u;
      var best = tiles[at] + tiles[at + 512u];
      best = max(best, tiles[at + 16u] + tiles[at + 528u]);
      best = max(best, tiles[at + 32u] + tiles[at + 544u]);
      best = max(best, tiles[at + 48u] + tiles[at + 560u]);
      best = max(best, tiles[at + 64u] + tiles[at + 576u]);
      best = max(best, tiles[at + 80u] + tiles[at + 592u]);
      best = max(best, tiles[at + 96u] + tiles[at + 608u]);
      best = max(best, tiles[at + 112u] + tiles[at + 624u]);
      scores[cell * shape.scoreStride + first + lane] = ordered(best);
    }
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
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;
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
var<workgroup> held_starts: array<u32, 96>;
fn hold_candidates(cell: u32, lane: u32) {
  let before = min(previous_counts[cell], 96u);
  for (var i = lane; i < before; i += 128u) { held_starts[i] = previous_starts[cell * 96u + i]; }
}
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 96u + before - 1u];
  return (before - 1u) * 1u + (min(16u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 { return held_starts[i / 1u] + (i % 1u) * 16u; }
fn keep_of(z: u32) -> u32 { return 32u; }
// Rows at first, then rounds of keys.
var<workgroup> staged: array<vec4u, 576>;
var<workgroup> tiles: array<vec4f, 256>;
var<workgroup> best_of: array<atomic<u32>, 96>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  hold_candidates(cell, lane);
  let last = (block.rows - 1u) / 4u;
  for (var i = lane; i < 128u; i += 128u) {
    let start = min(i / 8u, last) * 4u;
    let end = min(start + 4u, block.rows);
    staged[i] = q[query_octet(batch, block.first_row + end - 1u, head) + i % 8u];
  }
  workgroupBarrier();
  let row_group = subgroup % 1u;
  let key_group = subgroup / 1u;
let a0_0 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 1u + 0u) * 128u + 0u, 8u);
let a0_1 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 1u + 0u) * 128u + 2u, 8u);
let a0_2 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 1u + 0u) * 128u + 4u, 8u);
let a0_3 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 1u + 0u) * 128u + 6u, 8u);
  workgroupBarrier();
  
  let rounds = (count + 3u) / 4u;
  var held0: vec4u; var held1: vec4u; var held2: vec4u; var held3: vec4u;
  { let n = lane / 8u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + lane % 8u]; }
{ let n = (lane + 128u) / 8u; held1 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 128u) % 8u]; }
{ let n = (lane + 256u) / 8u; held2 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 256u) % 8u]; }
{ let n = (lane + 384u) / 8u; held3 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 384u) % 8u]; }
  
  for (var index = 0u; index < rounds; index++) {
    let columns = 0u + key_group * 144u;
    let products = 0u + subgroup * 64u;
    { staged[lane / 8u * 9u + lane % 8u] = held0; }
{ staged[(lane + 128u) / 8u * 9u + (lane + 128u) % 8u] = held1; }
{ staged[(lane + 256u) / 8u * 9u + (lane + 256u) % 8u] = held2; }
{ staged[(lane + 384u) / 8u * 9u + (lane + 384u) % 8u] = held3; }
    workgroupBarrier();
    if (index + 1u < rounds) { { let n = lane / 8u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min((index + 1u) * 4u + n / 16u, count - 1u)) + n % 16u, head) + lane % 8u]; }
{ let n = (lane + 128u) / 8u; held1 = k[key_octet(batch, SINK + candidate_token(cell, min((index + 1u) * 4u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 128u) % 8u]; }
{ let n = (lane + 256u) / 8u; held2 = k[key_octet(batch, SINK + candidate_token(cell, min((index + 1u) * 4u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 256u) % 8u]; }
{ let n = (lane + 384u) / 8u; held3 = k[key_octet(batch, SINK + candidate_token(cell, min((index + 1u) * 4u + n / 16u, count - 1u)) + n % 16u, head) + (lane + 384u) % 8u]; } }
    var c0_0 = Result();
    let b0_0 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 0u, 9u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_0, b0_0, c0_0);
    let b0_1 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 2u, 9u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_1, b0_1, c0_0);
    let b0_2 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 4u, 9u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_2, b0_2, c0_0);
    let b0_3 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 6u, 9u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_3, b0_3, c0_0);
    subgroupMatrixStore<row_major>(&tiles, products + 0u, c0_0, 4u);
    workgroupBarrier();
    {
      let chunk = (index) * 4u + key_group * 1u + within / 32u;
      let from_at = 0u + subgroup * 64u + within / 32u * 64u;
      let mine = within % 32u;
      var four = vec4f(-3.4e38f);
      
      four = max(four, tiles[from_at + mine + 0u]);
      four = max(four, tiles[from_at + mine + 32u]);
      
      var best = max(max(four.x, four.y), max(four.z, four.w));
      best = max(best, subgroupShuffleXor(best, 1u));
      best = max(best, subgroupShuffleXor(best, 2u));
      best = max(best, subgroupShuffleXor(best, 4u));
      best = max(best, subgroupShuffleXor(best, 8u));
      best = max(best, subgroupShuffleXor(best, 16u));
      if (mine == 0u && chunk < count) { atomicMax(&best_of[chunk], ordered(best)); }
    }
  }
  
  workgroupBarrier();
  for (var i = lane; i < count; i += 128u) { scores[cell * shape.scoreStride + i] = atomicLoad(&best_of[i]); }
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
