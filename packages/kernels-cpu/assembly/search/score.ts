// Scores of keys and of envelopes for a query block: the largest product over sampled rows. What both searches are made of.
import { packPanels } from '../attention/context';
import { decodeHalves } from '../numbers/half';
import * as J from '../job';
import { keyAddress, PAGE } from '../cache/pages';
import { LOWEST } from './select';
import { largest } from '../numbers/non-finite';
import { fma } from '../numbers/simd';
import { rowsByPanels } from '../matrix/tile';

const LOW: usize = memory.data<f32>([LOWEST, LOWEST, LOWEST, LOWEST], 16);

/** Rows scored at once. */
export const BATCH_ROWS: i32 = 64;

/** What panels hold: rows; their positive and negative parts; rows and their squares; the slower half of their rotary pairs. */
export const PLAIN: i32 = 0;
export const SIGNS: i32 = 1;
export const SQUARES: i32 = 2;
export const SLOW_HALF: i32 = 3;

// Scratch of a search, bytes from its start: geometry, pointer list, scores of the list, results; then a place to average rows,
// unpacked keys, and per head of the mask the sampled rows as panels (at most twice as deep as a row).
/** Stride groups, panels of eight, depth of the panels, rows of the block, row stride, position of the first row, what panels hold. */
export const GROUPS: usize = 0;
export const PANELS: usize = 4;
export const DEPTH: usize = 8;
export const ROW_COUNT: usize = 12;
export const STRIDE: usize = 16;
export const POSITION: usize = 20;
export const FORM: usize = 24;
/** 1 = a single row, whose products need no panels: it lies as it is behind those there would be. */
export const SINGLE: usize = 28;
/** u32 [64], i32 [64], f32 [64]. */
export const LIST: usize = 64;
export const KEY_OF: usize = 320;
export const BEST: usize = 576;
/** f32 [64][8·panels], twice: products of keys; of variances. */
export const PRODUCTS: usize = 832;

// @ts-ignore: decorator
@inline
export function maxPanels(job: usize): i32 { return (J.i(job, J.BLOCK_Q) + 7) >> 3; }
/** Bytes of one head's panels. */
// @ts-ignore: decorator
@inline
export function panelBytes(job: usize): usize { return (<usize>(maxPanels(job) * J.i(job, J.PADDED_DIM)) << 5) * 2; }
// @ts-ignore: decorator
@inline
function productBytes(job: usize): usize { return <usize>(BATCH_ROWS * maxPanels(job)) << 5; }
/** f32 [8·panels][d]: averaged rows. */
// @ts-ignore: decorator
@inline
function averageAt(job: usize, s: usize): usize { return s + PRODUCTS + 2 * productBytes(job); }
/** f32 [64][d] */
// @ts-ignore: decorator
@inline
function unpackedAt(job: usize, s: usize): usize { return averageAt(job, s) + (<usize>(maxPanels(job) * J.i(job, J.PADDED_DIM)) << 5); }
/** Panels of the first head. */
// @ts-ignore: decorator
@inline
export function panelsAt(job: usize, s: usize): usize { return unpackedAt(job, s) + (<usize>(BATCH_ROWS * J.i(job, J.PADDED_DIM)) << 2); }

/** Blocks that a mask head keeps. */
export function keepOf(job: usize, maskHead: i32): i32 {
  const budgets = J.p(job, J.KEEP_OF_HEAD);
  return budgets != 0 ? load<i32>(budgets + (<usize>maskHead << 2)) : J.i(job, J.CAPACITY);
}

/**
 * Samples a query block's rows: of each stride group its last row, or the mean. Lanes beyond the last group repeat it, which cannot
 * change a maximum. SIGNS: positive parts, then negative parts, depth 2·d. SQUARES: all panels of rows, then all of squares. SLOW_HALF:
 * depth d/2.
 */
