// The vote (docs/specification/hip.md §8.1) on compact keys: eight rows at a time, tile by tile as flash attention does, weights in place of
// scores; then each tile's weights are worth what its maximum is below the last one. A single row votes on four keys at a time.
import { KEYS } from '../cache/compact';
import { capScores } from '../attention/step';
import * as J from '../job';
import { groupByPanel, groupByRow } from '../matrix/integer';
import { COARSE, exp2Coarse, exp2CoarseOnce, fma, INITIAL_MAX, LOG2E, MASKED } from '../numbers/simd';
import * as L from './ballot';
import * as S from './scratch';
import { hasSpecial, trueProducts } from './true-products';
import * as V from './vote';

/** Groups of a tile: its scores lie in the first cache. */
const TILE: i32 = 16;

// Scratch behind a ballot: records of groups; f32 [8] maxima of each tile; f32 [slots][8] scores; f32 [slots][4] masses.
// @ts-ignore: decorator
@inline
function maximaAt(job: usize, v: usize): usize { return v + V.ROWS_AT + <usize>J.i(job, J.VOTE_GROUPS) * L.RECORD; }
// @ts-ignore: decorator
@inline
function scoresAt(job: usize, v: usize): usize { return maximaAt(job, v) + (<usize>(J.i(job, J.VOTE_GROUPS) / TILE + 1) << 5); }
// @ts-ignore: decorator
@inline
function massesAt(job: usize, v: usize): usize { return scoresAt(job, v) + (<usize>J.i(job, J.VOTE_GROUPS) << 7); }

/** Products → what the soft-cap takes, or logits in base 2. */
// @ts-ignore: decorator
@inline
function logitFactor(job: usize): f32 {
  const softcap = J.f(job, J.SOFTCAP), scale = J.f(job, J.SCALE);
  return softcap > 0 ? scale / softcap : scale * LOG2E;
}

/**
 * Votes; `v` holds the ballot, the rows are sampled as integers.
 *
 * @param table the head's groups
 * @returns false where there is no room for the scores: nothing is done
 */
export function compactVote(job: usize, s: usize, v: usize, table: usize): bool {
  const records = v + V.ROWS_AT, candidates = L.listCandidates(job, s, v, records, table);
  if (candidates < 0) return false;
  const groups = L.listLocal(job, s, records, candidates, table);
  if (groups < 0) return false;
  const unit = load<f32>(s + S.UNIT) * logitFactor(job);
  if (load<i32>(s + S.SINGLE)) {
    voteOfRow(job, s, v, groups, unit);
    return true;
  }
  const steps = load<i32>(s + S.DEPTH), isPaired = (load<i32>(v + V.CHUNK) & 1) == 0;
  memory.fill(massesAt(job, v), 0, <usize>candidates << (isPaired ? 5 : 6));
  for (let p = 0; p < load<i32>(s + S.PANELS); p++) {
    voteOfPanel(job, s, v, p, <usize>load<u32>(v + V.PANELS_AT) + (<usize>(p * steps) << 5), candidates, groups, unit);
  }
  giveMasses(job, v, isPaired);
  return true;
}

