// The vote (docs/specification/hip.md §8.1): every row of a query block gives each candidate block the probability mass of its keys.
// This is the slower way, for what is not finite or does not fit; compact-vote.ts is the other.
// Scores lie transposed, a key's for all rows side by side. Three passes over them: maxima; weights and sums; masses.
import * as J from '../job';
import { rowBytes } from '../cache/pages';
import { listRun, multiplyList } from './score';
import * as S from './scratch';
import { exp2Clamped, EXP, fma, INITIAL_MAX, LOG2E, MASKED } from '../numbers/simd';
import { capScores } from '../attention/step';

// A vote's scratch: what is voted on, then f32 [8·panels] each: maxima, sums, 1 / sums. Then the scores, [VOTE_KEYS] and [VOTE_LOCAL]
// rows, 4 more rows for what rounding up writes.
/** Panels of the rows; first token of each candidate (relative to the sink) and their number; tokens of what they were cut from, and theirs. */
export const PANELS_AT: usize = 0;
export const CANDIDATES: usize = 4;
export const COUNT: usize = 8;
export const BEFORE: usize = 12;
export const CHUNK: usize = 16;
/** Where the masses go; 1 = added to those of another head. */
export const MASSES: usize = 20;
export const MERGE: usize = 24;
/** i32: where each candidate's first key lies among the slots of a vote on compact keys. */
export const SLOTS: usize = 28;
export const SEARCHABLE: usize = 32;
export const BATCH_INDEX: usize = 36;
export const KV_HEAD: usize = 40;
/** Written so that reads ahead are not optimised away. */
const SEEN: usize = 44;
export const ROWS_AT: usize = 64;

/** No bound on a row. */
export const LIMIT: i32 = 1 << 30;

// @ts-ignore: decorator
@inline
function lineBytes(job: usize): usize { return <usize>S.maxPanels(job) << 5; }
/** Where the scores of candidates are kept. */
// @ts-ignore: decorator
@inline
function voteScoresAt(job: usize, v: usize): usize { return v + ROWS_AT + 3 * lineBytes(job); }

/** Votes; `v` holds the ballot, the rows are sampled. */
export function vote(job: usize, s: usize, v: usize): void {
  const width = <usize>load<i32>(s + S.PANELS) << 5, line = lineBytes(job), rows = load<i32>(s + S.ROW_COUNT);
  const maxima = v + ROWS_AT, sums = maxima + line, factors = sums + line;
  for (let c: usize = 0; c < width; c += 4) {
    store<f32>(maxima + c, INITIAL_MAX);
    store<f32>(sums + c, 0);
  }
  for (let pass = 0; pass < 3; pass++) {
    candidatesPass(job, s, v, pass);
    if (pass == 2) break;
    localPass(job, s, v, pass);
    if (pass == 0) continue;
    // Rows that see nothing, or NaN alone, do not vote; neither do the lanes beyond the last row.
    for (let r = 0; r < <i32>(width >> 2); r++) {
      const sum = load<f32>(sums + (<usize>r << 2));
      store<f32>(factors + (<usize>r << 2), r < rows && sum > 0 ? 1 / sum : 0);
    }
  }
}

/** Keys scored at once: as many whole blocks as fit. */
// @ts-ignore: decorator
@inline
function pieceOf(chunk: i32): i32 { return S.BATCH_ROWS - S.BATCH_ROWS % chunk; }

