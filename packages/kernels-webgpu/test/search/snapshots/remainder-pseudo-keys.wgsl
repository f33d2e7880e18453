struct Cells {
  queries: u32,
  keys: u32,
  window: u32,
  causal: u32,
  blockQ: u32,
  blockK: u32,
  queryBlocks: u32,
  capacity: u32,
  baseBlocks: u32,
  most: u32,
}
@group(0) @binding(0) var<uniform> cells: Cells;
@group(0) @binding(1) var<storage, read> starts: array<i32>;
@group(0) @binding(2) var<storage, read> counts: array<i32>;
@group(0) @binding(3) var<storage, read_write> pseudo: array<vec2u>;
var<workgroup> kept: array<u32, 64>;
// First block of a cell, of `count`, that ends behind `key` (`reach` = blockK), or starts there or later (0).
fn first_behind(at: u32, count: u32, key: i32, reach: i32) -> u32 {
  var low = 0u;
  var high = count;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (starts[at + middle] + reach > key) { high = middle; } else { low = middle + 1u; }
  }
  return low;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cell = group.z * cells.queryBlocks + group.y;
  let starts_at = cell * cells.capacity;
  let list_at = cell * (cells.most + 1u);
  let count = min(u32(max(counts[cell], 0)), cells.capacity);
  let seen = select(i32(cells.keys), clamp(i32(group.y * cells.blockQ + 1u + cells.keys) - i32(cells.queries), 0, i32(cells.keys)), cells.causal == 1u);
  let window_start = max(seen - i32(cells.window), 0);
  let searched = u32(max(window_start - 16, 0));
  // The geometry: whole blocks of the smallest size of which no more than the most fit, then one for each binary digit of the rest.
  var size = 64u;
  var level = 0u;
  while (searched / size > 32u) { size *= 2u; level++; }
  let whole = searched / size;
  let rest = (searched - whole * size) / 64u;
  let blocks = whole + countOneBits(rest);
  var total = 0u;
  for (var round = 0u; round < blocks; round += 64u) {
    let index = round + lane;
    var left = 0u;
    var entry = vec2u(0u);
    if (index < blocks) {
      var start = index * size;
      var mine = size;
      var step = level;
      if (index >= whole) {
        start = whole * size;
        var skip = index - whole;
        loop {
          step--;
          let digit = 1u << step;
          if ((rest & digit) != 0u) {
            if (skip == 0u) { break; }
            skip--;
            start += digit * 64u;
          }
        }
        mine = 64u << step;
      }
      let from_key = i32(start) + 16;
      let to_key = from_key + i32(mine);
      let first = first_behind(starts_at, count, from_key, i32(cells.blockK));
      let end = first_behind(starts_at, count, to_key - 1, 0);
      left = mine;
      if (end > first) {
        let held = (end - first) * cells.blockK - u32(max(from_key - starts[starts_at + first], 0)) - u32(max(starts[starts_at + end - 1u] + i32(cells.blockK) - to_key, 0));
        left = mine - held;
      }
      var row = start / mine;
      var rows = cells.baseBlocks;
      for (var l = 0u; l < step; l++) { row += rows; rows /= 2u; }
      entry = vec2u(row, bitcast<u32>(log2(f32(left))));
    }
    kept[lane] = u32(left > 0u);
    workgroupBarrier();
    var slot = total;
    var added = 0u;
    for (var i = 0u; i < 64u; i++) {
      if (i == lane) { slot = total + added; }
      added += kept[i];
    }
    if (left > 0u) { pseudo[list_at + 1u + slot] = entry; }
    total += added;
    workgroupBarrier();
  }
  if (lane == 0u) { pseudo[list_at] = vec2u(total, count); }
}
