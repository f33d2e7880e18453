// WGSL of the three disjoint key sets of a row tile (docs/specification/hip.md §4): sinks, selected blocks, window, as one list of slots.

/** How the key list is generated. */
export interface KeySetOptions {
  /** Selected blocks and sinks exist; otherwise the window is all there is. */
  readonly sparse: boolean;
}

/**
 * Declares `struct KeySets` and its functions; expects `params`, and `starts` and `counts` when sparse.
 *
 * A slot's entry is key | set << 30, set 0 sink, 1 selected, 2 window, 3 none (its key is still a stored one). The window is
 * the last `window` positions of each row, so the first row's start and the last row's end bound a tile's.
 */
export function keySetFunctions({ sparse }: KeySetOptions): string {
  return `
struct KeySets { sinkSlots: u32, selectedSlots: u32, windowFirst: u32, slots: u32, firstStart: u32, pad: u32 }
struct RowRange { windowStart: u32, visible: u32 }

fn rowRange(row: u32) -> RowRange {
  let end = select(i32(params.keys), i32(row) + params.shift + 1, params.causal == 1u);
  var start = max(end - i32(params.window), 0);
  if (params.tailBlock > 0u) {
    // From the end of the last block below the window of the query block's first row.
    let firstEnd = select(end, i32(row / params.blockQ * params.blockQ) + params.shift + 1, params.causal == 1u);
    let below = u32(max(firstEnd - i32(params.window) - i32(params.sink), 0));
    start = min(start, i32(params.sink + below / params.tailBlock * params.tailBlock));
  }
  return RowRange(u32(start), u32(clamp(end, 0, i32(params.keys))));
}

fn keySets(batch: u32, head: u32, block: u32, firstRow: u32, lastRow: u32) -> KeySets {
  let first = rowRange(firstRow);
  let last = rowRange(lastRow);
  var sets: KeySets;
  sets.windowFirst = max(first.windowStart, params.keyFirst);
  let windowEnd = min(last.visible, params.keyEnd);
  let windowSlots = max(windowEnd, sets.windowFirst) - sets.windowFirst;
${
  sparse
    ? `  let cell = (batch * params.maskHeads + select(params.headFirst + head, 0u, params.maskHeads == 1u)) * params.queryBlocks + block;
  sets.firstStart = cell * params.capacity;
  sets.selectedSlots = min(u32(max(counts[cell], 0)), params.capacity) * params.blockK;
  let sinkEnd = min(min(params.sink, last.windowStart), min(last.visible, params.keyEnd));
  sets.sinkSlots = max(sinkEnd, params.keyFirst) - params.keyFirst;`
    : ''
}
  sets.slots = sets.sinkSlots + sets.selectedSlots + windowSlots;
  return sets;
}

fn slotEntry(sets: KeySets, slot: u32) -> u32 {
  if (slot >= sets.slots) { return params.keyFirst | (3u << 30u); }
${
  sparse
    ? `  if (slot < sets.sinkSlots) { return params.keyFirst + slot; }
  if (slot < sets.sinkSlots + sets.selectedSlots) {
    let inside = slot - sets.sinkSlots;
    let key = u32(max(starts[sets.firstStart + inside / params.blockK], 0)) + inside % params.blockK;
    let stored = (key >= params.keyFirst) & (key < params.keyEnd);
    return select(params.keyFirst | (3u << 30u), key | (1u << 30u), stored);
  }`
    : ''
}
  return (sets.windowFirst + slot - sets.sinkSlots - sets.selectedSlots) | (2u << 30u);
}

// No && anywhere: short circuits are branches, and these stand in the innermost loop.
fn attends(entry: u32, range: RowRange) -> bool {
  let key = entry & 0x3fffffffu;
  let kind = entry >> 30u;
${
  sparse
    ? `  let low = select(select(0u, params.sink, kind == 1u), range.windowStart, kind == 2u);
  let high = select(select(min(params.sink, range.windowStart), range.windowStart, kind == 1u), range.visible, kind == 2u);
  return (kind != 3u) & (key >= low) & (key < min(high, range.visible));`
    : `  return (kind != 3u) & (key >= range.windowStart) & (key < range.visible);`
}
}

// Whether every row between two attends to every slot between two of one set, whose keys ascend.
fn attendsAll(firstEntry: u32, lastEntry: u32, first: RowRange, last: RowRange) -> bool {
  let kind = firstEntry >> 30u;
  return (kind == lastEntry >> 30u) & attends(firstEntry, last) & attends(firstEntry, first) & attends(lastEntry, first) & attends(lastEntry, last);
}
`;
}