/** Adds the masses that eight rows give. */
function voteOfPanel(job: usize, s: usize, v: usize, p: i32, panel: usize, candidates: i32, groups: i32, unit: f32): void {
  const records = v + V.ROWS_AT, steps = load<i32>(s + S.DEPTH), softcap = J.f(job, J.SOFTCAP);
  let maxima = maximaAt(job, v), scores = scoresAt(job, v);
  let top0 = f32x4.splat(INITIAL_MAX), top1 = top0, sum0 = f32x4.splat(0), sum1 = sum0;
  for (let first = 0; first < groups; first += TILE) {
    const end = min(groups, first + TILE), last = scores + (<usize>(end - first) << 7);
    let whole = true, out = scores;
    for (let g = first; g < end; g++) {
      const record = records + <usize>g * L.RECORD;
      const group = <usize>load<u32>(record + L.ADDRESS);
      groupByPanel(group, panel, steps, unit, out);
      if (hasSpecial(job, group, steps)) trueProducts(job, s, load<i32>(v + V.BATCH_INDEX), load<i32>(v + V.KV_HEAD), group, load<i32>(record + L.KEY), p << 3, 8, logitFactor(job), out, 32);
      whole = whole && load<i32>(record + L.WHOLE) != 0;
      out += 128;
    }
    if (softcap > 0) capScores(scores, <usize>(end - first) << 7, 1, softcap);
    if (!whole) for (let g = first; g < end; g++) hide(records + <usize>g * L.RECORD, scores + (<usize>(g - first) << 7), p << 3);
    const before0 = top0, before1 = top1;
    for (let at = scores; at < last; at += 32) {
      top0 = f32x4.pmax(top0, v128.load(at));
      top1 = f32x4.pmax(top1, v128.load(at, 16));
    }
    sum0 = f32x4.mul(sum0, exp2CoarseOnce(f32x4.sub(before0, top0)));
    sum1 = f32x4.mul(sum1, exp2CoarseOnce(f32x4.sub(before1, top1)));
    v128.store(maxima, top0);
    v128.store(maxima, top1, 16);
    const clamp = v128.load(COARSE), magic = v128.load(COARSE, 16), q3 = v128.load(COARSE, 32), q2 = v128.load(COARSE, 48), q1 = v128.load(COARSE, 64), one = v128.load(COARSE, 80);
    for (let at = scores; at < last; at += 32) {
      const a = exp2Coarse(f32x4.sub(v128.load(at), top0), clamp, magic, q3, q2, q1, one), b = exp2Coarse(f32x4.sub(v128.load(at, 16), top1), clamp, magic, q3, q2, q1, one);
      v128.store(at, a);
      v128.store(at, b, 16);
      sum0 = f32x4.add(sum0, a);
      sum1 = f32x4.add(sum1, b);
    }
    maxima += 32;
    scores = last;
  }
  const rows = load<i32>(s + S.ROW_COUNT) - (p << 3);
  const share0 = shares(sum0, rows), share1 = shares(sum1, rows - 4);
  maxima = maximaAt(job, v);
  scores = scoresAt(job, v);
  let masses = massesAt(job, v);
  const isPaired = (load<i32>(v + V.CHUNK) & 1) == 0;
  for (let first = 0; first < candidates; first += TILE) {
    const end = scores + (<usize>(min(candidates, first + TILE) - first) << 7);
    const factor0 = f32x4.mul(share0, exp2CoarseOnce(f32x4.sub(v128.load(maxima), top0))), factor1 = f32x4.mul(share1, exp2CoarseOnce(f32x4.sub(v128.load(maxima, 16), top1)));
    if (isPaired) {
      for (let at = scores; at < end; at += 64) {
        const left = fma(v128.load(at), factor0, fma(v128.load(at, 32), factor0, v128.load(masses)));
        v128.store(masses, f32x4.add(left, fma(v128.load(at, 16), factor1, f32x4.mul(v128.load(at, 48), factor1))));
        masses += 16;
      }
    } else {
      for (let at = scores; at < end; at += 32) {
        v128.store(masses, fma(v128.load(at), factor0, fma(v128.load(at, 16), factor1, v128.load(masses))));
        masses += 16;
      }
    }
    maxima += 32;
    scores = end;
  }
}

/** 1 / sum for the lanes below `rows`; rows that see nothing do not vote. */
// @ts-ignore: decorator
@inline
function shares(sum: v128, rows: i32): v128 {
  const votes = v128.and(f32x4.gt(sum, f32x4.splat(0)), i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(rows)));
  return v128.and(f32x4.div(f32x4.splat(1), sum), votes);
}

/** Hides a group's keys from rows [row, row + 8) for which they do not count. */
function hide(record: usize, scores: usize, row: i32): void {
  if (load<i32>(record + L.WHOLE)) return;
  const left = i32x4.add(i32x4.splat(row), i32x4(0, 1, 2, 3)), right = i32x4.add(left, i32x4.splat(4)), masked = f32x4.splat(MASKED);
  for (let j = 0; j < KEYS; j++) {
    const key = load<i32>(record + L.KEY) + j, counts = key >= load<i32>(record + L.FROM) && key < load<i32>(record + L.TO);
    const low = i32x4.splat(counts ? key + load<i32>(record + L.LOW) : V.LIMIT), high = i32x4.splat(key + load<i32>(record + L.HIGH));
    v128.store(scores, v128.bitselect(masked, v128.load(scores), v128.or(i32x4.lt_s(left, low), i32x4.gt_s(left, high))));
    v128.store(scores, v128.bitselect(masked, v128.load(scores, 16), v128.or(i32x4.lt_s(right, low), i32x4.gt_s(right, high))), 16);
    scores += 32;
  }
}

// @ts-ignore: decorator
@inline
function lanesSum(x: v128): f32 { return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3)); }

