// Scores of keys and of envelopes for a query block: the largest product over sampled rows. What both searches are made of.
import { slowHalf } from '../cache/channels';
import { decodeHalves } from '../numbers/half';
import * as J from '../job';
import { keyAddress, PAGE } from '../cache/pages';
import { LOWEST } from './select';
import { fma } from '../numbers/simd';
import { rowsByPanels } from '../matrix/tile';
import * as S from './scratch';

const LOW: usize = memory.data<f32>([LOWEST, LOWEST, LOWEST, LOWEST], 16);

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
  for (let j = count; j < n; j++) store<u32>(s + S.LIST + (<usize>j << 2), load<u32>(s + S.LIST));
  const panelCount = load<i32>(s + S.PANELS);
  if (load<i32>(s + S.SINGLE)) {
    multiplyRow(s, n, panels, products);
    return;
  }
  rowsByPanels(s + S.LIST, n, panels, panelCount, products, <usize>panelCount << 5, load<i32>(s + S.DEPTH));
}

/** `multiplyList` of a single row: lanes run along the channels, and each product fills the lanes of a panel. */
function multiplyRow(s: usize, n: i32, panels: usize, products: usize): void {
  const depth = <usize>load<i32>(s + S.DEPTH) << 2, narrow = load<i32>(s + S.FORM) == S.SLOW_HALF;
  // Of a slow half, keys are listed whole: channels from a quarter on, and from three quarters on.
  const row = panels + (narrow ? depth << 4 : depth << 3), quarter = narrow ? depth >> 1 : 0, run = narrow ? quarter : depth, parts = narrow ? 2 : 1;
  for (let j: usize = 0; j < <usize>n << 2; j += 16) {
    const at = s + S.LIST + j;
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
  const stride = <usize>load<i32>(s + S.PANELS) << 5, low = v128.load(LOW);
  let at = products;
  for (let j: usize = 0; j < <usize>n << 2; j += 16) {
    const a = lanesMax(at, stride, low), b = lanesMax(at + stride, stride, low), c = lanesMax(at + 2 * stride, stride, low), d = lanesMax(at + 3 * stride, stride, low);
    // Four horizontal maxima at once: pairs, then pairs of pairs.
    const ab = f32x4.pmax(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7));
    const cd = f32x4.pmax(i32x4.shuffle(c, d, 0, 1, 4, 5), i32x4.shuffle(c, d, 2, 3, 6, 7));
    v128.store(s + S.BEST + j, f32x4.pmax(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7)));
    at += stride << 2;
  }
}

/**
 * `scoreList` of summaries [mean, variance] by panels of SQUARES: q·mean + 2·√(q²·variance).
 *
 * @param offset bytes from a mean to its variance
 */
export function scoreDeviations(job: usize, s: usize, count: i32, panels: usize, offset: usize): void {
  const products = s + S.PRODUCTS, spreads = products + S.productBytes(job);
  multiplyList(s, count, panels, products);
  for (let j = 0; j < count; j++) store<u32>(s + S.LIST + (<usize>j << 2), load<u32>(s + S.LIST + (<usize>j << 2)) + <u32>offset);
  const panelCount = load<i32>(s + S.PANELS);
  multiplyList(s, count, panels + (<usize>(panelCount * load<i32>(s + S.DEPTH)) << 5), spreads);
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
  if (load<i32>(s + S.FORM) == S.SLOW_HALF && !load<i32>(s + S.SINGLE)) {
    listNarrow(job, s, b, h, j, first, end, bytes);
    return;
  }
  let unpacked = S.unpackedAt(job, s) + (<usize>(j * padded) << 2);
  for (let key = first; key < end; ) {
    let at = keyAddress(job, b, h, key, bytes);
    for (const stop = min(end, (key & ~(PAGE - 1)) + PAGE); key < stop; key++) {
      if (half) {
        decodeHalves(at, unpacked, padded, special);
        store<u32>(slot + S.LIST, <u32>unpacked);
        unpacked += <usize>padded << 2;
      } else store<u32>(slot + S.LIST, <u32>at);
      store<i32>(slot + S.KEY_OF, key);
      at += bytes;
      slot += 4;
    }
  }
}

/** `listRun` of the slower halves of keys, one behind the other. */
function listNarrow(job: usize, s: usize, b: i32, h: i32, j: i32, first: i32, end: i32, bytes: usize): void {
  const d = J.i(job, J.HEAD_DIM), half = J.i(job, J.HALF) != 0, special = J.i(job, J.SPECIAL) != 0, padded = J.i(job, J.PADDED_DIM);
  const width = (<usize>d << 1) + 15 & ~15;
  let slot = s + (<usize>j << 2), to = S.unpackedAt(job, s) + <usize>j * width;
  const line = S.unpackedAt(job, s) + <usize>S.BATCH_ROWS * width;
  for (let key = first; key < end; ) {
    let at = keyAddress(job, b, h, key, bytes);
    for (const stop = min(end, (key & ~(PAGE - 1)) + PAGE); key < stop; key++) {
      if (half) decodeHalves(at, line, padded, special);
      slowHalf(half ? line : at, to, d);
      store<u32>(slot + S.LIST, <u32>to);
      store<i32>(slot + S.KEY_OF, key);
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
  const position = load<i32>(s + S.POSITION), stride = load<i32>(s + S.STRIDE), rows = load<i32>(s + S.ROW_COUNT), groups = load<i32>(s + S.GROUPS);
  // Keys up to here are visible to every sampled row.
  const safe = position + min(stride, rows);
  const width = <usize>load<i32>(s + S.PANELS) << 5;
  for (let j = 0; j < count; j++) {
    const key = load<i32>(s + S.KEY_OF + (<usize>j << 2));
    if (key < safe) continue;
    let best = LOWEST;
    for (let g = 0; g < groups; g++) {
      if (key >= position + min((g + 1) * stride, rows)) continue;
      const product = load<f32>(products + <usize>j * width + (<usize>g << 2));
      // Not `max`: NaN must not pass.
      if (product > best) best = product;
    }
    store<f32>(s + S.BEST + (<usize>j << 2), best);
  }
}
