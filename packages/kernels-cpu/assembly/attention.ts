// Flash attention over a list of key panels: dense and block-sparse share everything but how the list is made.
import * as J from './job';
import { exp2x4, fma, horizontalMax, horizontalSum, INITIAL_MAX, MASKED, PANEL, tile4x8 } from './simd';

const LOG2E: f32 = 1.4426950408889634;
/** Query rows of a tile. */
export const ROWS: i32 = 64;
/** Panels scored at once: 64 keys. */
const GROUP: i32 = 8;
/** Bytes of a list entry. */
const ENTRY: usize = 32;
/** No bound. */
const FAR: i32 = 1 << 29;

// Scratch of one thread, in bytes from its start: q [64][d], out [64][d], scores [64][64], max [64], sum [64], panel list, gathered panels.
// @ts-ignore: decorator
@inline
function outAt(d: i32): usize { return <usize>(ROWS * d) << 2; }
// @ts-ignore: decorator
@inline
function scoresAt(d: i32): usize { return <usize>(2 * ROWS * d) << 2; }
// @ts-ignore: decorator
@inline
function maxAt(d: i32): usize { return scoresAt(d) + ((ROWS * GROUP * PANEL) << 2); }
// @ts-ignore: decorator
@inline
function sumAt(d: i32): usize { return maxAt(d) + (ROWS << 2); }
/** The group's panels, ENTRY bytes each: see `entry`. */
// @ts-ignore: decorator
@inline
function listAt(d: i32): usize { return sumAt(d) + (ROWS << 2); }
// @ts-ignore: decorator
@inline
function gatherAt(d: i32): usize { return listAt(d) + <usize>GROUP * ENTRY; }

/** Loads R rows of a head's queries, times `factor`; rows beyond R up to the next multiple of 4 are zero. */
function loadQueries(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, factor: f32): void {
  const d = J.i(job, J.HEAD_DIM), heads = J.i(job, J.HEADS), queries = J.i(job, J.QUERIES);
  const rowBytes = <usize>(heads * d) << 2, dBytes = <usize>d << 2;
  let from = J.p(job, J.Q) + (<usize>b * queries + firstRow) * rowBytes + <usize>h * dBytes;
  const out = s + outAt(d);
  for (let r = 0; r < rows; r++) {
    const to = s + <usize>r * dBytes;
    for (let c: usize = 0; c < dBytes; c += 4) store<f32>(to + c, load<f32>(from + c) * factor);
    from += rowBytes;
  }
  const padded = (rows + 3) & ~3;
  memory.fill(s + <usize>rows * dBytes, 0, <usize>(padded - rows) * dBytes);
  memory.fill(out, 0, <usize>padded * dBytes);
  const m = s + maxAt(d), l = s + sumAt(d);
  for (let r: usize = 0; r < <usize>padded; r++) { store<f32>(m + (r << 2), INITIAL_MAX); store<f32>(l + (r << 2), 0); }
}

/** Writes out / sum for each row. */
function storeRows(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32): void {
  const d = J.i(job, J.HEAD_DIM), heads = J.i(job, J.HEADS), queries = J.i(job, J.QUERIES);
  const rowBytes = <usize>(heads * d) << 2, dBytes = <usize>d << 2;
  let to = J.p(job, J.OUT) + (<usize>b * queries + firstRow) * rowBytes + <usize>h * dBytes;
  for (let r = 0; r < rows; r++) {
    const sum = load<f32>(s + sumAt(d) + (<usize>r << 2));
    const factor: f32 = sum > 0 ? 1 / sum : 0;
    const from = s + outAt(d) + <usize>r * dBytes;
    for (let c: usize = 0; c < dBytes; c += 4) store<f32>(to + c, load<f32>(from + c) * factor);
    to += rowBytes;
  }
}