/** A pass over the candidates, run by run: a run is what is left of one chunk of the stage before. */
function candidatesPass(job: usize, s: usize, v: usize, pass: i32): void {
  const width = <usize>load<i32>(s + S.PANELS) << 5, held = voteScoresAt(job, v);
  const candidates = <usize>load<u32>(v + CANDIDATES), count = load<i32>(v + COUNT), before = load<i32>(v + BEFORE), chunk = load<i32>(v + CHUNK);
  const searchable = load<i32>(v + SEARCHABLE), sink = J.i(job, J.SINK);
  const fits = count * chunk <= J.i(job, J.VOTE_KEYS);
  const causal = J.i(job, J.CAUSAL) != 0;
  // Row r's window starts above key j where r >= j + window − position.
  const low = J.i(job, J.WINDOW) - load<i32>(s + S.POSITION);
  const piece = pieceOf(chunk);
  let used = 0;
  for (let i = 0; i < count; ) {
    const first = i, start = load<i32>(candidates + (<usize>i << 2)), limit = (start / before + 1) * before;
    while (i < count && load<i32>(candidates + (<usize>i << 2)) < limit) i++;
    const keys = min(load<i32>(candidates + (<usize>(i - 1) << 2)) + chunk, searchable) - start;
    for (let at = 0; at < keys; at += piece) {
      const n = min(piece, keys - at), key = sink + start + at;
      const scores = fits ? held + <usize>(used + at) * width : s + S.PRODUCTS;
      if (pass == 0 || !fits) {
        score(job, s, v, key, n, scores);
        prepare(job, scores, n, width, key, causal ? low : -LIMIT, LIMIT);
      }
      take(job, s, v, pass, scores, n, fits, first + at / chunk);
    }
    used += keys;
  }
}

/** A pass over the sinks below each row's window, and the windows. */
function localPass(job: usize, s: usize, v: usize, pass: i32): void {
  const keys = J.i(job, J.KEYS), window = J.i(job, J.WINDOW), causal = J.i(job, J.CAUSAL) != 0;
  const position = load<i32>(s + S.POSITION), visible = causal ? max(0, min(keys, position + load<i32>(s + S.ROW_COUNT))) : keys;
  const first = max(0, (causal ? position + 1 : keys) - window), sinks = min(J.i(job, J.SINK), max(0, visible - window));
  const fits = sinks + visible - first <= J.i(job, J.VOTE_LOCAL);
  localRun(job, s, v, pass, 0, sinks, fits, 0, causal ? window - position : -LIMIT, LIMIT);
  localRun(job, s, v, pass, first, visible, fits, sinks, causal ? -position : -LIMIT, causal ? window - 1 - position : LIMIT);
}

function localRun(job: usize, s: usize, v: usize, pass: i32, start: i32, end: i32, fits: bool, slot: i32, low: i32, high: i32): void {
  const width = <usize>load<i32>(s + S.PANELS) << 5, held = voteScoresAt(job, v) + <usize>(J.i(job, J.VOTE_KEYS) + 4 + slot) * width;
  for (let key = start; key < end; key += S.BATCH_ROWS) {
    const n = min(S.BATCH_ROWS, end - key);
    const scores = fits ? held + <usize>(key - start) * width : s + S.PRODUCTS;
    if (pass == 0 || !fits) {
      score(job, s, v, key, n, scores);
      prepare(job, scores, n, width, key, low, high);
    }
    take(job, s, v, pass, scores, n, fits, -1);
  }
}

/** Products of keys [key, key + n) with the rows. */
function score(job: usize, s: usize, v: usize, key: i32, n: i32, scores: usize): void {
  listRun(job, s, load<i32>(v + BATCH_INDEX), load<i32>(v + KV_HEAD), 0, key, key + n, rowBytes(job));
  multiplyList(s, n, <usize>load<u32>(v + PANELS_AT), scores);
}

/** Soft-cap, in base 2; then key j counts for rows j + low … j + high. */
function prepare(job: usize, scores: usize, n: i32, width: usize, key: i32, low: i32, high: i32): void {
  const softcap = J.f(job, J.SOFTCAP), end = scores + <usize>n * width;
  if (softcap > 0) capScores(scores, <usize>n * width, J.f(job, J.SCALE) / softcap, softcap);
  const last = <i32>(width >> 2) - 1;
  if (key + n - 1 + low <= 0 && key + high >= last) return;
  for (; scores < end; scores += width) {
    const from = i32x4.splat(key + low), to = i32x4.splat(key + high);
    let row = i32x4(0, 1, 2, 3);
    for (let at = scores; at < scores + width; at += 16) {
      const outside = v128.or(i32x4.lt_s(row, from), i32x4.gt_s(row, to));
      v128.store(at, v128.bitselect(f32x4.splat(MASKED), v128.load(at), outside));
      row = i32x4.add(row, i32x4.splat(4));
    }
    key++;
  }
}

