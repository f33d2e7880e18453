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
fn candidate_count(cell: u32, searchable: u32) -> u32 {
  let before = previous_counts[cell];
  if (before == 0u) { return 0u; }
  let last = previous_starts[cell * 64u + before - 1u];
  return (before - 1u) * 4u + (min(64u, searchable - last) + 15u) / 16u;
}
fn candidate_token(cell: u32, i: u32) -> u32 {
  return previous_starts[cell * 64u + i / 4u] + (i % 4u) * 16u;
}
fn keep_of(z: u32) -> u32 { return 96u; }
var<workgroup> rows: array<vec4u, 256>;
var<workgroup> staged: array<vec4u, 320>;
var<workgroup> tiles: array<f32, 4096>;
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  var held0: vec4u; var held1: vec4u;
  { let n = lane / 4u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, SINK + candidate_token(cell, min(0u + n / 16u, count - 1u)) + n % 16u, head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
  // Absent rows repeat the last: the maximum does not change.
  let last = (block.rows - 1u) / 1u;
  for (var i = lane; i < 256u; i += 128u) {
    let start = min(i / 4u, last) * 1u;
    let end = min(start + 1u, block.rows);
    rows[i] = q[query_octet(batch, block.first_row + end - 1u, head) + (i % 4u + select(4u, 2u, i % 4u < 2u))];
  }
  workgroupBarrier();
let a0_0 = subgroupMatrixLoad<Left, row_major>(&rows, 0u + 0u, 4u);
let a0_1 = subgroupMatrixLoad<Left, row_major>(&rows, 0u + 2u, 4u);
let a1_0 = subgroupMatrixLoad<Left, row_major>(&rows, 64u + 0u, 4u);
let a1_1 = subgroupMatrixLoad<Left, row_major>(&rows, 64u + 2u, 4u);
let a2_0 = subgroupMatrixLoad<Left, row_major>(&rows, 128u + 0u, 4u);
let a2_1 = subgroupMatrixLoad<Left, row_major>(&rows, 128u + 2u, 4u);
let a3_0 = subgroupMatrixLoad<Left, row_major>(&rows, 192u + 0u, 4u);
let a3_1 = subgroupMatrixLoad<Left, row_major>(&rows, 192u + 2u, 4u);
  // Keys that a row sees, counted from its number on, and those of the first scored row.
  let shift = i32(shape.keys) - i32(shape.queries);
  let first_sees = u32(max(i32(block.first_row + min(1u, block.rows)) + shift, 0));
  let tiles_at = subgroup * 1024u;
  let columns_at = subgroup * 80u;
  for (var round = 0u; round < count; round += 4u) {
    { staged[lane / 4u * 5u + lane % 4u] = held0; }
{ staged[(lane + 128u) / 4u * 5u + (lane + 128u) % 4u] = held1; }
    workgroupBarrier();
    if (round + 4u < count) {
      { let n = lane / 4u; held0 = k[key_octet(batch, SINK + candidate_token(cell, min(round + 4u + n / 16u, count - 1u)) + n % 16u, head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, SINK + candidate_token(cell, min(round + 4u + n / 16u, count - 1u)) + n % 16u, head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
    }
    var c0_0 = Result();
    c0_0 = subgroupMatrixMultiplyAccumulate(a0_0, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 0u, 5u), c0_0);
c0_0 = subgroupMatrixMultiplyAccumulate(a0_1, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 2u, 5u), c0_0);
    subgroupMatrixStore<row_major>(&tiles, tiles_at + 0u, c0_0, 16u);
    var c0_1 = Result();
    c0_1 = subgroupMatrixMultiplyAccumulate(a1_0, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 0u, 5u), c0_1);
c0_1 = subgroupMatrixMultiplyAccumulate(a1_1, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 2u, 5u), c0_1);
    subgroupMatrixStore<row_major>(&tiles, tiles_at + 256u, c0_1, 16u);
    var c0_2 = Result();
    c0_2 = subgroupMatrixMultiplyAccumulate(a2_0, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 0u, 5u), c0_2);