export function sampleRows(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, stride: i32, mean: bool, form: i32, to: usize): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS);
  const rowStride = <usize>(heads * d) << 2;
  const from = J.p(job, J.Q) + (<usize>b * J.i(job, J.QUERIES) + firstRow) * rowStride + (<usize>(h * d) << 2);
  const groups = (rows + stride - 1) / stride;
  const panels = (groups + 7) >> 3;
  const lines = averageAt(job, s), lineBytes = <usize>d << 2;
  for (let g = 0; g < panels << 3; g++) {
    const line = lines + <usize>g * lineBytes;
    if (g >= groups) {
      memory.copy(line, lines + <usize>(groups - 1) * lineBytes, lineBytes);
      continue;
    }
    const start = g * stride, end = min(start + stride, rows);
    memory.copy(line, from + <usize>(end - 1) * rowStride, lineBytes);
    if (!mean || end - start == 1) continue;
    average(from + <usize>start * rowStride, rowStride, end - start, line, lineBytes);
  }
  if (form == SLOW_HALF) for (let g = 0; g < panels << 3; g++) slowHalf(lines + <usize>g * lineBytes, lines + <usize>g * lineBytes, d);
  const depth = form == SIGNS ? 2 * padded : form == SLOW_HALF ? d >> 1 : padded;
  packPanels(lines, lineBytes, panels << 3, form == SLOW_HALF ? d >> 1 : d, depth, 1, to);
  const single = groups == 1 && (form == PLAIN ? (d & 3) == 0 : form == SLOW_HALF && (d & 15) == 0);
  if (single) {
    memory.fill(to + (<usize>padded << 5), 0, <usize>padded << 2);
    memory.copy(to + (<usize>padded << 5), lines, form == PLAIN ? lineBytes : lineBytes >> 1);
  }
  store<i32>(s + SINGLE, i32(single));
  if (form == SQUARES) {
    const bytes = <usize>(panels * padded) << 5;
    for (let at = to; at < to + bytes; at += 16) {
      const x = v128.load(at);
      // Finite, so that no variance of 0 makes NaN of it; pmin passes NaN on.
      v128.store(at + bytes, f32x4.pmin(f32x4.mul(x, x), largest()));
    }
  }
  if (form == SIGNS) {
    const zero = f32x4.splat(0);
    const half = <usize>padded << 5;
    for (let panel = to; panel < to + 2 * half * <usize>panels; panel += 2 * half) {
      for (let at = panel; at < panel + half; at += 16) {
        const x = v128.load(at);
        v128.store(at, f32x4.pmax(x, zero));
        v128.store(at + half, f32x4.pmin(x, zero));
      }
    }
  }
  store<i32>(s + GROUPS, groups);
  store<i32>(s + PANELS, panels);
  store<i32>(s + DEPTH, depth);
  store<i32>(s + ROW_COUNT, rows);
  store<i32>(s + STRIDE, stride);
  store<i32>(s + POSITION, J.i(job, J.POSITION) + firstRow);
  store<i32>(s + FORM, form);
}

/** Channels [d/4, d/2) and [3d/4, d) of a row (docs/specification/hip.md §8.1), to a place that may be the row itself. */
function slowHalf(from: usize, to: usize, d: i32): void {
  const quarter = <usize>d & ~3;
  if ((d & 15) == 0) {
    for (let c: usize = 0; c < quarter; c += 16) v128.store(to + c, v128.load(from + quarter + c));
    for (let c: usize = 0; c < quarter; c += 16) v128.store(to + quarter + c, v128.load(from + 3 * quarter + c));
    return;
  }
  for (let c: usize = 0; c < quarter; c += 4) store<f32>(to + c, load<f32>(from + quarter + c));
  for (let c: usize = 0; c < quarter; c += 4) store<f32>(to + quarter + c, load<f32>(from + 3 * quarter + c));
}

/** Mean of `rows` rows. They are divided by a power of two before they are added, which rounds nothing and keeps the sum finite. */
function average(from: usize, stride: usize, rows: i32, to: usize, bytes: usize): void {
  let power: f32 = 1;
  while (power < <f32>rows) power *= 2;
  const part: f32 = 1 / power, factor: f32 = power / <f32>rows;
  const last = from + <usize>rows * stride, whole = bytes & ~15;
  const parts = f32x4.splat(part), factors = f32x4.splat(factor);
  for (let c: usize = 0; c < whole; c += 16) {
    let sum = f32x4.mul(v128.load(from + c), parts);
    for (let row = from + stride; row < last; row += stride) sum = f32x4.add(sum, f32x4.mul(v128.load(row + c), parts));
    v128.store(to + c, f32x4.mul(sum, factors));
  }
  for (let c = whole; c < bytes; c += 4) {
    let sum: f32 = 0;
    for (let row = from; row < last; row += stride) sum += load<f32>(row + c) * part;
    store<f32>(to + c, sum * factor);
  }
}

/**
 * BEST[j] = largest product of LIST[j], j < count (at most 64), with the sampled rows in `panels`. Products that are NaN are passed
 * over: a row that holds NaN does not vote, a key that does scores LOWEST.
 *
 * @param products where they go, [count rounded up to 4][8·panels]
 */
export function scoreList(s: usize, count: i32, panels: usize, products: usize): void {
  multiplyList(s, count, panels, products);
  bestOfRows(s, count, products);
}

