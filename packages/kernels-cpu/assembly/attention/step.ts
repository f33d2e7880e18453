// One step of flash attention: up to 64 listed keys against a tile of rows, scores transposed (lanes are rows) so that the softmax
// needs no sums across lanes.
import * as C from './context';
import { FAR } from './context';
import { gradientStep } from './gradient';
import { decodeHalves } from '../numbers/half';
import { finiteRows } from '../numbers/non-finite';
import { mixSeen } from './seen';
import * as J from '../job';
import { exp2x4, EXP, fma, LOG2E, MASKED, exp2Once } from '../numbers/simd';
import { mix, rowsByPanels } from '../matrix/tile';

/** Works the list off. */
export function flush(job: usize, s: usize): void {
  const count = load<i32>(s + C.COUNT);
  if (count == 0) return;
  const index = load<i32>(s + C.STEP);
  store<i32>(s + C.STEP, index + 1);
  if (J.i(job, J.SPLITS) <= 1 || index % J.i(job, J.SPLITS) == load<i32>(s + C.SPLIT)) {
    const n = complete(job, s, count);
    const padded = J.i(job, J.PADDED_DIM);
    const bytes = <usize>padded << 2;
    touch(s, s + C.KEY_LIST, n, bytes);
    scoreKeys(job, s, n);
    if (J.p(job, J.GRAD_OUT) != 0) gradientStep(job, s, n, count);
    else attendStep(job, s, n, count, padded);
  }
  store<i32>(s + C.COUNT, 0);
  store<i32>(s + C.HIDDEN, 0);
}

/** Weights, and their sums of values. Where keys are hidden from rows, values that are not finite reach only the rows that see them. */
function attendStep(job: usize, s: usize, n: i32, count: i32, padded: i32): void {
  const hidden = load<i32>(s + C.HIDDEN) != 0;
  const finite = !hidden || !J.i(job, J.SPECIAL) || finiteRows(s + C.VALUE_LIST, count, <usize>padded << 2);
  touch(s, s + C.VALUE_LIST, n, <usize>padded << 2);
  const panels = load<i32>(s + C.PANELS);
  softmax(s, n, panels, padded);
  if (load<i32>(s + C.CAREFUL)) scaleWeights(s, n, panels);
  if (!finite) mixSeen(s, s + C.VALUE_LIST, count, s + C.SCORES, C.outputAt(s, padded), padded);
  else if (hidden) mixVisible(s, count, padded);
  else mix(s + C.VALUE_LIST, n, s + C.SCORES, C.SCORE_STRIDE, C.outputAt(s, padded), load<i32>(s + C.PADDED_ROWS), padded);
}

/** Weights of a careful tile; their sums stay as they are. */
function scaleWeights(s: usize, n: i32, panels: i32): void {
  const factor = f32x4.splat(1 / C.HEADROOM);
  for (let j = 0; j < n; j++) {
    const row = s + C.SCORES + <usize>j * C.SCORE_STRIDE;
    for (let at = row; at < row + (<usize>panels << 5); at += 16) v128.store(at, f32x4.mul(v128.load(at), factor));
  }
}

/**
 * Reads one word of every cache line of the listed rows, in order: the processor's stream prefetcher follows, where it does not follow
 * the micro-kernels, which walk six rows side by side and would wait for each line.
 */
function touch(s: usize, list: usize, n: i32, bytes: usize): void {
  let seen: u32 = 0;
  for (const end = list + (<usize>n << 2); list < end; list += 4) {
    const row = <usize>load<u32>(list);
    for (let at = row; at < row + bytes; at += 64) seen ^= load<u32>(at);
  }
  store<u32>(s + C.SEEN, seen);
}

/** Pads the list to a multiple of 4 with a hidden key; unpacks float16. @returns the padded count */
export function complete(job: usize, s: usize, count: i32): i32 {
  const padded = J.i(job, J.PADDED_DIM);
  if (J.i(job, J.HALF) && !load<i32>(s + C.PSEUDO)) {
    const special = J.i(job, J.SPECIAL) != 0;
    let to = C.unpackedAt(s, padded);
    const bytes = <usize>padded << 2;
    const values = to + <usize>C.GROUP * bytes;
    for (let j: usize = 0; j < <usize>count << 2; j += 4) {
      decodeHalves(<usize>load<u32>(s + C.KEY_LIST + j), to, padded, special);
      decodeHalves(<usize>load<u32>(s + C.VALUE_LIST + j), to + (values - C.unpackedAt(s, padded)), padded, special);
      store<u32>(s + C.KEY_LIST + j, <u32>to);
      store<u32>(s + C.VALUE_LIST + j, <u32>(to + (values - C.unpackedAt(s, padded))));
      to += bytes;
    }
  }
  const n = (count + 3) & ~3;
  for (let j = count; j < n; j++) {
    const slot = s + (<usize>j << 2);
    store<u32>(slot + C.KEY_LIST, load<u32>(s + C.KEY_LIST));
    store<u32>(slot + C.VALUE_LIST, load<u32>(s + C.VALUE_LIST));
    store<i32>(slot + C.FROM, FAR);
    store<i32>(slot + C.TO, -FAR);
    store<i32>(s + C.HIDDEN, 1);
  }
  return n;
}