/** One step of the online softmax over the first `panels` entries of the list (at most 8). */
function step(job: usize, s: usize, panels: i32, paddedRows: i32, rows: i32, pos0: i32, softcap: f32): void {
  const d = J.i(job, J.HEAD_DIM);
  const dBytes = <usize>d << 2;
  const scoreStride: usize = (GROUP * PANEL) << 2;
  const scores = s + scoresAt(d);
  const list = s + listAt(d);
  // S = Q·Kᵀ
  for (let n = 0; n < panels; n++) {
    const panel = <usize>load<u32>(list + <usize>n * ENTRY);
    let a = s;
    let c = scores + (<usize>n << 5);
    for (let r = 0; r < paddedRows; r += 4) {
      tile4x8(a, dBytes, panel, PANEL << 2, c, scoreStride, d, false);
      a += dBytes << 2;
      c += scoreStride << 2;
    }
  }
  const vectors = panels << 1;
  if (softcap > 0) {
    // c·tanh(s/c) = c·(1 − e)/(1 + e) with e = exp(−2|s/c|); scores are s/c here, and in base 2 afterwards.
    const one = f32x4.splat(1);
    const cap = f32x4.splat(softcap * LOG2E);
    const toBase2 = f32x4.splat(-2 * LOG2E);
    const sign = i32x4.splat(0x80000000);
    for (let r = 0; r < paddedRows; r++) {
      const row = scores + <usize>r * scoreStride;
      for (let n = 0; n < vectors; n++) {
        const x = v128.load(row + (<usize>n << 4));
        const e = exp2x4(f32x4.mul(f32x4.abs(x), toBase2));
        const t = f32x4.mul(f32x4.div(f32x4.sub(one, e), f32x4.add(one, e)), cap);
        v128.store(row + (<usize>n << 4), v128.or(t, v128.and(x, sign)));
      }
    }
  }
  // Masks, only where a panel asks for them.
  for (let n = 0; n < panels; n++) {
    const e = list + <usize>n * ENTRY;
    if (load<i32>(e + 12) == 0) continue;
    const low = load<i32>(e + 8);
    const topConst = load<i32>(e + 16), topShift = load<i32>(e + 20), floorConst = load<i32>(e + 24), floorShift = load<i32>(e + 28);
    for (let r = 0; r < rows; r++) {
      const top = min(topConst, pos0 + r - topShift);
      const floor = max(floorConst, pos0 + r - floorShift);
      const row = scores + <usize>r * scoreStride + (<usize>n << 5);
      for (let j = 0; j < PANEL; j++) {
        const key = low + j;
        if (key > top || key < floor) store<f32>(row + (<usize>j << 2), MASKED);
      }
    }
  }
  // P = exp2(S − max), rescaling what was there.
  const m = s + maxAt(d), l = s + sumAt(d);
  for (let r = 0; r < paddedRows; r++) {
    const row = scores + <usize>r * scoreStride;
    let top = v128.load(row);
    for (let n = 1; n < vectors; n++) top = f32x4.max(top, v128.load(row + (<usize>n << 4)));
    const before = load<f32>(m + (<usize>r << 2));
    const now = max(before, horizontalMax(top));
    const shift = f32x4.splat(now);
    let sum = f32x4.splat(0);
    for (let n = 0; n < vectors; n++) {
      const e = exp2x4(f32x4.sub(v128.load(row + (<usize>n << 4)), shift));
      v128.store(row + (<usize>n << 4), e);
      sum = f32x4.add(sum, e);
    }
    const total = horizontalSum(sum);
    if (now > before) {
      const shrink = exp2x4(f32x4.splat(before - now));
      store<f32>(l + (<usize>r << 2), load<f32>(l + (<usize>r << 2)) * f32x4.extract_lane(shrink, 0) + total);
      store<f32>(m + (<usize>r << 2), now);
      const out = s + outAt(d) + <usize>r * dBytes;
      for (let c: usize = 0; c + 16 <= dBytes; c += 16) v128.store(out + c, f32x4.mul(v128.load(out + c), shrink));
      for (let c: usize = dBytes & ~15; c < dBytes; c += 4) store<f32>(out + c, load<f32>(out + c) * f32x4.extract_lane(shrink, 0));
    } else {
      store<f32>(l + (<usize>r << 2), load<f32>(l + (<usize>r << 2)) + total);
    }
  }
  // O += P·V
  const wide = d & ~7;
  for (let n = 0; n < panels; n++) {
    // Panels whose values lie one after the other are one product.
    const values = <usize>load<u32>(list + <usize>n * ENTRY + 4);
    let run = 1;
    while (n + run < panels && <usize>load<u32>(list + <usize>(n + run) * ENTRY + 4) == values + <usize>(run * PANEL) * dBytes) run++;
    for (let r = 0; r < paddedRows; r += 4) {
      const a = scores + <usize>r * scoreStride + (<usize>n << 5);
      const out = s + outAt(d) + <usize>r * dBytes;
      for (let c = 0; c < wide; c += 8) tile4x8(a, scoreStride, values + (<usize>c << 2), dBytes, out + (<usize>c << 2), dBytes, run * PANEL, true);
    }
    for (let c = wide; c < d; c++) {
      for (let r = 0; r < rows; r++) {
        const at = s + outAt(d) + <usize>r * dBytes + (<usize>c << 2);
        let sum = load<f32>(at);
        for (let j = 0; j < run * PANEL; j++) {
          sum += load<f32>(scores + <usize>r * scoreStride + (<usize>n << 5) + (<usize>j << 2)) * load<f32>(values + <usize>j * dBytes + (<usize>c << 2));
        }
        store<f32>(at, sum);
      }
    }
    n += run - 1;
  }
}