/** Products of LIST with the sampled rows; the list is filled up to a multiple of 4. */
export function multiplyList(s: usize, count: i32, panels: usize, products: usize): void {
  const n = (count + 3) & ~3;
  for (let j = count; j < n; j++) store<u32>(s + LIST + (<usize>j << 2), load<u32>(s + LIST));
  const panelCount = load<i32>(s + PANELS);
  if (load<i32>(s + SINGLE)) {
    multiplyRow(s, n, panels, products);
    return;
  }
  rowsByPanels(s + LIST, n, panels, panelCount, products, <usize>panelCount << 5, load<i32>(s + DEPTH));
}

/** `multiplyList` of a single row: lanes run along the channels, and each product fills the lanes of a panel. */
function multiplyRow(s: usize, n: i32, panels: usize, products: usize): void {
  const depth = <usize>load<i32>(s + DEPTH) << 2, narrow = load<i32>(s + FORM) == SLOW_HALF;
  // Of a slow half, keys are listed whole: channels from a quarter on, and from three quarters on.
  const row = panels + (narrow ? depth << 4 : depth << 3), quarter = narrow ? depth >> 1 : 0, run = narrow ? quarter : depth, parts = narrow ? 2 : 1;
  for (let j: usize = 0; j < <usize>n << 2; j += 16) {
    const at = s + LIST + j;
    let a = f32x4.splat(0), b = a, c = a, d = a;
    let k0 = <usize>load<u32>(at) + quarter, k1 = <usize>load<u32>(at, 4) + quarter, k2 = <usize>load<u32>(at, 8) + quarter, k3 = <usize>load<u32>(at, 12) + quarter;
    let q = row;
    for (let part = 0; part < parts; part++) {
      for (const end = q + run; q < end; q += 16) {
        const x = v128.load(q);
        a = fma(x, v128.load(k0), a);
        b = fma(x, v128.load(k1), b);
        c = fma(x, v128.load(k2), c);
        d = fma(x, v128.load(k3), d);
        k0 += 16; k1 += 16; k2 += 16; k3 += 16;
      }
      k0 += quarter; k1 += quarter; k2 += quarter; k3 += quarter;
    }
    const ab = f32x4.add(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7));
    const cd = f32x4.add(i32x4.shuffle(c, d, 0, 1, 4, 5), i32x4.shuffle(c, d, 2, 3, 6, 7));
    const sums = f32x4.add(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7));
    for (let k: usize = 0; k < 4; k++) {
      const lanes = f32x4.splat(k == 0 ? f32x4.extract_lane(sums, 0) : k == 1 ? f32x4.extract_lane(sums, 1) : k == 2 ? f32x4.extract_lane(sums, 2) : f32x4.extract_lane(sums, 3));
      v128.store(products, lanes);
      v128.store(products, lanes, 16);
      products += 32;
    }
  }
}

/** BEST from products. */
function bestOfRows(s: usize, count: i32, products: usize): void {
  const n = (count + 3) & ~3;
  const stride = <usize>load<i32>(s + PANELS) << 5, low = v128.load(LOW);
  let at = products;
  for (let j: usize = 0; j < <usize>n << 2; j += 16) {
    const a = lanesMax(at, stride, low), b = lanesMax(at + stride, stride, low), c = lanesMax(at + 2 * stride, stride, low), d = lanesMax(at + 3 * stride, stride, low);
    // Four horizontal maxima at once: pairs, then pairs of pairs.
    const ab = f32x4.pmax(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7));
    const cd = f32x4.pmax(i32x4.shuffle(c, d, 0, 1, 4, 5), i32x4.shuffle(c, d, 2, 3, 6, 7));
    v128.store(s + BEST + j, f32x4.pmax(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7)));
    at += stride << 2;
  }
}

/**
 * `scoreList` of summaries [mean, variance] by panels of SQUARES: q·mean + 2·√(q²·variance).
 *
 * @param offset bytes from a mean to its variance
 */
export function scoreDeviations(job: usize, s: usize, count: i32, panels: usize, offset: usize): void {
  const products = s + PRODUCTS, spreads = products + productBytes(job);
  multiplyList(s, count, panels, products);
  for (let j = 0; j < count; j++) store<u32>(s + LIST + (<usize>j << 2), load<u32>(s + LIST + (<usize>j << 2)) + <u32>offset);
  const panelCount = load<i32>(s + PANELS);
  multiplyList(s, count, panels + (<usize>(panelCount * load<i32>(s + DEPTH)) << 5), spreads);
  const bytes = <usize>(((count + 3) & ~3) * panelCount) << 5, deviations = f32x4.splat(2);
  for (let c: usize = 0; c < bytes; c += 16) v128.store(products + c, f32x4.add(v128.load(products + c), f32x4.mul(f32x4.sqrt(v128.load(spreads + c)), deviations)));
  bestOfRows(s, count, products);
}