/** SCORES[key][row] in base 2: products, soft-cap, masks. */
export function scoreKeys(job: usize, s: usize, n: i32): void {
  const panels = load<i32>(s + C.PANELS);
  if (load<i32>(s + C.HIDDEN)) scoreVisible(s, n, panels, J.i(job, J.PADDED_DIM));
  else rowsByPanels(s + C.KEY_LIST, n, s + C.QUERY, panels, s + C.SCORES, C.SCORE_STRIDE, J.i(job, J.PADDED_DIM));
  const softcap = J.f(job, J.SOFTCAP);
  if (softcap > 0) cap(s, n, panels, softcap);
  if (load<i32>(s + C.PSEUDO)) addBias(s, n, panels);
  if (load<i32>(s + C.HIDDEN)) hide(s, n, panels);
}

function addBias(s: usize, n: i32, panels: i32): void {
  for (let j: usize = 0; j < <usize>n; j++) {
    const row = s + C.SCORES + j * C.SCORE_STRIDE, bias = v128.load32_splat(s + C.BIAS + (j << 2));
    for (let at = row; at < row + (<usize>panels << 5); at += 16) v128.store(at, f32x4.add(v128.load(at), bias));
  }
}

/** `rowsByPanels` over the panels that hold a row some key of a tile is visible to; `hide` writes the rest. */
function scoreVisible(s: usize, n: i32, panels: i32, depth: i32): void {
  const panelBytes = <usize>depth << 5;
  for (let j = 0; j < n; ) {
    const taken = n - j == 6 || n - j > 8 ? 6 : 4;
    let from = FAR, to = -1;
    for (let i = j; i < j + taken; i++) {
      from = min(from, load<i32>(s + C.FROM + (<usize>i << 2)));
      to = max(to, load<i32>(s + C.TO + (<usize>i << 2)));
    }
    const first = max(0, from) >> 3, end = min(panels, (to >> 3) + 1);
    if (first < end) {
      const out = s + C.SCORES + <usize>j * C.SCORE_STRIDE + (<usize>first << 5);
      rowsByPanels(s + C.KEY_LIST + (<usize>j << 2), taken, s + C.QUERY + <usize>first * panelBytes, end - first, out, C.SCORE_STRIDE, depth);
    }
    j += taken;
  }
}

/** `mix` where each tile of rows takes the part of the list between the first and the last key some of them see: other weights are 0. */
function mixVisible(s: usize, n: i32, width: i32): void {
  const rows = load<i32>(s + C.PADDED_ROWS), stride = <usize>width << 2;
  for (let r = 0; r < rows; ) {
    const taken = rows - r == 6 || rows - r > 8 ? 6 : 4;
    const last = r + taken - 1;
    let first = 0, end = n;
    while (first < end && (load<i32>(s + C.FROM + (<usize>first << 2)) > last || load<i32>(s + C.TO + (<usize>first << 2)) < r)) first++;
    while (end > first && (load<i32>(s + C.FROM + (<usize>(end - 1) << 2)) > last || load<i32>(s + C.TO + (<usize>(end - 1) << 2)) < r)) end--;
    if (end > first) mix(s + C.VALUE_LIST + (<usize>first << 2), end - first, s + C.SCORES + <usize>first * C.SCORE_STRIDE + (<usize>r << 2), C.SCORE_STRIDE, C.outputAt(s, width) + <usize>r * stride, taken, width);
    r += taken;
  }
}

/** Scores are s/c before and in base 2 after. */
function cap(s: usize, n: i32, panels: i32, softcap: f32): void {
  for (let j = 0; j < n; j++) capScores(s + C.SCORES + <usize>j * C.SCORE_STRIDE, <usize>panels << 5, 1, softcap);
}

