// A thread's scratch during attention: one tile of query rows, its online softmax, and the list of keys the next step takes.
import * as J from './job';
import { exp2Once, INITIAL_MAX } from './simd';

/** Query rows of a tile. */
export const ROWS: i32 = 64;
/** Keys of a step. */
export const GROUP: i32 = 64;
/** Bytes between a step's score rows: 64 floats and a gap, so that columns do not fall into few cache sets. */
export const SCORE_STRIDE: usize = 320;

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
/** u32 [64] each: addresses of the step's keys and values. */
export const KEY_LIST: usize = 64;
export const VALUE_LIST: usize = 320;
/** i32 [64] each: key j is visible to rows FROM[j] … TO[j]. */
export const FROM: usize = 576;
export const TO: usize = 832;
/** i32 [64]: the keys themselves. */
export const KEY_INDEX: usize = 1088;
/** f32 [64] each. */
export const MAXIMUM: usize = 1344;
export const SUM: usize = 1600;
export const SHRINK: usize = 1856;
/** f32 [64 keys][80]: scores, then weights. */
export const SCORES: usize = 2112;
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

/** Begins a tile: `rows` rows from `firstRow` on of head h. */
export function begin(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS), softcap = J.f(job, J.SOFTCAP);
  // With a soft-cap scores are s/c until the cap is applied; without, they are in base 2 at once.
  const factor: f32 = softcap > 0 ? J.f(job, J.SCALE) / softcap : J.f(job, J.SCALE) * 1.4426950408889634;
  const stride = <usize>(heads * d) << 2;
  const from = J.p(job, J.Q) + (<usize>b * J.i(job, J.QUERIES) + firstRow) * stride + (<usize>(h * d) << 2);
  packPanels(from, stride, rows, d, padded, factor, s + QUERY);
  store<i32>(s + COUNT, 0);
  store<i32>(s + HIDDEN, 0);
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

/** Ends a tile: writes output / SUM for each row, and the log-sum-exp where the job asks for it. */
export function finish(job: usize, s: usize, b: i32, h: i32, firstRow: i32): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS), queries = J.i(job, J.QUERIES);
  const rows = load<i32>(s + ROW_COUNT);
  const stride = <usize>(heads * d) << 2, dBytes = <usize>d << 2;
  let to = J.p(job, J.OUT) + (<usize>b * queries + firstRow) * stride + <usize>h * dBytes;
  let from = outputAt(s, padded);
  const lse = J.p(job, J.LSE);
  for (let r = 0; r < rows; r++) {
    const sum = load<f32>(s + SUM + (<usize>r << 2));
    // Less than one key's weight: every key was hidden.
    const factor: f32 = sum >= 0.5 ? 1 / sum : 0;
    const f4 = f32x4.splat(factor);
    const whole = dBytes & ~15;
    for (let c: usize = 0; c < whole; c += 16) v128.store(to + c, f32x4.mul(v128.load(from + c), f4));
    for (let c = whole; c < dBytes; c += 4) store<f32>(to + c, load<f32>(from + c) * factor);
    if (lse != 0) store<f32>(lse + (<usize>((b * heads + h) * queries + firstRow + r) << 2), load<f32>(s + MAXIMUM + (<usize>r << 2)) + <f32>Math.log2(sum));
    to += stride;
    from += <usize>padded << 2;
  }
}

/** Floats of one split's partial result: output, maximum, sum of a tile of up to 8 rows. */
// @ts-ignore: decorator
@inline
function partialFloats(padded: i32): usize { return <usize>(8 * padded + 16); }

/** Keeps a split's partial result. `slot` counts (batch, head, split). */
export function keepPartial(job: usize, s: usize, slot: i32): void {
  const padded = J.i(job, J.PADDED_DIM);
  const to = J.p(job, J.PARTIALS) + ((<usize>slot * partialFloats(padded)) << 2);
  memory.copy(to, s + MAXIMUM, 32);
  memory.copy(to + 32, s + SUM, 32);
  memory.copy(to + 64, outputAt(s, padded), <usize>padded << 5);
}

/** Merges the splits of each (batch, head) in their order, as if one tile had seen all keys. Work item: (batch, head). */
export function mergeSplits(job: usize, thread: i32): void {
  const heads = J.i(job, J.HEADS), splits = J.i(job, J.SPLITS), padded = J.i(job, J.PADDED_DIM), rows = J.i(job, J.QUERIES);
  const s = J.scratch(job, thread);
  const bytes = partialFloats(padded) << 2;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const first = J.p(job, J.PARTIALS) + <usize>(item * splits) * bytes;
    store<i32>(s + ROW_COUNT, rows);
    for (let r: usize = 0; r < <usize>rows; r++) {
      let top = INITIAL_MAX;
      for (let n: usize = 0; n < <usize>splits; n++) top = max(top, load<f32>(first + n * bytes + (r << 2)));
      const out = outputAt(s, padded) + ((r * padded) << 2);
      memory.fill(out, 0, <usize>padded << 2);
      let sum: f32 = 0;
      for (let n: usize = 0; n < <usize>splits; n++) {
        const part = first + n * bytes;
        const weight = exp2Once(f32x4.splat(load<f32>(part + (r << 2)) - top));
        sum += f32x4.extract_lane(weight, 0) * load<f32>(part + 32 + (r << 2));
        const from = part + 64 + ((r * padded) << 2);
        for (let c: usize = 0; c < <usize>padded << 2; c += 16) v128.store(out + c, f32x4.add(v128.load(out + c), f32x4.mul(v128.load(from + c), weight)));
      }
      store<f32>(s + MAXIMUM + (r << 2), top);
      store<f32>(s + SUM + (r << 2), sum);
    }
    finish(job, s, item / heads, item % heads, 0);
  }
}
