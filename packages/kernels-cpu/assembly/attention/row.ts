// One row's attention over keys that follow one another: the newest token's, where nothing is searched. The query heads of a key head are
// lanes, four at a time, so that the softmax needs no sums across lanes and each key is unpacked once for all of them.
import * as J from '../job';
import { keyAddress, PAGE, rowBytes, valueOffset } from '../cache/pages';
import { tanh4 } from '../model/activations';
import { halves4 } from '../model/dot32';
import { finiteRun, isFinite32 } from '../numbers/non-finite';
import { exp2Once, fma, INITIAL_MAX, LOG2E } from '../numbers/simd';

/** Query heads of a work item. */
const LANES: i32 = 4;
/** Keys whose scores are held. */
const STEP: i32 = 64;
/** Scratch: scores [64][4], queries [4][d], four numbers. */
const QUERY: usize = <usize>STEP << 4;

/** A partial result: maxima [4], sums [4], a bit for each head where something is not finite, outputs [4][d]. */
const FLAG: usize = 32;
const OUTPUT: usize = 48;

// @ts-ignore: decorator
@inline
function partialBytes(padded: i32): usize { return OUTPUT + (<usize>padded << 4); }

// @ts-ignore: decorator
@inline
function four(at: usize, half: bool): v128 { return half ? halves4(at) : v128.load(at); }

/** Sums of each of four vectors, a lane each. */
// @ts-ignore: decorator
@inline
function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** Scores of `count` keys with `n` heads, to [count][4]. */
// @ts-ignore: decorator
@inline
function score(n: i32, key: usize, bytes: usize, half: bool, count: i32, query: usize, width: usize, to: usize): void {
  const shift = half ? 1 : 2;
  for (const end = to + (<usize>count << 4); to < end; to += 16) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let i: usize = 0; i < width; i += 16) {
      const k = four(key + (i >> 2 << shift), half), q = query + i;
      a = fma(v128.load(q), k, a);
      if (n > 1) b = fma(v128.load(q + width), k, b);
      if (n > 2) c = fma(v128.load(q + 2 * width), k, c);
      if (n > 3) d = fma(v128.load(q + 3 * width), k, d);
    }
    v128.store(to, sums4(a, b, c, d));
    key += bytes;
  }
}

/** Adds `count` values times weights [count][4] to outputs [n][d]. */
// @ts-ignore: decorator
@inline
function mix(n: i32, value: usize, bytes: usize, half: bool, count: i32, weights: usize, width: usize, out: usize): void {
  const shift = half ? 1 : 2, end = weights + (<usize>count << 4);
  for (let i: usize = 0; i < width; i += 32) {
    const to = out + i;
    let a0 = v128.load(to), a1 = v128.load(to, 16), b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
    if (n > 1) { b0 = v128.load(to + width); b1 = v128.load(to + width, 16); }
    if (n > 2) { c0 = v128.load(to + 2 * width); c1 = v128.load(to + 2 * width, 16); }
    if (n > 3) { d0 = v128.load(to + 3 * width); d1 = v128.load(to + 3 * width, 16); }
    let from = value + (i >> 2 << shift);
    for (let w = weights; w < end; w += 16) {
      const left = four(from, half), right = four(from + (4 << shift), half);
      let s = v128.load32_splat(w); a0 = fma(s, left, a0); a1 = fma(s, right, a1);
      if (n > 1) { s = v128.load32_splat(w, 4); b0 = fma(s, left, b0); b1 = fma(s, right, b1); }
      if (n > 2) { s = v128.load32_splat(w, 8); c0 = fma(s, left, c0); c1 = fma(s, right, c1); }
      if (n > 3) { s = v128.load32_splat(w, 12); d0 = fma(s, left, d0); d1 = fma(s, right, d1); }
      from += bytes;
    }
    v128.store(to, a0); v128.store(to, a1, 16);
    if (n > 1) { v128.store(to + width, b0); v128.store(to + width, b1, 16); }
    if (n > 2) { v128.store(to + 2 * width, c0); v128.store(to + 2 * width, c1, 16); }
    if (n > 3) { v128.store(to + 3 * width, d0); v128.store(to + 3 * width, d1, 16); }
  }
}

