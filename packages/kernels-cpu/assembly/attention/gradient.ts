// The gradient of block-sparse attention, flash style: weights are made again from each row's log-sum-exp, nothing of size T² is kept.
import * as C from './context';
import * as J from '../job';
import { meanBytes, spreadMeans } from '../cache/means';
import { finiteRows, finiteRun } from '../numbers/non-finite';
import { mixSeeing, mixSeen } from './seen';
import { exp2x4, EXP, LOG2E } from '../numbers/simd';
import { listSets } from './sparse';
import { flush } from './step';
import { mix, rowsByPanels } from '../matrix/tile';

// Scratch behind that of attention. Squares [64][d]: output gradients as panels, queries times scale, output gradients, gradients of
// the step's keys. Tables [64][80]: score gradients by key; weights and score gradients by row. Then row pointers to the second and
// third square, and per row the log-sum-exp and Σ out·gradient.
// @ts-ignore: decorator
@inline
function square(s: usize, padded: i32, index: usize): usize { return C.gradientAt(s, padded) + ((index * <usize>(C.ROWS * padded)) << 2); }
const TABLE: usize = 20480;
// @ts-ignore: decorator
@inline
function table(s: usize, padded: i32, index: usize): usize { return square(s, padded, 4) + index * TABLE; }
// @ts-ignore: decorator
@inline
function queryList(s: usize, padded: i32): usize { return table(s, padded, 3); }
// @ts-ignore: decorator
@inline
function gradientList(s: usize, padded: i32): usize { return table(s, padded, 3) + 256; }
// @ts-ignore: decorator
@inline
function lseAt(s: usize, padded: i32): usize { return table(s, padded, 3) + 512; }
// @ts-ignore: decorator
@inline
function meanAt(s: usize, padded: i32): usize { return table(s, padded, 3) + 768; }

/** Log-sum-exp of rows that see no key: every weight becomes 0. */
const NO_KEYS: f32 = 3.0e38;

/**
 * Work item: (batch, kv head), so that no two threads add to the same key. OUT and LSE are the forward pass's. GRAD_K and GRAD_V must
 * be zero.
 */
export function sparseGradient(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), blockQ = J.i(job, J.BLOCK_Q);
  const group = heads / kvHeads;
  const s = J.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const b = item / kvHeads, means = J.p(job, J.GRAD_MEANS);
    for (let h = (item % kvHeads) * group; h < (item % kvHeads + 1) * group; h++) {
      for (let block = 0; block * blockQ < queries; block++) {
        const end = min(queries, (block + 1) * blockQ);
        for (let row = block * blockQ; row < end; row += C.ROWS) {
          const rows = min(C.ROWS, end - row);
          C.begin(job, s, b, h, row, rows, false);
          loadRows(job, s, b, h, row, rows);
          listSets(job, s, b, h, block, rows);
          flush(job, s);
          storeQueryGradient(job, s, b, h, row, rows);
        }
      }
    }
    if (means != 0) spreadMeans(job, b, item % kvHeads, means);
  }
}

/** What a tile's steps need of its rows. */
function loadRows(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS), queries = J.i(job, J.QUERIES);
  const stride = <usize>(heads * d) << 2, offset = (<usize>b * queries + firstRow) * stride + (<usize>(h * d) << 2);
  const scale = J.f(job, J.SCALE);
  const paddedBytes = <usize>padded << 2;
  C.packPanels(J.p(job, J.GRAD_OUT) + offset, stride, rows, d, padded, 1, square(s, padded, 0));
  const queryRows = square(s, padded, 1), gradientRows = square(s, padded, 2);
  memory.fill(queryRows, 0, 2 * (<usize>(C.ROWS * padded) << 2));
  for (let r: usize = 0; r < <usize>C.ROWS; r++) {
    store<u32>(queryList(s, padded) + (r << 2), <u32>(queryRows + r * paddedBytes));
    store<u32>(gradientList(s, padded) + (r << 2), <u32>(gradientRows + r * paddedBytes));
    let mean: f32 = 0, lse: f32 = NO_KEYS;
    if (r < <usize>rows) {
      const q = J.p(job, J.Q) + offset + r * stride, gradient = J.p(job, J.GRAD_OUT) + offset + r * stride, out = J.p(job, J.OUT) + offset + r * stride;
      for (let c: usize = 0; c < <usize>d << 2; c += 4) {
        const g = load<f32>(gradient + c);
        store<f32>(queryRows + r * paddedBytes + c, load<f32>(q + c) * scale);
        store<f32>(gradientRows + r * paddedBytes + c, g);
        mean += g * load<f32>(out + c);
      }
      const known = load<f32>(J.p(job, J.LSE) + (<usize>((b * heads + h) * queries + firstRow + <i32>r) << 2));
      // NaN stays: the row's gradients are NaN as its output is.
      if (known != -Infinity) lse = known;
    }
    store<f32>(lseAt(s, padded) + (r << 2), lse);
    store<f32>(meanAt(s, padded) + (r << 2), mean);
  }
  store<i32>(s + C.FINITE_ROWS, i32(finiteRun(queryRows, 2 * (<usize>(C.ROWS * padded) << 2))));
}