/** c·tanh(x·factor) = c·(1 − e)/(1 + e) with e = exp(−2|x·factor|), in base 2. `factor` is the scale over c where x are products. */
export function capScores(at: usize, bytes: usize, factor: f32, softcap: f32): void {
  const one = f32x4.splat(1), scale = f32x4.splat(softcap * LOG2E), toBase2 = f32x4.splat(-2 * LOG2E * factor), sign = i32x4.splat(0x80000000);
  for (const end = at + bytes; at < end; at += 16) {
    const x = v128.load(at);
    const e = exp2Once(f32x4.mul(f32x4.abs(x), toBase2));
    const t = f32x4.mul(f32x4.div(f32x4.sub(one, e), f32x4.add(one, e)), scale);
    v128.store(at, v128.or(t, v128.and(x, sign)));
  }
}

/** Overwrites scores of rows outside FROM … TO. */
function hide(s: usize, n: i32, panels: i32): void {
  const lastRow = load<i32>(s + C.ROW_COUNT) - 1;
  const masked = f32x4.splat(MASKED), four = i32x4.splat(4);
  for (let j = 0; j < n; j++) {
    const slot = s + (<usize>j << 2);
    const from = load<i32>(slot + C.FROM), to = load<i32>(slot + C.TO);
    if (from <= 0 && to >= lastRow) continue;
    const low = i32x4.splat(from), high = i32x4.splat(to);
    let row = i32x4(0, 1, 2, 3);
    const first = s + C.SCORES + <usize>j * C.SCORE_STRIDE;
    for (let at = first; at < first + (<usize>panels << 5); at += 16) {
      const outside = v128.or(i32x4.lt_s(row, low), i32x4.gt_s(row, high));
      v128.store(at, v128.bitselect(masked, v128.load(at), outside));
      row = i32x4.add(row, four);
    }
  }
}

/** Weights 2^(score − maximum) in place of scores; sums; shrinks what earlier steps left where a maximum rose. */
function softmax(s: usize, n: i32, panels: i32, padded: i32): void {
  const clamp = v128.load(EXP), magic = v128.load(EXP, 16), p5 = v128.load(EXP, 32), p4 = v128.load(EXP, 48), p3 = v128.load(EXP, 64);
  const p2 = v128.load(EXP, 80), p1 = v128.load(EXP, 96), one = v128.load(EXP, 112);
  const first = s + C.SCORES;
  const end = first + <usize>n * C.SCORE_STRIDE;
  let rose = false;
  for (let column: usize = 0; column < <usize>panels << 5; column += 32) {
    const before0 = v128.load(s + C.MAXIMUM + column), before1 = v128.load(s + C.MAXIMUM + column, 16);
    let top0 = before0, top1 = before1;
    for (let at = first + column; at < end; at += C.SCORE_STRIDE) {
      top0 = f32x4.pmax(top0, v128.load(at));
      top1 = f32x4.pmax(top1, v128.load(at, 16));
    }
    let sum0 = f32x4.splat(0), sum1 = sum0;
    for (let at = first + column; at < end; at += C.SCORE_STRIDE) {
      const e0 = exp2x4(f32x4.sub(v128.load(at), top0), clamp, magic, p5, p4, p3, p2, p1, one);
      const e1 = exp2x4(f32x4.sub(v128.load(at, 16), top1), clamp, magic, p5, p4, p3, p2, p1, one);
      v128.store(at, e0);
      v128.store(at, e1, 16);
      sum0 = f32x4.add(sum0, e0);
      sum1 = f32x4.add(sum1, e1);
    }
    const shrink0 = exp2x4(f32x4.sub(before0, top0), clamp, magic, p5, p4, p3, p2, p1, one);
    const shrink1 = exp2x4(f32x4.sub(before1, top1), clamp, magic, p5, p4, p3, p2, p1, one);
    v128.store(s + C.SUM + column, fma(v128.load(s + C.SUM + column), shrink0, sum0));
    v128.store(s + C.SUM + column, fma(v128.load(s + C.SUM + column, 16), shrink1, sum1), 16);
    v128.store(s + C.MAXIMUM + column, top0);
    v128.store(s + C.MAXIMUM + column, top1, 16);
    v128.store(s + C.SHRINK + column, shrink0);
    v128.store(s + C.SHRINK + column, shrink1, 16);
    rose = rose || v128.any_true(v128.or(f32x4.ne(shrink0, one), f32x4.ne(shrink1, one)));
  }
  if (!rose) return;
  const rows = load<i32>(s + C.ROW_COUNT);
  let out = C.outputAt(s, padded);
  const bytes = <usize>padded << 2;
  for (let r = 0; r < rows; r++) {
    const factor = load<f32>(s + C.SHRINK + (<usize>r << 2));
    if (factor != 1) {
      const f4 = f32x4.splat(factor);
      for (let c: usize = 0; c < bytes; c += 16) v128.store(out + c, f32x4.mul(v128.load(out + c), f4));
    }
    out += bytes;
  }
}