c0_2 = subgroupMatrixMultiplyAccumulate(a2_1, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 2u, 5u), c0_2);
    subgroupMatrixStore<row_major>(&tiles, tiles_at + 512u, c0_2, 16u);
    var c0_3 = Result();
    c0_3 = subgroupMatrixMultiplyAccumulate(a3_0, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 0u, 5u), c0_3);
c0_3 = subgroupMatrixMultiplyAccumulate(a3_1, subgroupMatrixLoad<Right, col_major>(&staged, columns_at + 0u + 2u, 5u), c0_3);
    subgroupMatrixStore<row_major>(&tiles, tiles_at + 768u, c0_3, 16u);
    workgroupBarrier();
    var best = -3.4e38f;
    let mine = candidate_token(cell, min(round + subgroup, count - 1u)) + SINK;
    if (mine + 16u <= first_sees) {
    best = max(best, tiles[tiles_at + within + 0u]);
    best = max(best, tiles[tiles_at + within + 32u]);
    best = max(best, tiles[tiles_at + within + 64u]);
    best = max(best, tiles[tiles_at + within + 96u]);
    best = max(best, tiles[tiles_at + within + 128u]);
    best = max(best, tiles[tiles_at + within + 160u]);
    best = max(best, tiles[tiles_at + within + 192u]);
    best = max(best, tiles[tiles_at + within + 224u]);
    best = max(best, tiles[tiles_at + within + 256u]);
    best = max(best, tiles[tiles_at + within + 288u]);
    best = max(best, tiles[tiles_at + within + 320u]);
    best = max(best, tiles[tiles_at + within + 352u]);
    best = max(best, tiles[tiles_at + within + 384u]);
    best = max(best, tiles[tiles_at + within + 416u]);
    best = max(best, tiles[tiles_at + within + 448u]);
    best = max(best, tiles[tiles_at + within + 480u]);
    best = max(best, tiles[tiles_at + within + 512u]);
    best = max(best, tiles[tiles_at + within + 544u]);
    best = max(best, tiles[tiles_at + within + 576u]);
    best = max(best, tiles[tiles_at + within + 608u]);
    best = max(best, tiles[tiles_at + within + 640u]);
    best = max(best, tiles[tiles_at + within + 672u]);
    best = max(best, tiles[tiles_at + within + 704u]);
    best = max(best, tiles[tiles_at + within + 736u]);
    best = max(best, tiles[tiles_at + within + 768u]);
    best = max(best, tiles[tiles_at + within + 800u]);
    best = max(best, tiles[tiles_at + within + 832u]);
    best = max(best, tiles[tiles_at + within + 864u]);
    best = max(best, tiles[tiles_at + within + 896u]);
    best = max(best, tiles[tiles_at + within + 928u]);
    best = max(best, tiles[tiles_at + within + 960u]);
    best = max(best, tiles[tiles_at + within + 992u]);
    } else {
      for (var i = within; i < 1024u; i += 32u) {
        let key = mine + i / 1024u * 16u + i % 16u;
        let r = i / 256u % 4u * 16u + i / 16u % 16u;
        let sees = i32(block.first_row + min(min(r, last) * 1u + 1u, block.rows)) + shift;
        best = select(best, max(best, tiles[tiles_at + i]), i32(key) < sees);
      }
    }
    best = subgroupMax(best);
    if (within == 0u && round + subgroup < count) { scores[cell * shape.scoreStride + round + subgroup] = ordered(best); }
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
var<workgroup> rows: array<vec4u, 256>;
var<workgroup> staged: array<vec4u, 320>;
var<workgroup> tiles: array<vec4f, 1088>;
// Keys of two rounds.
var<workgroup> entries: array<u32, 128>;
var<workgroup> column_sums: array<f32, 256>;
// Each row's largest logit and one over its sum, and where its window starts.
var<workgroup> totals: array<vec2f, 64>;
var<workgroup> window_starts: array<u32, 64>;
fn slot_key(cell: u32, i: u32, chosen: u32, sinks: u32, recent: u32) -> u32 {
  if (i >= chosen + sinks) { return recent + i - chosen - sinks; }
  if (i >= chosen) { return i - chosen; }
  return SINK + candidate_token(cell, i / 2u) + i % 2u;
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
  let block = block_at(shape.firstBlock + group.y);
  let cell = group.z * shape.slabBlocks + group.y;
  let count = candidate_count(cell, block.searchable);
  if (count <= keep_of(group.z)) { return; }
  let batch = batch_of(group.z);
  let head = head_of(group.z);
  let recent = extent_of(block.first_row).start;
  let newest = extent_of(block.first_row + block.rows - 1u);
  let chosen = count * 2u;
  let sinks = min(16u, newest.start);
  let total = chosen + sinks + max(newest.end, recent) - recent;
  // Absent rows repeat the last; they do not vote.
  for (var i = lane; i < 256u; i += 128u) {
    rows[i] = q[query_octet(batch, block.first_row + min(i / 4u, block.rows - 1u), head) + (i % 4u + select(4u, 2u, i % 4u < 2u))];
  }
  workgroupBarrier();
  let a0 = subgroupMatrixLoad<Left, row_major>(&rows, subgroup * 64u + 0u, 4u);
let a1 = subgroupMatrixLoad<Left, row_major>(&rows, subgroup * 64u + 2u, 4u);
  var held0: vec4u; var held1: vec4u;
  let tile_at = subgroup * 272u;
  // A lane's row, and which of its keys.
  let r = within % 16u;
  let part = within / 16u;
  let row = subgroup * 16u + r;
  let mine = extent_of(block.first_row + min(row, block.rows - 1u));
  let row_at = tile_at + r * 17u + part * 8u;
  var m = -3.4e38f;
  var l = 0.0f;
  workgroupBarrier();
  for (var i = lane; i < 64u; i += 128u) { entries[0u + i] = slot_key(cell, 0u + i, chosen, sinks, recent); }
  workgroupBarrier();
  { let n = lane / 4u; held0 = k[key_octet(batch, min(entries[0u + n], shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(entries[0u + n], shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
  for (var round = 0u; round < total; round += 64u) {
    let parity = round % 128u;
    { staged[lane / 4u * 5u + lane % 4u] = held0; }
{ staged[(lane + 128u) / 4u * 5u + (lane + 128u) % 4u] = held1; }
    workgroupBarrier();
    for (var i = lane; i < 64u; i += 128u) { entries[64u - parity + i] = slot_key(cell, round + 64u + i, chosen, sinks, recent); }
    var c0 = Result();
    c0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 0u, 5u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 2u, 5u), c0);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 0u, c0, 17u);
    var c1 = Result();
    c1 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 80u + 0u, 5u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 80u + 2u, 5u), c1);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 4u, c1, 17u);
    var c2 = Result();
    c2 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 160u + 0u, 5u), c2);
