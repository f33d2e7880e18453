// Exact stages: the largest score of a chunk's keys with any row, of floats or of compact keys.
import * as J from '../job';
import { groupBytes, KEYS, slotOf } from '../cache/compact';
import { rowBytes } from '../cache/pages';
import { bestOfPanels, groupByPanel, groupByRow } from '../matrix/integer';
import { listRun, scoreKeys } from './score';
import * as S from './scratch';
import { LOWEST, put } from './select';
import { hasSpecial, trueProducts } from './true-products';

/** Largest score of a chunk's keys. */
export function scoreExact(job: usize, s: usize, b: i32, kv: i32, chunk: i32, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool): void {
  const keys = J.i(job, J.KEYS), sink = J.i(job, J.SINK);
  const bytes = rowBytes(job);
  if (chunk > S.BATCH_ROWS) {
    // Chunks longer than a list: one after another, in parts.
    for (let i = 0; i < n; i++) {
      const start = sink + load<i32>(candidates + (<usize>i << 2));
      const end = min(start + chunk, keys);
      let best = LOWEST;
      for (let key = start; key < end; key += S.BATCH_ROWS) best = max(best, bestOfRun(job, s, b, kv, key, min(end, key + S.BATCH_ROWS), panels, bytes));
      put(scores, i, best, merge);
    }
    return;
  }
  const together = S.BATCH_ROWS / chunk;
  for (let first = 0; first < n; first += together) {
    const last = min(n, first + together);
    let count = 0;
    for (let i = first; i < last; i++) {
      const start = sink + load<i32>(candidates + (<usize>i << 2));
      const end = min(start + chunk, keys);
      listRun(job, s, b, kv, count, start, end, bytes);
      count += end - start;
    }
    scoreKeys(job, s, count, panels, s + S.PRODUCTS);
    let at = s + S.BEST;
    for (let i = first; i < last; i++) {
      const width = min(chunk, keys - sink - load<i32>(candidates + (<usize>i << 2)));
      let best = LOWEST;
      for (const end = at + (<usize>width << 2); at < end; at += 4) best = max(best, load<f32>(at));
      put(scores, i, best, merge);
    }
  }
}

function bestOfRun(job: usize, s: usize, b: i32, kv: i32, first: i32, end: i32, panels: usize, bytes: usize): f32 {
  listRun(job, s, b, kv, 0, first, end, bytes);
  scoreKeys(job, s, end - first, panels, s + S.PRODUCTS);
  let best = LOWEST;
  for (let j = 0; j < end - first; j++) best = max(best, load<f32>(s + S.BEST + (<usize>j << 2)));
  return best;
}

/** `scoreExact` of compact keys, the rows sampled as integers. @param groups those of the head */
export function scoreCompact(job: usize, s: usize, b: i32, kv: i32, groups: usize, chunk: i32, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool): void {
  const keys = J.i(job, J.KEYS), sink = J.i(job, J.SINK), steps = load<i32>(s + S.DEPTH), bytes = groupBytes(steps), count = load<i32>(s + S.PANELS);
  const single = load<i32>(s + S.SINGLE) != 0, unit = load<f32>(s + S.UNIT), units = f32x4.splat(unit), products = s + S.PRODUCTS;
  // Keys below are visible to every sampled row.
  const seen = J.i(job, J.CAUSAL) ? load<i32>(s + S.POSITION) + min(load<i32>(s + S.STRIDE), load<i32>(s + S.ROW_COUNT)) : keys;
  for (let i = 0; i < n; i++) {
    const start = sink + load<i32>(candidates + (<usize>i << 2)), end = min(start + chunk, keys), slot = slotOf(job, start);
    let best = f32x4.splat(LOWEST), group = groups + <usize>(slot >> 2) * bytes;
    for (let key = start - (slot & (KEYS - 1)); key < end; key += KEYS) {
      const special = hasSpecial(job, group, steps);
      let scored: v128, last = end;
      if (single) {
        scored = groupByRow(group, panels, steps, unit);
        last = min(end, seen);
        if (special) {
          v128.store(products, scored);
          trueProducts(job, s, b, kv, group, key, 0, 1, 1, products, 4);
          scored = v128.load(products);
        }
      } else if (key + KEYS <= seen && !special) scored = f32x4.mul(bestOfPanels(group, panels, count, steps, products), units);
      else scored = bestOfSeen(job, s, b, kv, group, key, panels, steps, unit, special);
      if (key < start || key + KEYS > last) {
        const lane = i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3));
        scored = v128.bitselect(f32x4.splat(LOWEST), scored, v128.or(i32x4.lt_s(lane, i32x4.splat(start)), i32x4.ge_s(lane, i32x4.splat(last))));
      }
      best = f32x4.pmax(best, scored);
      group += bytes;
    }
    put(scores, i, max(max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)), max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3))), merge);
  }
}

/** Largest products of a group's keys with the rows that see them. NaN is passed over. */
function bestOfSeen(job: usize, s: usize, b: i32, kv: i32, group: usize, key: i32, panels: usize, steps: i32, unit: f32, special: bool): v128 {
  const causal = J.i(job, J.CAUSAL) != 0, position = load<i32>(s + S.POSITION), stride = load<i32>(s + S.STRIDE), rows = load<i32>(s + S.ROW_COUNT);
  const products = s + S.PRODUCTS, best = s + S.BEST, count = load<i32>(s + S.GROUPS);
  v128.store(best, f32x4.splat(LOWEST));
  for (let first = 0; first < count; first += 8) {
    groupByPanel(group, panels, steps, unit, products);
    if (special) trueProducts(job, s, b, kv, group, key, first, 8, 1, products, 32);
    panels += <usize>steps << 5;
    for (let g = first; g < min(first + 8, count); g++) {
      const last = position + min((g + 1) * stride, rows);
      for (let j = 0; j < KEYS; j++) {
        if (causal && key + j >= last) continue;
        const product = load<f32>(products + (<usize>(j << 3) << 2) + (<usize>(g - first) << 2)), at = best + (<usize>j << 2);
        if (product > load<f32>(at)) store<f32>(at, product);
      }
    }
  }
  return v128.load(best);
}
