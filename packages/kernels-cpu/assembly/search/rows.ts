// The rows of a query block that a search scores: sampled or averaged, then packed for the products.
import { packPanels } from '../attention/context';
import { slowHalf } from '../cache/channels';
import { compactDepth } from '../cache/compact';
import * as J from '../job';
import { largestSize, packRow, rowFactor, stepsOf, unitOf } from '../numbers/integer';
import { INFINITE, largest } from '../numbers/non-finite';
import * as S from './scratch';

/**
 * Samples a query block's rows: of each stride group its last row, or the mean. Lanes beyond the last group repeat it, which cannot
 * change a maximum. They lie one behind the other at `averageAt`, a head's channels apart. SLOW_HALF: the slower half of each.
 */
function gatherRows(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, stride: i32, mean: bool, form: i32): void {
  const d = J.i(job, J.HEAD_DIM), heads = J.i(job, J.HEADS);
  const rowStride = <usize>(heads * d) << 2;
  const from = J.p(job, J.Q) + (<usize>b * J.i(job, J.QUERIES) + firstRow) * rowStride + (<usize>(h * d) << 2);
  const groups = (rows + stride - 1) / stride;
  const panels = (groups + 7) >> 3;
  const lines = S.averageAt(job, s), lineBytes = <usize>d << 2;
  for (let g = 0; g < panels << 3; g++) {
    const line = lines + <usize>g * lineBytes;
    if (g >= groups) {
      memory.copy(line, lines + <usize>(groups - 1) * lineBytes, lineBytes);
      continue;
    }
    const start = g * stride, end = min(start + stride, rows);
    if (mean && end - start > 1) {
      average(from + <usize>start * rowStride, rowStride, end - start, line, lineBytes);
      if (form == S.SLOW_HALF) slowHalf(line, line, d);
    } else if (form == S.SLOW_HALF) slowHalf(from + <usize>(end - 1) * rowStride, line, d);
    else memory.copy(line, from + <usize>(end - 1) * rowStride, lineBytes);
  }
  store<i32>(s + S.GROUPS, groups);
  store<i32>(s + S.PANELS, panels);
  store<i32>(s + S.ROW_COUNT, rows);
  store<i32>(s + S.STRIDE, stride);
  store<i32>(s + S.POSITION, J.i(job, J.POSITION) + firstRow);
  store<i32>(s + S.FORM, form);
}

/**
 * Samples rows and packs them as integers, for compact keys: [panel][steps][8 rows] words, a single row as [steps] words.
 *
 * @returns false where they are not finite: then they are to be sampled as floats
 */
export function sampleIntegers(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, stride: i32, mean: bool, narrow: bool, to: usize): bool {
  gatherRows(job, s, b, h, firstRow, rows, stride, mean, narrow ? S.SLOW_HALF : S.PLAIN);
  const depth = compactDepth(job, narrow), steps = stepsOf(depth), lineBytes = <usize>J.i(job, J.HEAD_DIM) << 2;
  const lines = S.averageAt(job, s), count = load<i32>(s + S.PANELS) << 3;
  let most = 0;
  for (let g = 0; g < load<i32>(s + S.GROUPS); g++) most = max(most, largestSize(lines + <usize>g * lineBytes, depth));
  if (most >= INFINITE) return false;
  const factor = rowFactor(most, depth), single = load<i32>(s + S.GROUPS) == 1;
  store<i32>(s + S.DEPTH, steps);
  store<i32>(s + S.SINGLE, i32(single));
  store<f32>(s + S.UNIT, unitOf(factor));
  if (single) {
    packRow(lines, steps, factor, depth, to, 4);
    return true;
  }
  for (let g = 0; g < count; g++) packRow(lines + <usize>g * lineBytes, steps, factor, depth, to + (<usize>((g >> 3) * steps) << 5) + (<usize>(g & 7) << 2), 32);
  return true;
}

/**
 * Samples rows and packs them as panels. SIGNS: positive parts, then negative parts, depth 2·d. SQUARES: all panels of rows, then all
 * of squares. SLOW_HALF: depth d/2.
 */
export function sampleRows(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32, stride: i32, mean: bool, form: i32, to: usize): void {
  gatherRows(job, s, b, h, firstRow, rows, stride, mean, form);
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM);
  const groups = load<i32>(s + S.GROUPS), panels = load<i32>(s + S.PANELS);
  const lines = S.averageAt(job, s), lineBytes = <usize>d << 2;
  const depth = form == S.SIGNS ? 2 * padded : form == S.SLOW_HALF ? d >> 1 : padded;
  packPanels(lines, lineBytes, panels << 3, form == S.SLOW_HALF ? d >> 1 : d, depth, 1, to);
  const single = groups == 1 && (form == S.PLAIN ? (d & 3) == 0 : form == S.SLOW_HALF && (d & 15) == 0);
  if (single) {
    memory.fill(to + (<usize>padded << 5), 0, <usize>padded << 2);
    memory.copy(to + (<usize>padded << 5), lines, form == S.PLAIN ? lineBytes : lineBytes >> 1);
  }
  store<i32>(s + S.SINGLE, i32(single));
  if (form == S.SQUARES) {
    const bytes = <usize>(panels * padded) << 5;
    for (let at = to; at < to + bytes; at += 16) {
      const x = v128.load(at);
      // Finite, so that no variance of 0 makes NaN of it; pmin passes NaN on.
      v128.store(at + bytes, f32x4.pmin(f32x4.mul(x, x), largest()));
    }
  }
  if (form == S.SIGNS) {
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
  store<i32>(s + S.DEPTH, depth);
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