/**
 * Puts a panel on the list. Lane j holds key low + j. With `masked`, the row at position p sees it iff
 * max(floorConst, p − floorShift) <= low + j <= min(topConst, p − topShift).
 */
// @ts-ignore: decorator
@inline
function entry(list: usize, n: i32, keyPanel: usize, valuePanel: usize, low: i32, masked: bool, topConst: i32, topShift: i32, floorConst: i32, floorShift: i32): void {
  const at = list + <usize>n * ENTRY;
  store<u32>(at, <u32>keyPanel);
  store<u32>(at + 4, <u32>valuePanel);
  store<i32>(at + 8, low);
  store<i32>(at + 12, masked ? 1 : 0);
  store<i32>(at + 16, topConst);
  store<i32>(at + 20, topShift);
  store<i32>(at + 24, floorConst);
  store<i32>(at + 28, floorShift);
}

/** Work item: (batch, query tile counted from the last, head). Tiles late in the sequence are longest, so they go first. */
export function denseAttention(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM);
  const causal = J.i(job, J.CAUSAL) != 0;
  const softcap = J.f(job, J.SOFTCAP);
  const factor: f32 = softcap > 0 ? J.f(job, J.SCALE) / softcap : J.f(job, J.SCALE) * LOG2E;
  const tiles = (queries + ROWS - 1) / ROWS;
  const panelCount = (keys + PANEL - 1) / PANEL;
  const panelBytes = <usize>(d * PANEL) << 2;
  const s = J.scratch(job, thread);
  const list = s + listAt(d);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const h = item % heads;
    const tile = tiles - 1 - (item / heads) % tiles;
    const b = item / (heads * tiles);
    const firstRow = tile * ROWS;
    const rows = min(ROWS, queries - firstRow);
    const padded = (rows + 3) & ~3;
    loadQueries(job, s, b, h, firstRow, rows, factor);
    const pos0 = firstRow + keys - queries;
    const visible = causal ? min(keys, max(0, pos0 + rows)) : keys;
    const base = <usize>(b * kvHeads + h / (heads / kvHeads)) * panelCount * panelBytes;
    const last = (visible + PANEL - 1) / PANEL;
    for (let n = 0; n < last; n += GROUP) {
      const count = min(GROUP, last - n);
      for (let j = 0; j < count; j++) {
        const low = (n + j) * PANEL;
        const at = base + <usize>(n + j) * panelBytes;
        entry(list, j, J.p(job, J.KEY_PANELS) + at, J.p(job, J.VALUE_PANELS) + at, low, low + PANEL > keys || (causal && low + PANEL - 1 > pos0), keys - 1, causal ? 0 : -FAR, 0, FAR);
      }
      step(job, s, count, padded, rows, pos0, softcap);
    }
    storeRows(job, s, b, h, firstRow, rows);
  }
}