/** What a pass makes of some keys' scores. @param block the first key's block, −1 where keys receive no mass */
function take(job: usize, s: usize, v: usize, pass: i32, scores: usize, n: i32, fits: bool, block: i32): void {
  const width = <usize>load<i32>(s + S.PANELS) << 5, maxima = v + ROWS_AT;
  touch(v, scores, <usize>n * width);
  if (pass == 0) raise(scores, n, width, maxima);
  // Weights replace scores that are held; others are made again.
  else if (pass == 1 || !fits) weigh(scores, n, width, maxima, pass == 1 ? maxima + lineBytes(job) : 0, J.f(job, J.SOFTCAP) > 0 ? 1 : J.f(job, J.SCALE) * LOG2E);
  if (pass == 2) addMasses(scores, n, width, maxima + 2 * lineBytes(job), load<i32>(v + CHUNK), <usize>load<u32>(v + MASSES) + (<usize>block << 2), load<i32>(v + MERGE) != 0);
}

/** Reads a word of every cache line in order, which the processor's prefetcher follows; it does not follow columns. */
function touch(v: usize, at: usize, bytes: usize): void {
  let seen: u32 = 0;
  for (const end = at + bytes; at < end; at += 64) seen ^= load<u32>(at);
  store<u32>(v + SEEN, seen);
}

/** NaN is passed over. */
function raise(scores: usize, n: i32, width: usize, maxima: usize): void {
  const end = scores + <usize>n * width;
  for (let c: usize = 0; c < width; c += 32) {
    let a = v128.load(maxima + c), b = v128.load(maxima + c, 16);
    for (let at = scores + c; at < end; at += width) {
      a = f32x4.pmax(a, v128.load(at));
      b = f32x4.pmax(b, v128.load(at, 16));
    }
    v128.store(maxima + c, a);
    v128.store(maxima + c, b, 16);
  }
}

/** Scores → 2^((score − maximum)·factor), 0 where that is NaN; their sums, where wanted. */
function weigh(scores: usize, n: i32, width: usize, maxima: usize, sums: usize, factor: f32): void {
  const clamp = v128.load(EXP), magic = v128.load(EXP, 16), p5 = v128.load(EXP, 32), p4 = v128.load(EXP, 48), p3 = v128.load(EXP, 64);
  const p2 = v128.load(EXP, 80), p1 = v128.load(EXP, 96), one = v128.load(EXP, 112);
  const times = f32x4.splat(factor);
  const end = scores + <usize>n * width;
  for (let c: usize = 0; c < width; c += 32) {
    const shiftA = f32x4.neg(f32x4.mul(v128.load(maxima + c), times)), shiftB = f32x4.neg(f32x4.mul(v128.load(maxima + c, 16), times));
    let sumA = f32x4.splat(0), sumB = sumA;
    for (let at = scores + c; at < end; at += width) {
      const a = exp2Clamped(f32x4.pmax(clamp, fma(v128.load(at), times, shiftA)), magic, p5, p4, p3, p2, p1, one);
      const b = exp2Clamped(f32x4.pmax(clamp, fma(v128.load(at, 16), times, shiftB)), magic, p5, p4, p3, p2, p1, one);
      v128.store(at, a);
      v128.store(at, b, 16);
      sumA = f32x4.add(sumA, a);
      sumB = f32x4.add(sumB, b);
    }
    if (sums == 0) continue;
    v128.store(sums + c, f32x4.add(v128.load(sums + c), sumA));
    v128.store(sums + c, f32x4.add(v128.load(sums + c, 16), sumB), 16);
  }
}

/** Σ over a block's keys and rows of weight / sum. */
function addMasses(weights: usize, n: i32, width: usize, factors: usize, chunk: i32, masses: usize, merge: bool): void {
  const last = weights + <usize>n * width, blockBytes = <usize>chunk * width;
  for (; weights < last; weights += blockBytes) {
    const end = min(last, weights + blockBytes);
    let a = f32x4.splat(0), b = a;
    for (let c: usize = 0; c < width; c += 32) {
      const left = v128.load(factors + c), right = v128.load(factors + c, 16);
      for (let at = weights + c; at < end; at += width) {
        a = fma(v128.load(at), left, a);
        b = fma(v128.load(at, 16), right, b);
      }
    }
    a = f32x4.add(a, b);
    let mass = f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 1) + f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3);
    if (merge) mass += load<f32>(masses);
    store<f32>(masses, mass);
    masses += 4;
  }
}