c2 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 160u + 2u, 5u), c2);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 8u, c2, 17u);
    var c3 = Result();
    c3 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 240u + 0u, 5u), c3);
c3 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 240u + 2u, 5u), c3);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 12u, c3, 17u);
    workgroupBarrier();
    if (round + 64u < total) {
      { let n = lane / 4u; held0 = k[key_octet(batch, min(entries[64u - parity + n], shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(entries[64u - parity + n], shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
    }
    // Candidates ascend: before the last of them, and before the first row's window, every row sees all.
    let whole = round + 64u <= chosen && entries[parity + 63u] < recent;
    var x0 = tiles[row_at + 0u]; x0 = vec4f(logit(x0.x), logit(x0.y), logit(x0.z), logit(x0.w));
    var x1 = tiles[row_at + 1u]; x1 = vec4f(logit(x1.x), logit(x1.y), logit(x1.z), logit(x1.w));
    var x2 = tiles[row_at + 2u]; x2 = vec4f(logit(x2.x), logit(x2.y), logit(x2.z), logit(x2.w));
    var x3 = tiles[row_at + 3u]; x3 = vec4f(logit(x3.x), logit(x3.y), logit(x3.z), logit(x3.w));
    var x4 = tiles[row_at + 4u]; x4 = vec4f(logit(x4.x), logit(x4.y), logit(x4.z), logit(x4.w));
    var x5 = tiles[row_at + 5u]; x5 = vec4f(logit(x5.x), logit(x5.y), logit(x5.z), logit(x5.w));
    var x6 = tiles[row_at + 6u]; x6 = vec4f(logit(x6.x), logit(x6.y), logit(x6.z), logit(x6.w));
    var x7 = tiles[row_at + 7u]; x7 = vec4f(logit(x7.x), logit(x7.y), logit(x7.z), logit(x7.w));
    if (!whole) {
      {
        let place = part * 32u + 0u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x0 = select(vec4f(-3.4e38f), x0, sees);
      }
      {
        let place = part * 32u + 4u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x1 = select(vec4f(-3.4e38f), x1, sees);
      }
      {
        let place = part * 32u + 8u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x2 = select(vec4f(-3.4e38f), x2, sees);
      }
      {
        let place = part * 32u + 12u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x3 = select(vec4f(-3.4e38f), x3, sees);
      }
      {
        let place = part * 32u + 16u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x4 = select(vec4f(-3.4e38f), x4, sees);
      }
      {
        let place = part * 32u + 20u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x5 = select(vec4f(-3.4e38f), x5, sees);
      }
      {
        let place = part * 32u + 24u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
        let near = slots >= vec4u(chosen + sinks);
        let sees = (slots < vec4u(total)) & (keys < vec4u(mine.end)) & ((keys >= vec4u(mine.start)) == near);
        x6 = select(vec4f(-3.4e38f), x6, sees);
      }
      {
        let place = part * 32u + 28u;
        let keys = vec4u(entries[parity + place], entries[parity + place + 1u], entries[parity + place + 2u], entries[parity + place + 3u]);
        let slots = vec4u(round + place) + vec4u(0u, 1u, 2u, 3u);
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
    let top = max(m, max(max(four.x, four.y), max(four.z, four.w)));
    l *= exp2(max(m - top, -150.0f));
    if (top > -3.4e38f) {
      var added = vec4f(0.0);
      added += select(exp2(x0 - vec4f(top)), vec4f(0.0), x0 <= vec4f(-3.4e38f));
      added += select(exp2(x1 - vec4f(top)), vec4f(0.0), x1 <= vec4f(-3.4e38f));
      added += select(exp2(x2 - vec4f(top)), vec4f(0.0), x2 <= vec4f(-3.4e38f));
      added += select(exp2(x3 - vec4f(top)), vec4f(0.0), x3 <= vec4f(-3.4e38f));
      added += select(exp2(x4 - vec4f(top)), vec4f(0.0), x4 <= vec4f(-3.4e38f));
      added += select(exp2(x5 - vec4f(top)), vec4f(0.0), x5 <= vec4f(-3.4e38f));
      added += select(exp2(x6 - vec4f(top)), vec4f(0.0), x6 <= vec4f(-3.4e38f));
      added += select(exp2(x7 - vec4f(top)), vec4f(0.0), x7 <= vec4f(-3.4e38f));
      l += added.x + added.y + added.z + added.w;
    }
    m = top;
  }
  workgroupBarrier();
  // The lanes of a row join what they found.
  tiles[tile_at + r * 17u + part] = vec4f(m, l, 0.0, 0.0);
  workgroupBarrier();
  if (part == 0u) {
    var top = -3.4e38f;
    var sum = 0.0f;
    for (var p = 0u; p < 2u; p++) { top = max(top, tiles[tile_at + r * 17u + p].x); }
    for (var p = 0u; p < 2u; p++) { let other = tiles[tile_at + r * 17u + p]; sum += select(0.0f, other.y * exp2(max(other.x - top, -150.0f)), other.y != 0.0f); }
    totals[row] = vec2f(top, select(0.0f, inverse_of(top, sum), row < block.rows));
    window_starts[row] = mine.start;
  }
  workgroupBarrier();
  for (var i = lane; i < 64u; i += 128u) { entries[0u + i] = slot_key(cell, 0u + i, chosen, sinks, recent); }
  workgroupBarrier();
  { let n = lane / 4u; held0 = k[key_octet(batch, min(entries[0u + n], shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(entries[0u + n], shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
  for (var round = 0u; round < chosen; round += 64u) {
    let parity = round % 128u;
    { staged[lane / 4u * 5u + lane % 4u] = held0; }
{ staged[(lane + 128u) / 4u * 5u + (lane + 128u) % 4u] = held1; }
    workgroupBarrier();
    for (var i = lane; i < 64u; i += 128u) { entries[64u - parity + i] = slot_key(cell, round + 64u + i, chosen, sinks, recent); }
    var c0 = Result();
    c0 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 0u, 5u), c0);
c0 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 0u + 2u, 5u), c0);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 0u, c0, 17u);
    var c1 = Result();
    c1 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 80u + 0u, 5u), c1);
c1 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 80u + 2u, 5u), c1);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 4u, c1, 17u);
    var c2 = Result();
    c2 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 160u + 0u, 5u), c2);