/** Work item: (batch, query block counted from the last, tile, head). Three disjoint sets: window, sinks, selected blocks. */
export function sparseAttention(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM);
  const causal = J.i(job, J.CAUSAL) != 0;
  const softcap = J.f(job, J.SOFTCAP);
  const factor: f32 = softcap > 0 ? J.f(job, J.SCALE) / softcap : J.f(job, J.SCALE) * LOG2E;
  const blockQ = J.i(job, J.BLOCK_Q), blockK = J.i(job, J.BLOCK_K), sink = J.i(job, J.SINK), window = J.i(job, J.WINDOW), capacity = J.i(job, J.CAPACITY);
  const shared = J.i(job, J.SHARE_HEADS) != 0, aligned = J.i(job, J.ALIGNED) != 0;
  const blocks = (queries + blockQ - 1) / blockQ;
  const tilesPerBlock = (blockQ + ROWS - 1) / ROWS;
  const panelCount = (keys + PANEL - 1) / PANEL;
  const panelBytes = <usize>(d * PANEL) << 2;
  const s = J.scratch(job, thread);
  const list = s + listAt(d);
  const gather = s + gatherAt(d);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const h = item % heads;
    const rest = item / heads;
    const tile = rest % tilesPerBlock;
    const block = blocks - 1 - (rest / tilesPerBlock) % blocks;
    const b = rest / (tilesPerBlock * blocks);
    const firstRow = block * blockQ + tile * ROWS;
    const rows = min(ROWS, min(queries, (block + 1) * blockQ) - firstRow);
    if (rows <= 0) continue;
    const padded = (rows + 3) & ~3;
    loadQueries(job, s, b, h, firstRow, rows, factor);
    const pos0 = firstRow + keys - queries;
    const visible = causal ? min(keys, max(0, pos0 + rows)) : keys;
    // Window: keys [windowStart(row), …); the first row's is the earliest, the last row's the latest.
    const windowFirst = max(0, (causal ? pos0 + 1 : keys) - window);
    const windowLast = causal ? max(0, pos0 + rows - window) : windowFirst;
    const floorShift = causal ? window - 1 : FAR;
    // Keys outside the window: key <= before(row); safe for all rows up to the first row's.
    const beforeConst = causal ? keys - 1 : windowFirst - 1;
    const beforeShift = causal ? window : -FAR;
    const safe = windowFirst - 1;
    const most = windowLast - 1;
    const base = <usize>(b * kvHeads + h / (heads / kvHeads)) * panelCount * panelBytes;
    const keyBase = J.p(job, J.KEY_PANELS) + base, valueBase = J.p(job, J.VALUE_PANELS) + base;
    let count = 0;
    for (let low = windowFirst & ~(PANEL - 1); low < visible; low += PANEL) {
      const at = <usize>(low / PANEL) * panelBytes;
      const masked = low + PANEL > keys || (causal && low + PANEL - 1 > pos0) || low < windowLast;
      entry(list, count++, keyBase + at, valueBase + at, low, masked, keys - 1, causal ? 0 : -FAR, causal ? 0 : windowFirst, floorShift);
      if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
    }
    const sinkEnd = min(sink, most + 1);
    for (let low = 0; low < sinkEnd; low += PANEL) {
      const at = <usize>(low / PANEL) * panelBytes;
      const masked = low + PANEL > sink || low + PANEL - 1 > safe;
      entry(list, count++, keyBase + at, valueBase + at, low, masked, min(sink - 1, beforeConst), beforeShift, 0, FAR);
      if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
    }
    const cell = (b * (shared ? 1 : heads) + (shared ? 0 : h)) * blocks + block;
    const used = load<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2));
    const starts = J.p(job, J.STARTS) + (<usize>cell * capacity << 2);
    if (aligned) {
      for (let n = 0; n < used; n++) {
        const start = load<i32>(starts + (<usize>n << 2));
        for (let low = start; low < start + blockK && low <= most; low += PANEL) {
          const at = <usize>(low / PANEL) * panelBytes;
          entry(list, count++, keyBase + at, valueBase + at, low, low + PANEL - 1 > safe, beforeConst, beforeShift, 0, FAR);
          if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
        }
      }
    } else {
      if (count > 0) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
      // Keys every row may take, packed 8 by 8 whatever their places.
      let lane = 0;
      let to = gather;
      for (let n = 0; n < used; n++) {
        const start = load<i32>(starts + (<usize>n << 2));
        const end = min(start + blockK, safe + 1);
        for (let key = max(start, sink); key < end; key++) {
          copyKey(keyBase, valueBase, panelBytes, key, to, lane, d);
          if (++lane == PANEL) {
            entry(list, count++, to, to + panelBytes, 0, false, 0, 0, 0, 0);
            lane = 0;
            if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
            to = gather + <usize>count * 2 * panelBytes;
          }
        }
      }
      if (lane > 0) {
        for (let r = lane; r < PANEL; r++) clearKey(to, panelBytes, r, d);
        entry(list, count++, to, to + panelBytes, 0, true, lane - 1, -FAR, 0, FAR);
        if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
      }
      // Keys that only the later rows may take: runs of consecutive keys, bounded row by row.
      for (let n = 0; n < used; n++) {
        const start = load<i32>(starts + (<usize>n << 2));
        const end = min(start + blockK, most + 1);
        for (let key = max(max(start, sink), safe + 1); key < end; key += PANEL) {
          const to = gather + <usize>count * 2 * panelBytes;
          const width = min(PANEL, end - key);
          for (let r = 0; r < PANEL; r++) {
            if (r < width) copyKey(keyBase, valueBase, panelBytes, key + r, to, r, d);
            else clearKey(to, panelBytes, r, d);
          }
          entry(list, count++, to, to + panelBytes, key, true, min(end - 1, beforeConst), beforeShift, 0, FAR);
          if (count == GROUP) { step(job, s, count, padded, rows, pos0, softcap); count = 0; }
        }
      }
    }
    if (count > 0) step(job, s, count, padded, rows, pos0, softcap);
    storeRows(job, s, b, h, firstRow, rows);
  }
}

