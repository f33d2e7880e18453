// A thread's scratch during attention: one tile of query rows, its online softmax, and the list of keys the next step takes.
import * as J from '../job';
import { allFinite, finiteRun, INFINITE, isFinite32, largerSize, LARGEST, plainNaN, SIZE, sizeMask } from '../numbers/non-finite';
import { exp2Once, INITIAL_MAX } from '../numbers/simd';

/** Query rows of a tile. */
export const ROWS: i32 = 64;
/** Keys of a step. */
export const GROUP: i32 = 64;
/** Bytes between a step's score rows: 64 floats and a gap, so that columns do not fall into few cache sets. */
export const SCORE_STRIDE: usize = 320;

/** More keys than there can be: as many weights of at most 1 / HEADROOM make no more than one. */
export const HEADROOM: f32 = 4294967296;

/** No bound on a row. */
export const FAR: i32 = 1 << 30;

// Byte offsets inside the scratch. Scalars first.
export const COUNT: usize = 0;
/** 1 = some key of the list is hidden from some row. */
export const HIDDEN: usize = 4;
export const ROW_COUNT: usize = 8;
/** Rows rounded up to a multiple of 4. */
export const PADDED_ROWS: usize = 12;
/** Panels of eight rows. */
export const PANELS: usize = 16;
/** Absolute position of row 0. */
export const POSITION: usize = 20;
/** Batch entry and kv head. */
export const BATCH_INDEX: usize = 24;
export const KV_HEAD: usize = 28;
/** Steps so far; step s belongs to split s mod SPLITS. */
export const STEP: usize = 32;
export const SPLIT: usize = 36;
/** Written so that reads ahead are not optimised away. */
export const SEEN: usize = 40;
/** 1 = weights are HEADROOM times smaller, so that sums of large values stay finite. */
export const CAREFUL: usize = 44;
/** 1 = the rows' queries and output gradients are finite: see gradient.ts. */
export const FINITE_ROWS: usize = 48;
/** 1 = the list holds pseudo-keys: means in float32, their BIAS added to scores. */
export const PSEUDO: usize = 52;
/** u32 [64] each: addresses of the step's keys and values. */
export const KEY_LIST: usize = 64;
export const VALUE_LIST: usize = 320;
/** i32 [64] each: key j is visible to rows FROM[j] … TO[j]. */
export const FROM: usize = 576;
export const TO: usize = 832;
/** i32 [64]: the keys themselves, or the index of each mean (../cache/means.ts). */
export const KEY_INDEX: usize = 1088;
/** f32 [64] each. */
export const MAXIMUM: usize = 1344;
export const SUM: usize = 1600;
export const SHRINK: usize = 1856;
/** f32 [64]: logarithm, base 2, of the keys that each pseudo-key stands for. */
export const BIAS: usize = 2112;
/** f32 [64 keys][80]: scores, then weights. */
export const SCORES: usize = 2368;
/** f32 [8 panels][d][8]: queries times scale. */
export const QUERY: usize = SCORES + <usize>GROUP * SCORE_STRIDE;

// @ts-ignore: decorator
@inline
function squareBytes(padded: i32): usize { return <usize>(ROWS * padded) << 2; }
/** f32 [64][d]: the output before division by SUM. */
// @ts-ignore: decorator
@inline
export function outputAt(s: usize, padded: i32): usize { return s + QUERY + squareBytes(padded); }
/** f32 [64][d] each: keys and values unpacked from float16. */
// @ts-ignore: decorator
@inline
export function unpackedAt(s: usize, padded: i32): usize { return s + QUERY + 2 * squareBytes(padded); }
/** What gradients need beside: see gradient.ts. */
// @ts-ignore: decorator
@inline
export function gradientAt(s: usize, padded: i32): usize { return s + QUERY + 4 * squareBytes(padded); }

/** Transposes `rows` rows of `d` floats, times `factor`, into panels [panel][width][8]; lanes beyond the last row are zero. */
export function packPanels(from: usize, stride: usize, rows: i32, d: i32, width: i32, factor: f32, to: usize): void {
  const panels = (rows + 7) >> 3;
  if (rows != panels << 3 || d != width) memory.fill(to, 0, <usize>(panels * width) << 5);
  for (let r = 0; r < rows; r++) {
    const out = to + (<usize>((r >> 3) * width) << 5) + (<usize>(r & 7) << 2);
    const row = from + <usize>r * stride;
    for (let c: usize = 0; c < <usize>d; c++) store<f32>(out + (c << 5), load<f32>(row + (c << 2)) * factor);
  }
}