c2 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 160u + 2u, 5u), c2);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 8u, c2, 17u);
    var c3 = Result();
    c3 = subgroupMatrixMultiplyAccumulate(a0, subgroupMatrixLoad<Right, col_major>(&staged, 240u + 0u, 5u), c3);
c3 = subgroupMatrixMultiplyAccumulate(a1, subgroupMatrixLoad<Right, col_major>(&staged, 240u + 2u, 5u), c3);
    subgroupMatrixStore<row_major>(&tiles, tile_at + 12u, c3, 17u);
    workgroupBarrier();
    if (round + 64u < chosen) {
      { let n = lane / 4u; held0 = k[key_octet(batch, min(entries[64u - parity + n], shape.keys - 1u), head) + (lane % 4u + select(4u, 2u, lane % 4u < 2u))]; }
{ let n = (lane + 128u) / 4u; held1 = k[key_octet(batch, min(entries[64u - parity + n], shape.keys - 1u), head) + ((lane + 128u) % 4u + select(4u, 2u, (lane + 128u) % 4u < 2u))]; }
    }
    let whole = entries[parity + min(63u, chosen - round - 1u)] < recent;
    for (var column = within; column < 64u; column += 32u) {
      var sum = 0.0f;
      let at = tile_at + column / 4u;
      let key = entries[parity + column];
      for (var i = 0u; i < 16u; i++) {
        let total_of = totals[subgroup * 16u + i];
        let p = exp2(logit(tiles[at + i * 17u][column % 4u]) - total_of.x) * total_of.y;
        sum += select(0.0f, p, total_of.y > 0.0f && (whole || key < window_starts[subgroup * 16u + i]));
      }
      column_sums[subgroup * 64u + column] = sum;
    }
    workgroupBarrier();
    for (var i = lane; i < 32u; i += 128u) {
      let candidate = round / 2u + i;
      if (candidate < count) {
        var mass = 0.0f;
        for (var key = 0u; key < 2u; key++) {
          mass += column_sums[0u + i * 2u + key];
          mass += column_sums[64u + i * 2u + key];
          mass += column_sums[128u + i * 2u + key];
          mass += column_sums[192u + i * 2u + key];
        }
        scores[cell * shape.scoreStride + candidate] = ordered(mass);
      }
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
