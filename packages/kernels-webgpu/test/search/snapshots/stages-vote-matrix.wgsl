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
  split[at] = vec4u(pack_means((lo).xy), pack_means((lo).zw), pack_means((hi).xy), pack_means((hi).zw));
  split[at + 8u] = vec4u(pack_means((min(lo * lo, vec4f(65504.0))).xy), pack_means((min(lo * lo, vec4f(65504.0))).zw), pack_means((min(hi * hi, vec4f(65504.0))).xy), pack_means((min(hi * hi, vec4f(65504.0))).zw));
}

// search/0-deviation
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
@group(0) @binding(1) var<storage, read> split: array<vec4u>;
@group(0) @binding(2) var<storage, read> envelope: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> scores: array<u32>;
// First the workgroup's rows, then chunks.
var<workgroup> staged: array<vec4u, 1088>;
var<workgroup> tiles: array<f32, 4096>;
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
    var c0_0 = Result();
    c0_0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 0u, 17u), c0_0);
c0_0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 2u, 17u), c0_0);
c0_0 = subgroupMatrixMultiplyAccumulate(a2, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 4u, 17u), c0_0);
c0_0 = subgroupMatrixMultiplyAccumulate(a3, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 6u, 17u), c0_0);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 0u, c0_0, 16u);
    var c0_1 = Result();
    c0_1 = subgroupMatrixMultiplyAccumulate(a4, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 8u, 17u), c0_1);
c0_1 = subgroupMatrixMultiplyAccumulate(a5, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 10u, 17u), c0_1);
c0_1 = subgroupMatrixMultiplyAccumulate(a6, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 12u, 17u), c0_1);
c0_1 = subgroupMatrixMultiplyAccumulate(a7, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 14u, 17u), c0_1);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 2048u, c0_1, 16u);
    var c1_0 = Result();
    c1_0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 0u, 17u), c1_0);
c1_0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 2u, 17u), c1_0);
c1_0 = subgroupMatrixMultiplyAccumulate(a2, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 4u, 17u), c1_0);
c1_0 = subgroupMatrixMultiplyAccumulate(a3, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 6u, 17u), c1_0);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 256u, c1_0, 16u);
    var c1_1 = Result();
    c1_1 = subgroupMatrixMultiplyAccumulate(a4, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 8u, 17u), c1_1);
