// Local binary searches for the best key of each candidate (docs/specification/hip.md §3).
import * as J from '../job';
import { rowBytes } from '../cache/pages';
import { listKey, scoreKeys } from './score';
import * as S from './scratch';
import { LOWEST, put } from './select';

/** Candidates whose binary searches run side by side: two keys of each fill a list. */
const PAIRS: i32 = 32;

/** Best key a local binary search meets: two reads a level, the better half survives. */
export function scoreBinary(job: usize, s: usize, b: i32, kv: i32, chunk: i32, searchable: i32, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool): void {
  const sink = J.i(job, J.SINK);
  const bytes = rowBytes(job);
  // First key, size and best score of each search: behind the lists, 3 × 32 words.
  const firsts = panels + S.panelBytes(job) + (<usize>J.i(job, J.MAX_CANDIDATES) << 2) * 4;
  const sizes = firsts + (PAIRS << 2), bests = sizes + (PAIRS << 2);
  for (let from = 0; from < n; from += PAIRS) {
    const count = min(PAIRS, n - from);
    for (let j = 0; j < count; j++) {
      const start = load<i32>(candidates + (<usize>(from + j) << 2));
      store<i32>(firsts + (<usize>j << 2), sink + start);
      store<i32>(sizes + (<usize>j << 2), min(chunk, searchable - start));
      store<f32>(bests + (<usize>j << 2), LOWEST);
    }
    for (let level = 0; ; level++) {
      let listed = 0;
      for (let j = 0; j < count; j++) {
        const first = load<i32>(firsts + (<usize>j << 2)), size = load<i32>(sizes + (<usize>j << 2));
        if (size == 1 && level == 0) listKey(job, s, b, kv, listed++, first, bytes);
        if (size <= 1) continue;
        const left = size >> 1;
        listKey(job, s, b, kv, listed++, first + (left >> 1), bytes);
        listKey(job, s, b, kv, listed++, first + left + ((size - left) >> 1), bytes);
      }
      if (listed == 0) break;
      scoreKeys(job, s, listed, panels, s + S.PRODUCTS);
      let at = s + S.BEST;
      for (let j: usize = 0; j < <usize>count << 2; j += 4) {
        const size = load<i32>(sizes + j);
        if (size <= 1) {
          if (size == 1 && level == 0) { store<f32>(bests + j, load<f32>(at)); at += 4; }
          continue;
        }
        const a = load<f32>(at), c = load<f32>(at, 4);
        at += 8;
        store<f32>(bests + j, max(load<f32>(bests + j), max(a, c)));
        const left = size >> 1;
        if (c > a) store<i32>(firsts + j, load<i32>(firsts + j) + left);
        store<i32>(sizes + j, c > a ? size - left : left);
      }
    }
    for (let j = 0; j < count; j++) put(scores, from + j, load<f32>(bests + (<usize>j << 2)), merge);
  }
}