/**
 * One step: SCORES holds n keys' masked scores in base 2; the first `count` are real. The query gradient grows in the output square.
 * Where a row or a key is not finite only visible pairs are added: zeros of the others would make NaN of it.
 */
export function gradientStep(job: usize, s: usize, n: i32, count: i32): void {
  const padded = J.i(job, J.PADDED_DIM), panels = load<i32>(s + C.PANELS), rows = load<i32>(s + C.PADDED_ROWS), softcap = J.f(job, J.SOFTCAP);
  const byKey = table(s, padded, 0), weightsByRow = table(s, padded, 1), gradientsByRow = table(s, padded, 2);
  // dP = V·dOᵀ
  rowsByPanels(s + C.VALUE_LIST, n, square(s, padded, 0), panels, byKey, C.SCORE_STRIDE, padded);
  scoreGradients(s, n, panels, softcap, load<i32>(s + C.PSEUDO) != 0, byKey, lseAt(s, padded), meanAt(s, padded));
  if (load<i32>(s + C.HIDDEN)) clearHidden(s, n, panels, byKey);
  const width = <usize>padded << 2;
  const keys = !J.i(job, J.SPECIAL) || (finiteRows(s + C.KEY_LIST, count, width) && finiteRows(s + C.VALUE_LIST, count, width));
  const finite = keys && load<i32>(s + C.FINITE_ROWS) != 0;
  // dQ += dS·K
  if (finite) mix(s + C.KEY_LIST, n, byKey, C.SCORE_STRIDE, C.outputAt(s, padded), rows, padded);
  else mixSeen(s, s + C.KEY_LIST, count, byKey, C.outputAt(s, padded), padded);
  transpose(s + C.SCORES, n, panels, weightsByRow);
  transpose(byKey, n, panels, gradientsByRow);
  const sums = square(s, padded, 3);
  const bytes = <usize>(n * padded) << 2;
  memory.fill(sums, 0, bytes);
  if (finite) mix(gradientList(s, padded), rows, weightsByRow, C.SCORE_STRIDE, sums, n, padded);
  else mixSeeing(s, gradientList(s, padded), count, s + C.SCORES, sums, padded);
  scatter(job, s, count, sums, J.p(job, J.GRAD_V), true);
  memory.fill(sums, 0, bytes);
  if (finite) mix(queryList(s, padded), rows, gradientsByRow, C.SCORE_STRIDE, sums, n, padded);
  else mixSeeing(s, queryList(s, padded), count, byKey, sums, padded);
  scatter(job, s, count, sums, J.p(job, J.GRAD_K), false);
}

/** Zeros where a key is hidden from a row: 0 · (dP − …) is none where dP overflowed. */
function clearHidden(s: usize, n: i32, panels: i32, gradients: usize): void {
  const lastRow = load<i32>(s + C.ROW_COUNT) - 1;
  for (let j = 0; j < n; j++) {
    const slot = s + (<usize>j << 2);
    const from = load<i32>(slot + C.FROM), to = load<i32>(slot + C.TO);
    if (from <= 0 && to >= lastRow) continue;
    const weight = s + C.SCORES + <usize>j * C.SCORE_STRIDE, gradient = gradients + <usize>j * C.SCORE_STRIDE;
    for (let c: usize = 0; c < <usize>panels << 5; c += 16) {
      const visible = visibleRows(<i32>(c >> 2), from, to);
      v128.store(weight + c, v128.and(v128.load(weight + c), visible));
      v128.store(gradient + c, v128.and(v128.load(gradient + c), visible));
    }
  }
}

/** All bits set in the lanes of rows first … first + 3 that lie in from … to. */
// @ts-ignore: decorator
@inline
function visibleRows(first: i32, from: i32, to: i32): v128 {
  const row = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
  return v128.and(i32x4.ge_s(row, i32x4.splat(from)), i32x4.le_s(row, i32x4.splat(to)));
}