c1_1 = subgroupMatrixMultiplyAccumulate(a5, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 10u, 17u), c1_1);
c1_1 = subgroupMatrixMultiplyAccumulate(a6, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 12u, 17u), c1_1);
c1_1 = subgroupMatrixMultiplyAccumulate(a7, subgroupMatrixLoad<Right, col_major>(&staged, 272u + 14u, 17u), c1_1);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 2304u, c1_1, 16u);
    workgroupBarrier();
    for (var i = within; i < 64u; i += 32u) {
      let t = i / 32u;
      let b = (i / 16u) % 2u;
      let n = i % 16u;
      let at = tile_at + t * 256u + b * 128u + n;
      var best = (tiles[at] + 2.0f * sqrt(max(tiles[at + 2048u], 0.0f)));
      best = max(best, (tiles[at + 16u] + 2.0f * sqrt(max(tiles[at + 16u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 32u] + 2.0f * sqrt(max(tiles[at + 32u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 48u] + 2.0f * sqrt(max(tiles[at + 48u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 64u] + 2.0f * sqrt(max(tiles[at + 64u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 80u] + 2.0f * sqrt(max(tiles[at + 80u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 96u] + 2.0f * sqrt(max(tiles[at + 96u + 2048u], 0.0f))));
      best = max(best, (tiles[at + 112u] + 2.0f * sqrt(max(tiles[at + 112u + 2048u], 0.0f))));
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
var<workgroup> held_starts: array<u32, 64>;
fn hold_candidates(cell: u32, lane: u32) {
  let before = min(previous_counts[cell], 64u);
  for (var i = lane; i < before; i += 128u) { held_starts[i] = previous_starts[cell * 64u + i]; }
}
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 64u + before - 1u];
  return (before - 1u) * 4u + (min(64u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 { return held_starts[i / 4u] + (i % 4u) * 16u; }
fn keep_of(z: u32) -> u32 { return 96u; }
// Rows at first, then rounds of keys.
var<workgroup> staged: array<vec4u, 256>;
var<workgroup> tiles: array<vec4f, 512>;
var<workgroup> best_of: array<atomic<u32>, 256>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  hold_candidates(cell, lane);
  let last = (block.rows - 1u) / 1u;
  for (var i = lane; i < 256u; i += 128u) {
    let start = min(i / 4u, last) * 1u;
    let end = min(start + 1u, block.rows);
    staged[i] = q[query_octet(batch, block.first_row + end - 1u, head) + (i % 4u + select(4u, 2u, i % 4u < 2u))];
  }
  workgroupBarrier();
  let row_group = subgroup % 2u;
  let key_group = subgroup / 2u;
let a0_0 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 2u + 0u) * 64u + 0u, 4u);
let a0_1 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 2u + 0u) * 64u + 2u, 4u);
let a1_0 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 2u + 1u) * 64u + 0u, 4u);
let a1_1 = subgroupMatrixLoad<Left, row_major>(&staged, (row_group * 2u + 1u) * 64u + 2u, 4u);
  workgroupBarrier();
  // Keys that a row sees, counted from its number on, and those of the first scored row.
  let shift = i32(shape.keys) - i32(shape.queries) - i32(SINK);
  let first_sees = u32(max(i32(block.first_row + min(1u, block.rows)) + shift, 0));
  let rounds = (count + 1u) / 2u;
  var held0: vec4u;
  { let n = lane / 4u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
  
  for (var index = 0u; index < rounds; index++) {
    let columns = 0u + key_group * 80u;
    let products = 0u + subgroup * 128u;
    { staged[lane / 4u * 5u + lane % 4u] = held0; }
    workgroupBarrier();
    if (index + 1u < rounds) { { let n = lane / 4u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min((index + 1u) * 2u + n / 16u, count - 1u)) + n % 16u, head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; } }
    var c0_0 = Result();
    var c0_1 = Result();
    let b0_0 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 0u, 5u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_0, b0_0, c0_0); c0_1 = subgroupMatrixMultiplyAccumulate(a1_0, b0_0, c0_1);
    let b0_1 = subgroupMatrixLoad<Right, col_major>(&staged, columns + 2u, 5u); c0_0 = subgroupMatrixMultiplyAccumulate(a0_1, b0_1, c0_0); c0_1 = subgroupMatrixMultiplyAccumulate(a1_1, b0_1, c0_1);
    subgroupMatrixStore<row_major>(&tiles, products + 0u, c0_0, 4u);
    subgroupMatrixStore<row_major>(&tiles, products + 64u, c0_1, 4u);
    workgroupBarrier();
    {
      let chunk = (index) * 2u + key_group * 1u + within / 32u;
      let from_at = 0u + subgroup * 128u + within / 32u * 128u;
      let mine = within % 32u;
      var four = vec4f(-3.4e38f);
      let token = candidate_token(cell, min(chunk, count - 1u));
      if (token + 16u <= first_sees) {
      four = max(four, tiles[from_at + mine + 0u]);
      four = max(four, tiles[from_at + mine + 32u]);
      four = max(four, tiles[from_at + mine + 64u]);
      four = max(four, tiles[from_at + mine + 96u]);
      } else {
        for (var i = mine; i < 128u; i += 32u) {
          let r = row_group * 32u + i / 4u;
          let sees = i32(block.first_row + min(min(r, last) * 1u + 1u, block.rows)) + shift;
          let keys = vec4i(i32(token + i % 4u * 4u)) + vec4i(0, 1, 2, 3);
          four = select(four, max(four, tiles[from_at + i]), keys < vec4i(sees));
        }
      }
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
@group(0) @binding(4) var<storage, read_write> kept: array<vec4u>;
@group(0) @binding(5) var<storage, read> previous_starts: array<u32>;
@group(0) @binding(6) var<storage, read> previous_counts: array<u32>;
var<workgroup> held_starts: array<u32, 96>;
fn hold_candidates(cell: u32, lane: u32) {
  let before = min(previous_counts[cell], 96u);
  for (var i = lane; i < before; i += 128u) { held_starts[i] = previous_starts[cell * 96u + i]; }
}
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 96u + before - 1u];
  return (before - 1u) * 8u + (min(16u, searchable - last) + 1u) / 2u;
}
fn candidate_token(cell: u32, i: u32) -> u32 { return held_starts[i / 8u] + (i % 8u) * 2u; }
fn keep_of(z: u32) -> u32 { return 160u; }
struct Extent { start: u32, end: u32 }
fn extent_of(row: u32) -> Extent {
  let end = clamp(i32(row + 1u + shape.keys) - i32(shape.queries), 0, i32(shape.keys));
  return Extent(u32(max(end - 64 - i32(shape.lag), 0)), u32(end));
}
fn inverse_of(top: f32, sum: f32) -> f32 {
  let sound = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u && (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u && !(((bitcast<u32>(top) & 0x7fffffffu) > 0x7f800000u));
  return select(0.0f, 1.0f / sum, sound && sum > 0.0f);
}
// Rows at first, then rounds of keys.
var<workgroup> staged: array<vec4u, 320>;
var<workgroup> tiles: array<vec4f, 1088>;
// Each row's largest logit and one over its sum.
var<workgroup> totals: array<vec2f, 64>;
// By round and row: the maximum at that time, then what makes masses of its sums.
var<workgroup> factors: array<f32, 1560>;
fn slot_key(cell: u32, i: u32, chosen: u32, sinks: u32, recent: u32) -> u32 {
  if (i >= chosen + sinks) { return recent + i - chosen - sinks; }
  if (i >= chosen) { return i - chosen; }
  return SINK + candidate_token(cell, i / 2u) + i % 2u;
}
fn pairs(e: vec4f) -> u32 { return pack2x16float(vec2f(e.x + e.y, e.z + e.w)); }
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let kept_base = group.x * 6144u;
  let r = within % 16u;
  let part = within / 16u;
  let row = subgroup * 16u + r;
  for (var cell = group.x; cell < shape.slabBlocks * 8u; cell += groups.x) {
    let block = block_at(shape.firstBlock + cell % shape.slabBlocks);
    let count = candidate_count(cell, block.searchable);
    let place = cell / shape.slabBlocks;
    if (count > keep_of(place)) {
    let batch = batch_of(place);
    let head = head_of(place);
    let recent = extent_of(block.first_row).start;
    let newest = extent_of(block.first_row + block.rows - 1u);
    let chosen = count * 2u;
    let sinks = min(16u, newest.start);
    let total = chosen + sinks + max(newest.end, recent) - recent;
    let rounds = (total + 63u) / 64u;
    // Absent rows repeat the last; they do not vote.
    let mine = extent_of(block.first_row + min(row, block.rows - 1u));
    var m = -3.4e38f;
    var l = 0.0f;
    hold_candidates(cell, lane);
    let last = (block.rows - 1u) / 1u;
  for (var i = lane; i < 256u; i += 128u) {
    let start = min(i / 4u, last) * 1u;
    let end = min(start + 1u, block.rows);
    staged[i] = q[query_octet(batch, block.first_row + end - 1u, head) + (i % 4u + select(4u, 2u, i % 4u < 2u))];
  }
    workgroupBarrier();
    let a0 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 64u + 0u, 4u);
let a1 = subgroupMatrixLoad<Left, row_major>(&staged, subgroup * 64u + 2u, 4u);
    workgroupBarrier();
    var held0: vec4u; var held1: vec4u;
    { let n = lane / 4u; held0 = k[key_octet(batch, min(slot_key(cell, (0u) * 64u + n, chosen, sinks, recent), shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(slot_key(cell, (0u) * 64u + n, chosen, sinks, recent), shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
    
    for (var index = 0u; index < rounds; index++) {
      let columns = 0u;
      let products = 0u + subgroup * 272u;
      { staged[lane / 4u * 5u + lane % 4u] = held0; }
{ staged[(lane + 128u) / 4u * 5u + (lane + 128u) % 4u] = held1; }
      workgroupBarrier();
      if (index + 1u < rounds) { { let n = lane / 4u; held0 = k[key_octet(batch, min(slot_key(cell, (index + 1u) * 64u + n, chosen, sinks, recent), shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(slot_key(cell, (index + 1u) * 64u + n, chosen, sinks, recent), shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; } }
      var c0 = Result();
      c0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, columns + 0u + 0u, 5u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, columns + 0u + 2u, 5u), c0);
      subgroupMatrixStore<row_major>(&tiles, products + 0u, c0, 17u);
      var c1 = Result();
      c1 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, columns + 80u + 0u, 5u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, columns + 80u + 2u, 5u), c1);
      subgroupMatrixStore<row_major>(&tiles, products + 4u, c1, 17u);
      var c2 = Result();
      c2 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, columns + 160u + 0u, 5u), c2);
c2 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, columns + 160u + 2u, 5u), c2);
      subgroupMatrixStore<row_major>(&tiles, products + 8u, c2, 17u);
      var c3 = Result();
      c3 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, columns + 240u + 0u, 5u), c3);
c3 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, columns + 240u + 2u, 5u), c3);
      subgroupMatrixStore<row_major>(&tiles, products + 12u, c3, 17u);
      workgroupBarrier();
      {
        let first = (index) * 64u;
        let row_at = 0u + (subgroup * 16u + r) * 17u + part * 8u;
        // Candidates ascend: before the last of them, and before the first row's window, every row sees all.
        let whole = first + 64u <= chosen && slot_key(cell, first + 63u, chosen, sinks, recent) < recent;
        var x0 = tiles[row_at + 0u];
        var x1 = tiles[row_at + 1u];
        var x2 = tiles[row_at + 2u];
        var x3 = tiles[row_at + 3u];
        var x4 = tiles[row_at + 4u];
        var x5 = tiles[row_at + 5u];
        var x6 = tiles[row_at + 6u];
        var x7 = tiles[row_at + 7u];
        if (!whole) {
          {
            let place = first + part * 32u + 0u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x0 = select(vec4f(-3.4e38f), x0, sees);
          }
          {
            let place = first + part * 32u + 4u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x1 = select(vec4f(-3.4e38f), x1, sees);
          }
          {
            let place = first + part * 32u + 8u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x2 = select(vec4f(-3.4e38f), x2, sees);
          }
          {
            let place = first + part * 32u + 12u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x3 = select(vec4f(-3.4e38f), x3, sees);
          }
          {
            let place = first + part * 32u + 16u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x4 = select(vec4f(-3.4e38f), x4, sees);
          }
          {
            let place = first + part * 32u + 20u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x5 = select(vec4f(-3.4e38f), x5, sees);
          }
          {
            let place = first + part * 32u + 24u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x6 = select(vec4f(-3.4e38f), x6, sees);
          }
          {
            let place = first + part * 32u + 28u;
            let slots = vec4u(place) + vec4u(0u, 1u, 2u, 3u);
            let keys = vec4u(slot_key(cell, slots.x, chosen, sinks, recent), slot_key(cell, slots.y, chosen, sinks, recent), slot_key(cell, slots.z, chosen, sinks, recent), slot_key(cell, slots.w, chosen, sinks, recent));
            let near = slots >= vec4u(chosen + sinks);
            let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
            x7 = select(vec4f(-3.4e38f), x7, sees);
          }
        }
        var four = x0;
        four = max(four, x1);
        four = max(four, x2);
        four = max(four, x3);
        four = max(four, x4);
        four = max(four, x5);
        four = max(four, x6);
        four = max(four, x7);
        let highest = max(max(four.x, four.y), max(four.z, four.w));
        var top = max(m, select(highest * 1.803368777036667e-1f, -3.4e38f, highest <= -3.4e38f));
        top = max(top, subgroupShuffleXor(top, 16u));
        l *= exp2(max(m - top, -150.0f));
        m = top;
        let base = top - 14.0f;
        var e0 = exp2(fma(x0, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e1 = exp2(fma(x1, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e2 = exp2(fma(x2, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e3 = exp2(fma(x3, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e4 = exp2(fma(x4, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e5 = exp2(fma(x5, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e6 = exp2(fma(x6, vec4f(1.803368777036667e-1f), vec4f(-base)));
        var e7 = exp2(fma(x7, vec4f(1.803368777036667e-1f), vec4f(-base)));
        if (!whole) {
          e0 = select(e0, vec4f(0.0), x0 <= vec4f(-3.4e38f));
          e1 = select(e1, vec4f(0.0), x1 <= vec4f(-3.4e38f));
          e2 = select(e2, vec4f(0.0), x2 <= vec4f(-3.4e38f));
          e3 = select(e3, vec4f(0.0), x3 <= vec4f(-3.4e38f));
          e4 = select(e4, vec4f(0.0), x4 <= vec4f(-3.4e38f));
          e5 = select(e5, vec4f(0.0), x5 <= vec4f(-3.4e38f));
          e6 = select(e6, vec4f(0.0), x6 <= vec4f(-3.4e38f));
          e7 = select(e7, vec4f(0.0), x7 <= vec4f(-3.4e38f));
        }
        var added = e0;
        added += e1;
        added += e2;
        added += e3;
        added += e4;
        added += e5;
        added += e6;
        added += e7;
        l += added.x + added.y + added.z + added.w;
        if (first < chosen) {
          let keep_at = kept_base + ((index) * 64u + row) * 4u + part * 2u;
          kept[keep_at + 0u] = vec4u(pairs(e0), pairs(e1), pairs(e2), pairs(e3));
          kept[keep_at + 1u] = vec4u(pairs(e4), pairs(e5), pairs(e6), pairs(e7));
          if (part == 0u) { factors[(index) * 65u + row] = m; }
        }
      }
    }
    
    l += subgroupShuffleXor(l, 16u);
    if (part == 0u) { totals[row] = vec2f(m, select(0.0f, inverse_of(m, l), row < block.rows)); }
    storageBarrier();
    workgroupBarrier();
    let filled = (chosen + 63u) / 64u;
    for (var i = lane; i < filled * 64u; i += 128u) {
      let at = i / 64u * 65u + i % 64u;
      let all = totals[i % 64u];
      factors[at] = select(0.0f, exp2(max(factors[at] - all.x, -150.0f)) * all.y, all.y > 0.0f);
    }
    workgroupBarrier();
    // A lane owns eight pairs, so that masses add up in one order.
    for (var i = lane; i < filled * 4u; i += 128u) {
      let factor_at = i / 4u * 65u;
      let from_at = kept_base + i / 4u * 256u + i % 4u;
      var even = vec4f(0.0);
      var odd = vec4f(0.0);
      for (var first = 0u; first < 64u; first += 8u) {
        let v0 = kept[from_at + (first + 0u) * 4u];
        let v1 = kept[from_at + (first + 1u) * 4u];
        let v2 = kept[from_at + (first + 2u) * 4u];
        let v3 = kept[from_at + (first + 3u) * 4u];
        let v4 = kept[from_at + (first + 4u) * 4u];
        let v5 = kept[from_at + (first + 5u) * 4u];
        let v6 = kept[from_at + (first + 6u) * 4u];
        let v7 = kept[from_at + (first + 7u) * 4u];
        {
          let f = factors[factor_at + first + 0u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v0, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 1u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v1, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 2u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v2, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 3u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v3, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 4u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v4, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 5u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v5, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 6u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v6, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
        {
          let f = factors[factor_at + first + 7u];
          // What is no number has no factor; it would spoil the sum all the same.
          let v = select(vec4u(0u), v7, f > 0.0f);
          let a = unpack2x16float(v.x); let b = unpack2x16float(v.y); let c = unpack2x16float(v.z); let d = unpack2x16float(v.w);
          even += f * vec4f(a.x, b.x, c.x, d.x);
          odd += f * vec4f(a.y, b.y, c.y, d.y);
        }
      }
      let candidate = i * 8u;
      for (var j = 0u; j < 4u; j++) {
        if (candidate + 2u * j < count) { scores[cell * shape.scoreStride + candidate + 2u * j] = ordered(even[j]); }
        if (candidate + 2u * j + 1u < count) { scores[cell * shape.scoreStride + candidate + 2u * j + 1u] = ordered(odd[j]); }
      }
    }
    workgroupBarrier();
    }
  }
}

// search/2-select
enable subgroups;
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
var<private> my_subgroup: u32;
var<private> first_of_subgroup: bool;
var<workgroup> sums: array<vec2u, 256>;
fn prefix_sum(value: vec2u, lane: u32) -> vec2u {
  let total = subgroupAdd(value);
  if (first_of_subgroup) { sums[my_subgroup] = total; }
  var result = subgroupExclusiveAdd(value);
  workgroupBarrier();
  for (var s = 0u; s < my_subgroup; s++) { result += sums[s]; }
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
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_size) subgroup_lanes: u32, @builtin(subgroup_invocation_id) within: u32) {
  my_subgroup = subgroup; first_of_subgroup = within == 0u; let lane = subgroup * subgroup_lanes + within;
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
