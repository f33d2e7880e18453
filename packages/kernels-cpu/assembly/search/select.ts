// The k best of n scored candidates by a threshold, without a sort. Ties: higher score first, then lower index.
import * as J from '../job';

/** Score of a dead candidate: never kept. Living ones score at least LOWEST. */
export const NONE: f32 = -3.0e38;
export const LOWEST: f32 = -2.9e38;

/** k-th largest of n floats (k >= 1), destroying their order: quickselect. */
function kthLargest(values: usize, n: i32, k: i32): f32 {
  let low = 0, high = n - 1;
  const target = k - 1;
  while (low < high) {
    const pivot = load<f32>(values + (<usize>((low + high) >> 1) << 2));
    let i = low, j = high;
    while (i <= j) {
      while (load<f32>(values + (<usize>i << 2)) > pivot) i++;
      while (load<f32>(values + (<usize>j << 2)) < pivot) j--;
      if (i <= j) {
        const t = load<f32>(values + (<usize>i << 2));
        store<f32>(values + (<usize>i << 2), load<f32>(values + (<usize>j << 2)));
        store<f32>(values + (<usize>j << 2), t);
        i++;
        j--;
      }
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break;
  }
  return load<f32>(values + (<usize>target << 2));
}

/**
 * Keeps the `keep` best of n candidates in their order: scores[i] belongs to candidate i. `ids` is compacted in place (`second`
 * too, when given).
 *
 * @param copy n floats of scratch
 * @returns how many were kept
 */
export function selectLargest(scores: usize, n: i32, keep: i32, copy: usize, ids: usize, second: usize): i32 {
  let alive = 0;
  for (let i = 0; i < n; i++) {
    const score = load<f32>(scores + (<usize>i << 2));
    if (score > NONE) { store<f32>(copy + (<usize>alive << 2), score); alive++; }
  }
  const all = alive <= keep;
  let threshold: f32 = NONE;
  let ties = n;
  if (!all) {
    threshold = kthLargest(copy, alive, keep);
    ties = keep;
    for (let i = 0; i < n; i++) if (load<f32>(scores + (<usize>i << 2)) > threshold) ties--;
  }
  let kept = 0;
  for (let i = 0; i < n; i++) {
    const score = load<f32>(scores + (<usize>i << 2));
    if (score <= NONE) continue;
    if (!all) {
      if (score < threshold) continue;
      if (score == threshold && --ties < 0) continue;
    }
    store<i32>(ids + (<usize>kept << 2), load<i32>(ids + (<usize>i << 2)));
    if (second != 0) store<i32>(second + (<usize>kept << 2), load<i32>(second + (<usize>i << 2)));
    kept++;
  }
  return kept;
}

/** Blocks that a mask head keeps. */
export function keepOf(job: usize, maskHead: i32): i32 {
  const budgets = J.p(job, J.KEEP_OF_HEAD);
  return budgets != 0 ? load<i32>(budgets + (<usize>maskHead << 2)) : J.i(job, J.CAPACITY);
}

/** Keeps a candidate's score. */
// @ts-ignore: decorator
@inline
export function put(scores: usize, i: i32, score: f32, merge: bool): void {
  const at = scores + (<usize>i << 2);
  // selectLargest would keep every NaN, more than there is room for.
  if (!(score > LOWEST)) score = LOWEST;
  store<f32>(at, merge ? max(load<f32>(at), score) : score);
}