// @ts-ignore: decorator
@inline
function copyKey(keyBase: usize, valueBase: usize, panelBytes: usize, key: i32, to: usize, lane: i32, d: i32): void {
  const from = keyBase + <usize>(key / PANEL) * panelBytes + (<usize>(key % PANEL) << 2);
  const at = to + (<usize>lane << 2);
  for (let c: usize = 0; c < <usize>d; c++) store<f32>(at + (c << 5), load<f32>(from + (c << 5)));
  const dBytes = <usize>d << 2;
  memory.copy(to + panelBytes + <usize>lane * dBytes, valueBase + <usize>(key / PANEL) * panelBytes + <usize>(key % PANEL) * dBytes, dBytes);
}

// @ts-ignore: decorator
@inline
function clearKey(to: usize, panelBytes: usize, lane: i32, d: i32): void {
  for (let c: usize = 0; c < <usize>d; c++) store<f32>(to + (<usize>lane << 2) + (c << 5), 0);
  memory.fill(to + panelBytes + (<usize>(lane * d) << 2), 0, <usize>d << 2);
}

/** Bytes of one thread's scratch for attention with head dimension d. */
export function attentionScratch(d: i32): usize {
  return gatherAt(d) + <usize>(GROUP * 2 * PANEL * d * 4);
}