/** Begins a tile: `rows` rows from `firstRow` on of head h; `careful` when it was done before and was not finite. */
export function begin(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, careful: bool): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS), softcap = J.f(job, J.SOFTCAP);
  // With a soft-cap scores are s/c until the cap is applied; without, they are in base 2 at once.
  const factor: f32 = softcap > 0 ? J.f(job, J.SCALE) / softcap : J.f(job, J.SCALE) * 1.4426950408889634;
  const stride = <usize>(heads * d) << 2;
  const from = J.p(job, J.Q) + (<usize>b * J.i(job, J.QUERIES) + firstRow) * stride + (<usize>(h * d) << 2);
  packPanels(from, stride, rows, d, padded, factor, s + QUERY);
  const packed = <usize>(((rows + 7) >> 3) * padded) << 5;
  if (!finiteRun(s + QUERY, packed)) plainNaN(s + QUERY, packed);
  store<i32>(s + COUNT, 0);
  store<i32>(s + CAREFUL, i32(careful));
  store<i32>(s + HIDDEN, 0);
  store<i32>(s + PSEUDO, 0);
  store<i32>(s + STEP, 0);
  store<i32>(s + SPLIT, 0);
  store<i32>(s + ROW_COUNT, rows);
  store<i32>(s + PADDED_ROWS, (rows + 3) & ~3);
  store<i32>(s + PANELS, (rows + 7) >> 3);
  store<i32>(s + POSITION, J.i(job, J.POSITION) + firstRow);
  store<i32>(s + BATCH_INDEX, b);
  store<i32>(s + KV_HEAD, h / (heads / J.i(job, J.KV_HEADS)));
  memory.fill(outputAt(s, padded), 0, squareBytes(padded));
  memory.fill(s + SUM, 0, <usize>ROWS << 2);
  for (let r: usize = 0; r < <usize>ROWS << 2; r += 4) store<f32>(s + MAXIMUM + r, INITIAL_MAX);
}

/** Address of a row of the output, [B, QUERIES, H, d]. */
// @ts-ignore: decorator
@inline
function outputRow(job: usize, b: i32, h: i32, row: i32): usize {
  return J.p(job, J.OUT) + ((<usize>((b * J.i(job, J.QUERIES) + row) * J.i(job, J.HEADS) + h) * J.i(job, J.HEAD_DIM)) << 2);
}

/** Writes a row's log-sum-exp where the job asks for it; −∞ for a row that sees no key. */
// @ts-ignore: decorator
@inline
function storeLse(job: usize, b: i32, h: i32, row: i32, maximum: f32, sum: f32): void {
  const lse = J.p(job, J.LSE);
  if (lse != 0) store<f32>(lse + (<usize>((b * J.i(job, J.HEADS) + h) * J.i(job, J.QUERIES) + row) << 2), maximum + <f32>Math.log2(sum));
}

/**
 * Ends a tile: writes output / SUM for each row, and the log-sum-exp where the job asks for it.
 *
 * @returns true when the tile is to be done again, carefully
 */
export function finish(job: usize, s: usize, b: i32, h: i32, firstRow: i32): bool {
  const dBytes = <usize>J.i(job, J.HEAD_DIM) << 2;
  const again = divideRows(s, J.i(job, J.PADDED_DIM), dBytes, outputRow(job, b, h, firstRow), <usize>J.i(job, J.HEADS) * dBytes);
  for (let r = 0; r < load<i32>(s + ROW_COUNT); r++) storeLse(job, b, h, firstRow + r, load<f32>(s + MAXIMUM + (<usize>r << 2)), load<f32>(s + SUM + (<usize>r << 2)));
  return again;
}

/**
 * Writes output / SUM of each row, `bytes` bytes, to rows `stride` bytes apart; 0 where every key was hidden. When a careful tile ends
 * only numbers that were not finite are replaced.
 *
 * @returns true when some number is not finite and the tile was not a careful one: large values may have added up to infinity
 */