/** Sums what each candidate's keys received; pairs of keys lie together where blocks are of an even number. */
function giveMasses(job: usize, v: usize, isPaired: bool): void {
  const candidates = <usize>load<u32>(v + V.CANDIDATES), slots = <usize>load<u32>(v + V.SLOTS), chunk = load<i32>(v + V.CHUNK), searchable = load<i32>(v + V.SEARCHABLE);
  const merge = load<i32>(v + V.MERGE) != 0, shift = i32(isPaired), masses = massesAt(job, v);
  let out = <usize>load<u32>(v + V.MASSES);
  for (let i: usize = 0; i < <usize>load<i32>(v + V.COUNT) << 2; i += 4) {
    const slot = load<i32>(slots + i), keys = min(chunk, searchable - load<i32>(candidates + i));
    let sum = f32x4.splat(0);
    for (let at = masses + (<usize>(slot >> shift) << 4), end = masses + (<usize>((slot + keys + shift) >> shift) << 4); at < end; at += 16) sum = f32x4.add(sum, v128.load(at));
    const mass = lanesSum(sum);
    store<f32>(out, merge ? load<f32>(out) + mass : mass);
    out += 4;
  }
}

/** The vote of a single row: one lane a key. */
function voteOfRow(job: usize, s: usize, v: usize, groups: i32, unit: f32): void {
  const records = v + V.ROWS_AT, row = <usize>load<u32>(v + V.PANELS_AT), steps = load<i32>(s + S.DEPTH), softcap = J.f(job, J.SOFTCAP);
  const scores = scoresAt(job, v), end = scores + (<usize>groups << 4);
  let at = scores;
  for (let g = 0; g < groups; g++) {
    const record = records + <usize>g * L.RECORD, group = <usize>load<u32>(record + L.ADDRESS);
    v128.store(at, groupByRow(group, row, steps, unit));
    if (hasSpecial(job, group, steps)) trueProducts(job, s, load<i32>(v + V.BATCH_INDEX), load<i32>(v + V.KV_HEAD), group, load<i32>(record + L.KEY), 0, 1, logitFactor(job), at, 4);
    at += 16;
  }
  if (softcap > 0) capScores(scores, <usize>groups << 4, 1, softcap);
  let most = f32x4.splat(INITIAL_MAX);
  at = scores;
  for (let g = 0; g < groups; g++) {
    const record = records + <usize>g * L.RECORD;
    if (!load<i32>(record + L.WHOLE)) {
      // Key j counts for row 0 where j + LOW <= 0 <= j + HIGH.
      const key = i32x4.add(i32x4.splat(load<i32>(record + L.KEY)), i32x4(0, 1, 2, 3));
      const least = i32x4.splat(max(load<i32>(record + L.FROM), -load<i32>(record + L.HIGH))), last = i32x4.splat(min(load<i32>(record + L.TO) - 1, -load<i32>(record + L.LOW)));
      v128.store(at, v128.bitselect(f32x4.splat(MASKED), v128.load(at), v128.or(i32x4.lt_s(key, least), i32x4.gt_s(key, last))));
    }
    most = f32x4.pmax(most, v128.load(at));
    at += 16;
  }
  const top = f32x4.splat(max(max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)), max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3))));
  let sum = f32x4.splat(0);
  for (at = scores; at < end; at += 16) {
    const weights = exp2CoarseOnce(f32x4.sub(v128.load(at), top));
    v128.store(at, weights);
    sum = f32x4.add(sum, weights);
  }
  const total = lanesSum(sum), share: f32 = total > 0 ? 1 / total : 0, merge = load<i32>(v + V.MERGE) != 0;
  const candidates = <usize>load<u32>(v + V.CANDIDATES), slots = <usize>load<u32>(v + V.SLOTS), chunk = load<i32>(v + V.CHUNK), searchable = load<i32>(v + V.SEARCHABLE);
  let out = <usize>load<u32>(v + V.MASSES);
  for (let i: usize = 0; i < <usize>load<i32>(v + V.COUNT) << 2; i += 4) {
    let mass: f32 = 0;
    const slot = load<i32>(slots + i), keys = min(chunk, searchable - load<i32>(candidates + i));
    for (let j = slot; j < slot + keys; j++) mass += load<f32>(scores + (<usize>j << 2));
    mass *= share;
    store<f32>(out, merge ? load<f32>(out) + mass : mass);
    out += 4;
  }
}