// @ts-ignore: decorator
@inline
function lanesMax(row: usize, stride: usize, low: v128): v128 {
  let top = low;
  for (let c: usize = 0; c < stride; c += 16) top = f32x4.pmax(top, v128.load(row + c));
  return top;
}

/** Lists keys [first, end) from slot j on: LIST their addresses, unpacked where pages are float16 or panels narrow, KEY_OF the keys. */
export function listRun(job: usize, s: usize, b: i32, h: i32, j: i32, first: i32, end: i32, bytes: usize): void {
  const padded = J.i(job, J.PADDED_DIM), half = J.i(job, J.HALF) != 0, special = J.i(job, J.SPECIAL) != 0;
  let slot = s + (<usize>j << 2);
  if (load<i32>(s + FORM) == SLOW_HALF && !load<i32>(s + SINGLE)) {
    listNarrow(job, s, b, h, j, first, end, bytes);
    return;
  }
  let unpacked = unpackedAt(job, s) + (<usize>(j * padded) << 2);
  // Of keys that a single row is multiplied by on the slower halves, no more is unpacked.
  const d = J.i(job, J.HEAD_DIM), slow = load<i32>(s + FORM) == SLOW_HALF && (d & 31) == 0, quarter = d >> 2;
  for (let key = first; key < end; ) {
    let at = keyAddress(job, b, h, key, bytes);
    for (const stop = min(end, (key & ~(PAGE - 1)) + PAGE); key < stop; key++) {
      if (half) {
        if (slow) {
          decodeHalves(at + (quarter << 1), unpacked + (quarter << 2), quarter, special);
          decodeHalves(at + (3 * quarter << 1), unpacked + (3 * quarter << 2), quarter, special);
        } else decodeHalves(at, unpacked, padded, special);
        store<u32>(slot + LIST, <u32>unpacked);
        unpacked += <usize>padded << 2;
      } else store<u32>(slot + LIST, <u32>at);
      store<i32>(slot + KEY_OF, key);
      at += bytes;
      slot += 4;
    }
  }
}

/** `listRun` of the slower halves of keys, one behind the other. */
function listNarrow(job: usize, s: usize, b: i32, h: i32, j: i32, first: i32, end: i32, bytes: usize): void {
  const d = J.i(job, J.HEAD_DIM), half = J.i(job, J.HALF) != 0, special = J.i(job, J.SPECIAL) != 0, padded = J.i(job, J.PADDED_DIM);
  const width = (<usize>d << 1) + 15 & ~15;
  let slot = s + (<usize>j << 2), to = unpackedAt(job, s) + <usize>j * width;
  const line = unpackedAt(job, s) + <usize>BATCH_ROWS * width;
  for (let key = first; key < end; ) {
    let at = keyAddress(job, b, h, key, bytes);
    for (const stop = min(end, (key & ~(PAGE - 1)) + PAGE); key < stop; key++) {
      if (half) decodeHalves(at, line, padded, special);
      slowHalf(half ? line : at, to, d);
      store<u32>(slot + LIST, <u32>to);
      store<i32>(slot + KEY_OF, key);
      at += bytes;
      to += width;
      slot += 4;
    }
  }
}

/** Lists one key. */
// @ts-ignore: decorator
@inline
export function listKey(job: usize, s: usize, b: i32, h: i32, j: i32, key: i32, bytes: usize): void {
  listRun(job, s, b, h, j, key, key + 1, bytes);
}

/** `scoreList` for listed keys; a key counts only for the rows that see it, and scores LOWEST when none does. */
export function scoreKeys(job: usize, s: usize, count: i32, panels: usize, products: usize): void {
  scoreList(s, count, panels, products);
  if (!J.i(job, J.CAUSAL)) return;
  const position = load<i32>(s + POSITION), stride = load<i32>(s + STRIDE), rows = load<i32>(s + ROW_COUNT), groups = load<i32>(s + GROUPS);
  // Keys up to here are visible to every sampled row.
  const safe = position + min(stride, rows);
  const width = <usize>load<i32>(s + PANELS) << 5;
  for (let j = 0; j < count; j++) {
    const key = load<i32>(s + KEY_OF + (<usize>j << 2));
    if (key < safe) continue;
    let best = LOWEST;
    for (let g = 0; g < groups; g++) {
      if (key >= position + min((g + 1) * stride, rows)) continue;
      const product = load<f32>(products + <usize>j * width + (<usize>g << 2));
      // Not `max`: NaN must not pass.
      if (product > best) best = product;
    }
    store<f32>(s + BEST + (<usize>j << 2), best);
  }
}