function divideRows(s: usize, padded: i32, bytes: usize, to: usize, stride: usize): bool {
  const rows = load<i32>(s + ROW_COUNT), careful = load<i32>(s + CAREFUL) != 0;
  const whole = bytes & ~15;
  const size = sizeMask();
  let from = outputAt(s, padded);
  let most = i32x4.splat(0), mostTail = 0;
  for (let r = 0; r < rows; r++) {
    const sum = load<f32>(s + SUM + (<usize>r << 2));
    const factor: f32 = sum == 0 ? 0 : (careful ? HEADROOM : 1) / sum;
    if (careful) repairRow(from, to, bytes, factor);
    else {
      const f4 = f32x4.splat(factor);
      for (let c: usize = 0; c < whole; c += 16) {
        const x = f32x4.mul(v128.load(from + c), f4);
        most = largerSize(most, x, size);
        v128.store(to + c, x);
      }
      for (let c = whole; c < bytes; c += 4) {
        const x = load<f32>(from + c) * factor;
        mostTail = max(mostTail, reinterpret<i32>(x) & SIZE);
        store<f32>(to + c, x);
      }
    }
    to += stride;
    from += <usize>padded << 2;
  }
  return !allFinite(most) || mostTail >= INFINITE;
}

/** Replaces what is not finite. A mean of finite values is finite: it can exceed the largest float by rounding only. */
function repairRow(from: usize, to: usize, bytes: usize, factor: f32): void {
  for (let c: usize = 0; c < bytes; c += 4) {
    if (isFinite32(load<f32>(to + c))) continue;
    const sum = load<f32>(from + c), x = sum * factor;
    store<f32>(to + c, isFinite32(sum) && abs(x) == Infinity ? copysign<f32>(LARGEST, x) : x);
  }
}

/** Floats of one split's partial result: maximum, sum, output of a tile of up to 8 rows. */
// @ts-ignore: decorator
@inline
function partialFloats(padded: i32): usize { return <usize>(8 * padded + 16); }

/** Keeps a split's partial result, its rows divided by their sums. `slot` counts (batch, head, split). @returns as `finish` */
export function keepPartial(job: usize, s: usize, slot: i32): bool {
  const padded = J.i(job, J.PADDED_DIM), bytes = <usize>padded << 2;
  const to = J.p(job, J.PARTIALS) + ((<usize>slot * partialFloats(padded)) << 2);
  memory.copy(to, s + MAXIMUM, 32);
  memory.copy(to + 32, s + SUM, 32);
  return divideRows(s, padded, bytes, to + 64, bytes);
}

/** Sum of a row's weights in a partial result, relative to the maximum `top`. */
// @ts-ignore: decorator
@inline
function shareOf(part: usize, r: usize, top: f32): f32 {
  return f32x4.extract_lane(exp2Once(f32x4.splat(load<f32>(part + (r << 2)) - top)), 0) * load<f32>(part + 32 + (r << 2));
}

/** Merges the splits of each (batch, head) in their order, as if one tile had seen all keys. Work item: (batch, head). */
export function mergeSplits(job: usize, thread: i32): void {
  const heads = J.i(job, J.HEADS), splits = J.i(job, J.SPLITS), padded = J.i(job, J.PADDED_DIM), rows = J.i(job, J.QUERIES), d = J.i(job, J.HEAD_DIM);
  const out = outputAt(J.scratch(job, thread), padded), width = <usize>padded << 2;
  const bytes = partialFloats(padded) << 2;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const first = J.p(job, J.PARTIALS) + <usize>(item * splits) * bytes, end = first + <usize>splits * bytes;
    for (let r: usize = 0; r < <usize>rows; r++) {
      let top = INITIAL_MAX;
      for (let part = first; part < end; part += bytes) top = max(top, load<f32>(part + (r << 2)));
      let total: f32 = 0;
      for (let part = first; part < end; part += bytes) total += shareOf(part, r, top);
      memory.fill(out, 0, width);
      for (let part = first; part < end; part += bytes) {
        const weight = f32x4.splat(total == 0 ? 0 : shareOf(part, r, top) / total);
        const from = part + 64 + r * width;
        for (let c: usize = 0; c < width; c += 16) v128.store(out + c, f32x4.add(v128.load(out + c), f32x4.mul(v128.load(from + c), weight)));
      }
      if (!finiteRun(out, width)) clampMean(out, first + 64 + r * width, end, bytes, width);
      memory.copy(outputRow(job, item / heads, item % heads, <i32>r), out, <usize>d << 2);
      storeLse(job, item / heads, item % heads, <i32>r, top, total);
    }
  }
}

/** Makes an infinity that rounding made of finite parts the largest float. */
function clampMean(out: usize, parts: usize, end: usize, stride: usize, width: usize): void {
  for (let c: usize = 0; c < width; c += 4) {
    const x = load<f32>(out + c);
    if (abs(x) != Infinity) continue;
    let finite = true;
    for (let at = parts + c; at < end; at += stride) finite = finite && isFinite32(load<f32>(at));
    if (finite) store<f32>(out + c, copysign<f32>(LARGEST, x));
  }
}