/** SCORES → weights; dP → dS = P·(dP − Σ out·gradient), times the soft-cap's slope. */
function scoreGradients(s: usize, n: i32, panels: i32, softcap: f32, pseudo: bool, gradients: usize, lse: usize, mean: usize): void {
  const clamp = v128.load(EXP), magic = v128.load(EXP, 16), p5 = v128.load(EXP, 32), p4 = v128.load(EXP, 48), p3 = v128.load(EXP, 64);
  const p2 = v128.load(EXP, 80), p1 = v128.load(EXP, 96), one = v128.load(EXP, 112);
  const toTanh = f32x4.splat(softcap > 0 ? 1 / (softcap * LOG2E) : 0);
  for (let j: usize = 0; j < <usize>n; j++) {
    const row = s + C.SCORES + j * C.SCORE_STRIDE, gradient = gradients + j * C.SCORE_STRIDE;
    // The cap bends what a pseudo-key's bias is added to.
    const bias = f32x4.splat(pseudo ? load<f32>(s + C.BIAS + (j << 2)) : 0);
    for (let c: usize = 0; c < <usize>panels << 5; c += 16) {
      const score = v128.load(row + c);
      const weight = exp2x4(f32x4.sub(score, v128.load(lse + c)), clamp, magic, p5, p4, p3, p2, p1, one);
      let slope = f32x4.mul(weight, f32x4.sub(v128.load(gradient + c), v128.load(mean + c)));
      if (softcap > 0) {
        // Hidden scores would square to infinity; their weight is 0.
        const t = f32x4.pmax(f32x4.mul(f32x4.sub(score, bias), toTanh), f32x4.splat(-1));
        slope = f32x4.mul(slope, f32x4.sub(one, f32x4.mul(t, t)));
      }
      v128.store(row + c, weight);
      v128.store(gradient + c, slope);
    }
  }
}

/** [n][8·panels] → [8·panels][n], four by four. */
function transpose(from: usize, n: i32, panels: i32, to: usize): void {
  for (let j: usize = 0; j < <usize>n; j += 4) {
    const line = from + j * C.SCORE_STRIDE;
    for (let r: usize = 0; r < <usize>panels << 3; r += 4) {
      const at = line + (r << 2);
      const a = v128.load(at), b = v128.load(at + C.SCORE_STRIDE), c = v128.load(at + 2 * C.SCORE_STRIDE), d = v128.load(at + 3 * C.SCORE_STRIDE);
      const ab0 = i32x4.shuffle(a, b, 0, 4, 1, 5), ab1 = i32x4.shuffle(a, b, 2, 6, 3, 7);
      const cd0 = i32x4.shuffle(c, d, 0, 4, 1, 5), cd1 = i32x4.shuffle(c, d, 2, 6, 3, 7);
      const out = to + r * C.SCORE_STRIDE + (j << 2);
      v128.store(out, i32x4.shuffle(ab0, cd0, 0, 1, 4, 5));
      v128.store(out + C.SCORE_STRIDE, i32x4.shuffle(ab0, cd0, 2, 3, 6, 7));
      v128.store(out + 2 * C.SCORE_STRIDE, i32x4.shuffle(ab1, cd1, 0, 1, 4, 5));
      v128.store(out + 3 * C.SCORE_STRIDE, i32x4.shuffle(ab1, cd1, 2, 3, 6, 7));
    }
  }
}

/** Adds the step's key rows to a gradient [B, Tk, Hkv, d]; those of pseudo-keys to the gradients of their means. */
function scatter(job: usize, s: usize, count: i32, from: usize, gradient: usize, values: bool): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), kvHeads = J.i(job, J.KV_HEADS), keys = J.i(job, J.KEYS);
  const b = load<i32>(s + C.BATCH_INDEX), h = load<i32>(s + C.KV_HEAD);
  const pseudo = load<i32>(s + C.PSEUDO) != 0, means = meanBytes(job);
  for (let j: usize = 0; j < <usize>count; j++) {
    const key = load<i32>(s + C.KEY_INDEX + (j << 2));
    const to = pseudo ? J.p(job, J.GRAD_MEANS) + <usize>key * means + (values ? means >> 1 : 0) : gradient + ((<usize>((b * keys + key) * kvHeads + h) * d) << 2), row = from + ((j * padded) << 2);
    for (let c: usize = 0; c < <usize>d << 2; c += 4) store<f32>(to + c, load<f32>(to + c) + load<f32>(row + c));
  }
}

/** dQ of a tile: the sum over keys, times scale. */
function storeQueryGradient(job: usize, s: usize, b: i32, h: i32, firstRow: i32, rows: i32): void {
  const d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM), heads = J.i(job, J.HEADS), scale = J.f(job, J.SCALE);
  const stride = <usize>(heads * d) << 2;
  let to = J.p(job, J.GRAD_Q) + (<usize>b * J.i(job, J.QUERIES) + firstRow) * stride + (<usize>(h * d) << 2);
  let from = C.outputAt(s, padded);
  for (let r = 0; r < rows; r++) {
    for (let c: usize = 0; c < <usize>d << 2; c += 4) store<f32>(to + c, load<f32>(from + c) * scale);
    to += stride;
    from += <usize>padded << 2;
  }
}