function scoreAny(n: i32, key: usize, bytes: usize, half: bool, count: i32, query: usize, width: usize, to: usize): void {
  if (half) {
    if (n == 1) score(1, key, bytes, true, count, query, width, to);
    else if (n == 2) score(2, key, bytes, true, count, query, width, to);
    else if (n == 3) score(3, key, bytes, true, count, query, width, to);
    else score(4, key, bytes, true, count, query, width, to);
  } else score(4, key, bytes, false, count, query, width, to);
}

function mixAny(n: i32, value: usize, bytes: usize, half: bool, count: i32, weights: usize, width: usize, out: usize): void {
  if (half) {
    if (n == 1) mix(1, value, bytes, true, count, weights, width, out);
    else if (n == 2) mix(2, value, bytes, true, count, weights, width, out);
    else if (n == 3) mix(3, value, bytes, true, count, weights, width, out);
    else mix(4, value, bytes, true, count, weights, width, out);
  } else mix(4, value, bytes, false, count, weights, width, out);
}

/** Scores in base 2 → weights, by the largest so far. @returns the larger maximum */
function weigh(scores: usize, count: i32, softcap: f32, maximum: v128): v128 {
  const end = scores + (<usize>count << 4);
  if (softcap > 0) {
    const cap = f32x4.splat(softcap * LOG2E);
    for (let at = scores; at < end; at += 16) v128.store(at, f32x4.mul(tanh4(v128.load(at)), cap));
  }
  for (let at = scores; at < end; at += 16) maximum = f32x4.pmax(maximum, v128.load(at));
  for (let at = scores; at < end; at += 16) v128.store(at, exp2Once(f32x4.sub(v128.load(at), maximum)));
  return maximum;
}

/** Queries of `n` heads, scaled, rows of `padded`; heads that are not there, and what is beyond d, are 0. */
function loadQuery(from: usize, n: i32, d: i32, padded: i32, factor: f32, to: usize): void {
  memory.fill(to, 0, <usize>padded << 4);
  for (let h: usize = 0; h < <usize>n; h++) {
    const row = from + ((h * <usize>d) << 2), out = to + ((h * <usize>padded) << 2);
    for (let c: usize = 0; c < <usize>d << 2; c += 4) store<f32>(out + c, load<f32>(row + c) * factor);
  }
}

/** Whether keys, or values, are finite: where the cache holds some that are not. */
function finiteKeys(at: usize, bytes: usize, half: bool): bool {
  if (!half) return finiteRun(at, bytes);
  const exponent = i16x8.splat(0x7c00);
  let any = i16x8.splat(0);
  for (const end = at + bytes; at < end; at += 16) any = v128.or(any, i16x8.eq(v128.and(v128.load(at), exponent), exponent));
  return !v128.any_true(any);
}

/** A bit for each head whose query, or what was made of it, is not finite. */
function wrongLanes(n: i32, partial: usize, query: usize, width: usize): i32 {
  let wrong = 0;
  for (let h: usize = 0; h < <usize>n; h++) {
    const softmax = isFinite32(load<f32>(partial + (h << 2))) && isFinite32(load<f32>(partial + 16 + (h << 2)));
    if (!softmax || !finiteRun(query + h * width, width) || !finiteRun(partial + OUTPUT + h * width, width)) wrong |= 1 << <i32>h;
  }
  return wrong;
}

/**
 * Partial results of keys [FIRST_TOKEN + split · TOKENS, …). Heads are flagged where keys, values or queries are not finite, or
 * something grows beyond float32: then they have to be done by the kernels that are careful. Work item: (batch, kv head, four of
 * its query heads, split).
 */
export function rowAttention(job: usize, thread: i32): void {
  const heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM);
  const keys = J.i(job, J.KEYS), splits = J.i(job, J.SPLITS), run = J.i(job, J.TOKENS), firstKey = J.i(job, J.FIRST_TOKEN);
  const half = J.i(job, J.HALF) != 0, bytes = rowBytes(job), offset = valueOffset(job, bytes), width = <usize>padded << 2;
  const special = J.i(job, J.SPECIAL) != 0;
  const softcap = J.f(job, J.SOFTCAP), factor: f32 = softcap > 0 ? J.f(job, J.SCALE) / softcap : J.f(job, J.SCALE) * LOG2E;
  const group = heads / kvHeads, parts = (group + LANES - 1) / LANES;
  const scores = J.scratch(job, thread), query = scores + QUERY;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const split = item % splits, part = (item / splits) % parts, bh = item / (splits * parts);
    const b = bh / kvHeads, h = bh % kvHeads, first = h * group + part * LANES, n = min(LANES, group - part * LANES);
    const partial = J.p(job, J.PARTIALS) + <usize>item * partialBytes(padded), out = partial + OUTPUT;
    loadQuery(J.p(job, J.Q) + ((<usize>(b * heads + first) * <usize>d) << 2), n, d, padded, factor, query);
    memory.fill(out, 0, width << 2);
    let maximum = f32x4.splat(INITIAL_MAX), sum = f32x4.splat(0), finite = true;
    const last = min(keys, firstKey + (split + 1) * run);
    for (let key = firstKey + split * run; key < last;) {
      const count = min(STEP, min(last - key, PAGE - (key & (PAGE - 1)))), at = keyAddress(job, b, h, key, bytes);
      const whole = <usize>count * bytes;
      if (special) finite = finite && finiteKeys(at, whole, half) && finiteKeys(at + offset, whole, half);
      scoreAny(n, at, bytes, half, count, query, width, scores);
      const larger = weigh(scores, count, softcap, maximum);
      const shrink = exp2Once(f32x4.sub(maximum, larger));
      maximum = larger;
      sum = f32x4.mul(sum, shrink);
      for (let j: usize = 0; j < <usize>count << 4; j += 16) sum = f32x4.add(sum, v128.load(scores + j));
      shrinkRows(out, shrink, width, query + (width << 2));
      mixAny(n, at + offset, bytes, half, count, scores, width, out);
      key += count;
    }
    v128.store(partial, maximum);
    v128.store(partial, sum, 16);
    store<i32>(partial + FLAG, finite ? wrongLanes(n, partial, query, width) : -1);
  }
}

/** Outputs [4][d] times a lane each; `line`: 16 bytes for the lanes. */
function shrinkRows(out: usize, shrink: v128, width: usize, line: usize): void {
  v128.store(line, shrink);
  for (let h: usize = 0; h < 4; h++) {
    const s = v128.load32_splat(line + (h << 2)), row = out + h * width;
    for (let c: usize = 0; c < width; c += 16) v128.store(row + c, f32x4.mul(v128.load(row + c), s));
  }
}

/** Joins the splits of each head, in their order; the first one's flag then says it of all. Work item: (batch, kv head, four of its query heads). */
export function joinRow(job: usize, thread: i32): void {
  const heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM);
  const splits = J.i(job, J.SPLITS), group = heads / kvHeads, parts = (group + LANES - 1) / LANES;
  const bytes = partialBytes(padded), width = <usize>padded << 2;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const from = J.p(job, J.PARTIALS) + <usize>(item * splits) * bytes, end = from + <usize>splits * bytes;
    let top = f32x4.splat(INITIAL_MAX), total = f32x4.splat(0);
    for (let at = from; at < end; at += bytes) top = f32x4.pmax(top, v128.load(at));
    // A split's sum becomes its share of the whole.
    for (let at = from; at < end; at += bytes) {
      const share = exp2Once(f32x4.sub(v128.load(at), top));
      total = fma(share, v128.load(at, 16), total);
      v128.store(at, share);
    }
    for (let at = from; at < end; at += bytes) v128.store(at, f32x4.div(v128.load(at), total));
    const bh = item / parts, part = item % parts, n = min(LANES, group - part * LANES);
    const to = J.p(job, J.OUT) + ((<usize>((bh / kvHeads) * heads + (bh % kvHeads) * group + part * LANES) * <usize>d) << 2);
    let flag = 0;
    for (let at = from; at < end; at += bytes) flag |= load<i32>(at + FLAG);
    for (let h: usize = 0; h < <usize>n; h++) {
      let finite = true;
      for (let c: usize = 0; c < <usize>d; c++) {
        let sum: f32 = 0;
        for (let at = from; at < end; at += bytes) sum += load<f32>(at + (h << 2)) * load<f32>(at + OUTPUT + h * width + (c << 2));
        store<f32>(to + ((h * <usize>d + c) << 2), sum);
        finite = finite && isFinite32(sum);
      }
      if (!finite) flag |= 1 << <i32>h;
    }
    store<i32>(from + FLAG, flag);
  }
}
