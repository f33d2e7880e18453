// Multi-stage pruning (docs/specification/hip.md §3). The last stage's chunks are the mask's blocks.
import * as J from '../job';
import { rowBytes } from '../cache/pages';
import * as S from './score';
import { LOWEST, selectLargest } from './select';
import * as V from './vote';

/** Kinds of stages. */
const BOUND: i32 = 1;
const EXACT: i32 = 2;
const DEVIATION: i32 = 3;
const MASS: i32 = 4;

/** Work item: (batch, mask head, query block counted from the last). */
export function stagedSearch(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS);
  const causal = J.i(job, J.CAUSAL) != 0, shared = J.i(job, J.SHARE_HEADS) != 0;
  const blockQ = J.i(job, J.BLOCK_Q), blockK = J.i(job, J.BLOCK_K), sink = J.i(job, J.SINK), capacity = J.i(job, J.CAPACITY);
  const blocks = (queries + blockQ - 1) / blockQ;
  const maskHeads = shared ? 1 : heads;
  const stages = J.i(job, J.STAGE_COUNT);
  const s = J.scratch(job, thread);
  const panels = S.panelsAt(job, s);
  const listBytes = <usize>J.i(job, J.MAX_CANDIDATES) << 2;
  const candidates = panels + S.panelBytes(job);
  const scores = candidates + listBytes;
  const copy = scores + listBytes, slots = copy + listBytes, votes = slots + 2 * listBytes + 512;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const block = blocks - 1 - item % blocks;
    const maskHead = (item / blocks) % maskHeads;
    const b = item / (blocks * maskHeads);
    const firstRow = block * blockQ;
    const rows = min(blockQ, queries - firstRow);
    const visible = causal ? max(0, min(keys, J.i(job, J.POSITION) + firstRow + rows)) : keys;
    const searchable = max(0, visible - J.i(job, J.WINDOW) - sink);
    const cell = (b * maskHeads + maskHead) * blocks + block;
    const starts = J.p(job, J.STARTS) + (<usize>(cell * capacity) << 2);
    const most = S.keepOf(job, maskHead);
    let have = 0;
    if ((searchable + blockK - 1) / blockK <= most) {
      for (; have * blockK < searchable; have++) store<i32>(starts + (<usize>have << 2), sink + have * blockK);
      store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), have);
      continue;
    }
    if (most == 0) {
      store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), 0);
      continue;
    }
    const outputs = J.p(job, J.OUTPUTS) != 0 ? J.p(job, J.OUTPUTS) + (<usize>(cell * J.i(job, J.OUTPUT_STRIDE)) << 2) : 0;
    store<i32>(candidates, 0);
    have = 1;
    let before = searchable, from = 0;
    if (outputs != 0 && J.i(job, J.FIRST_STAGE) > 0) {
      const stage = job + J.STAGE + <usize>(J.i(job, J.FIRST_STAGE) - 1) * J.STAGE_BYTES;
      const output = outputs + (<usize>load<i32>(stage + 32) << 2);
      if (load<i32>(output) >= 0) {
        from = J.i(job, J.FIRST_STAGE);
        before = load<i32>(stage);
        have = load<i32>(output);
        memory.copy(candidates, output + 4, <usize>have << 2);
      }
    }
    // Whether the stage before left its scores to a vote.
    let scored = false;
    const firstHead = shared ? 0 : maskHead, endHead = shared ? heads : maskHead + 1;
    for (let t = from; t < stages; t++) {
      const stage = job + J.STAGE + <usize>t * J.STAGE_BYTES;
      const chunk = load<i32>(stage), last = t == stages - 1, keep = last ? most : load<i32>(stage + 4) / chunk;
      have = expand(candidates, have, before, chunk, searchable);
      const had = before;
      before = chunk;
      if (have <= keep) {
        scored = false;
        if (outputs != 0 && !last) keepOutput(outputs, stage, candidates, have);
        continue;
      }
      const kind = load<i32>(stage + 16), narrow = load<i32>(stage + 28) == 1;
      // A vote of the same rows on the same channels takes the products of an exact stage from its own room.
      const keeps = kind == EXACT && t == stages - 2 && load<i32>(stage + J.STAGE_BYTES + 16) == MASS && load<i32>(stage + J.STAGE_BYTES + 28) == i32(narrow) &&
        load<i32>(stage + 8) == 1 && endHead - firstHead == 1 && have * chunk <= J.i(job, J.VOTE_KEYS);
      const form = kind == BOUND ? S.SIGNS : kind == DEVIATION ? S.SQUARES : narrow ? S.SLOW_HALF : S.PLAIN;
      for (let h = firstHead; h < endHead; h++) {
        S.sampleRows(job, s, b, h, firstRow, rows, kind == MASS ? 1 : load<i32>(stage + 8), load<i32>(stage + 12) == 1, form, panels);
        const kv = h / (heads / kvHeads);
        const merge = shared && h > 0;
        if (kind == BOUND || kind == DEVIATION) scoreSummaries(job, s, b * kvHeads + kv, stage, panels, candidates, have, scores, merge);
        else if (kind == EXACT) scoreExact(job, s, b, kv, chunk, panels, candidates, have, scores, merge, keeps ? V.voteScoresAt(job, votes) : 0);
        else if (kind == MASS) {
          ballot(votes, b, kv, panels, candidates, have, had, chunk, searchable, scored ? slots : 0, scores, merge);
          V.vote(job, s, votes);
        }
        else scoreBinary(job, s, b, kv, chunk, searchable, panels, candidates, have, scores, merge);
      }
      if (keeps) for (let i = 0; i < have; i++) store<i32>(slots + (<usize>i << 2), i * chunk);
      have = selectLargest(scores, have, keep, copy, candidates, keeps ? slots : 0);
      scored = keeps;
      if (outputs != 0 && !last) keepOutput(outputs, stage, candidates, have);
    }
    for (let i: usize = 0; i < <usize>have << 2; i += 4) store<i32>(starts + i, sink + load<i32>(candidates + i));
    store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), have);
  }
}

/** Writes what a stage leaves for later searches. */
function keepOutput(outputs: usize, stage: usize, candidates: usize, have: i32): void {
  const output = outputs + (<usize>load<i32>(stage + 32) << 2);
  store<i32>(output, have);
  memory.copy(output + 4, candidates, <usize>have << 2);
}

/** Writes what a vote is about. */
function ballot(v: usize, b: i32, kv: i32, panels: usize, candidates: usize, count: i32, before: i32, chunk: i32, searchable: i32, slots: usize, masses: usize, merge: bool): void {
  store<u32>(v + V.PANELS_AT, <u32>panels);
  store<u32>(v + V.CANDIDATES, <u32>candidates);
  store<i32>(v + V.COUNT, count);
  store<i32>(v + V.BEFORE, before);
  store<i32>(v + V.CHUNK, chunk);
  store<u32>(v + V.MASSES, <u32>masses);
  store<i32>(v + V.MERGE, i32(merge));
  store<u32>(v + V.SLOTS, <u32>slots);
  store<i32>(v + V.SEARCHABLE, searchable);
  store<i32>(v + V.BATCH_INDEX, b);
  store<i32>(v + V.KV_HEAD, kv);
}

/** Cuts the surviving chunks (first tokens, relative to the sink) into smaller ones, from the back, in place. @returns their number */
function expand(candidates: usize, have: i32, before: i32, chunk: i32, searchable: i32): i32 {
  const ratio = (before + chunk - 1) / chunk;
  for (let i = have - 1; i >= 0; i--) {
    const start = load<i32>(candidates + (<usize>i << 2));
    for (let r = ratio - 1; r >= 0; r--) store<i32>(candidates + (<usize>(i * ratio + r) << 2), start + r * chunk);
  }
  let n = 0;
  for (let i = 0; i < have * ratio; i++) {
    const start = load<i32>(candidates + (<usize>i << 2));
    if (start < searchable) store<i32>(candidates + (<usize>(n++) << 2), start);
  }
  return n;
}

// @ts-ignore: decorator
@inline
function put(scores: usize, i: i32, score: f32, merge: bool): void {
  const at = scores + (<usize>i << 2);
  // selectLargest would keep every NaN, more than there is room for.
  if (!(score > LOWEST)) score = LOWEST;
  store<f32>(at, merge ? max(load<f32>(at), score) : score);
}

/** Scores of chunks by their summaries: bounds, or deviations. */
function scoreSummaries(job: usize, s: usize, bh: i32, stage: usize, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool): void {
  const chunk = load<i32>(stage), deviations = load<i32>(stage + 16) == DEVIATION;
  const row = <usize>J.i(job, J.PADDED_DIM) << 3;
  const base = <usize>load<u32>(stage + 20) + <usize>(bh * load<i32>(stage + 24)) * row;
  for (let first = 0; first < n; first += S.BATCH_ROWS) {
    const count = min(S.BATCH_ROWS, n - first);
    for (let j = 0; j < count; j++) {
      const c = load<i32>(candidates + (<usize>(first + j) << 2)) / chunk;
      store<u32>(s + S.LIST + (<usize>j << 2), <u32>(base + <usize>c * row));
    }
    if (deviations) S.scoreDeviations(job, s, count, panels, row >> 1);
    else S.scoreList(s, count, panels, s + S.PRODUCTS);
    for (let j = 0; j < count; j++) put(scores, first + j, load<f32>(s + S.BEST + (<usize>j << 2)), merge);
  }
}

/** Largest score of a chunk's keys. @param held 0, or where all products go, [n·chunk][8·panels] */
function scoreExact(job: usize, s: usize, b: i32, kv: i32, chunk: i32, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool, held: usize): void {
  const stride = <usize>load<i32>(s + S.PANELS) << 5;
  const keys = J.i(job, J.KEYS), sink = J.i(job, J.SINK);
  const bytes = rowBytes(job);
  if (chunk > S.BATCH_ROWS) {
    // Chunks longer than a list: one after another, in parts.
    for (let i = 0; i < n; i++) {
      const start = sink + load<i32>(candidates + (<usize>i << 2));
      const end = min(start + chunk, keys);
      let best = LOWEST;
      for (let key = start; key < end; key += S.BATCH_ROWS) best = max(best, bestOfRun(job, s, b, kv, key, min(end, key + S.BATCH_ROWS), panels, bytes, held != 0 ? held + <usize>(i * chunk + key - start) * stride : s + S.PRODUCTS));
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
      S.listRun(job, s, b, kv, count, start, end, bytes);
      count += end - start;
    }
    S.scoreKeys(job, s, count, panels, held != 0 ? held + <usize>(first * chunk) * stride : s + S.PRODUCTS);
    let at = s + S.BEST;
    for (let i = first; i < last; i++) {
      const width = min(chunk, keys - sink - load<i32>(candidates + (<usize>i << 2)));
      let best = LOWEST;
      for (const end = at + (<usize>width << 2); at < end; at += 4) best = max(best, load<f32>(at));
      put(scores, i, best, merge);
    }
  }
}

function bestOfRun(job: usize, s: usize, b: i32, kv: i32, first: i32, end: i32, panels: usize, bytes: usize, products: usize): f32 {
  S.listRun(job, s, b, kv, 0, first, end, bytes);
  S.scoreKeys(job, s, end - first, panels, products);
  let best = LOWEST;
  for (let j = 0; j < end - first; j++) best = max(best, load<f32>(s + S.BEST + (<usize>j << 2)));
  return best;
}

/** Candidates whose binary searches run side by side: two keys of each fill a list. */
const PAIRS: i32 = 32;

/** Best key a local binary search meets: two reads a level, the better half survives. */
function scoreBinary(job: usize, s: usize, b: i32, kv: i32, chunk: i32, searchable: i32, panels: usize, candidates: usize, n: i32, scores: usize, merge: bool): void {
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
        if (size == 1 && level == 0) S.listKey(job, s, b, kv, listed++, first, bytes);
        if (size <= 1) continue;
        const left = size >> 1;
        S.listKey(job, s, b, kv, listed++, first + (left >> 1), bytes);
        S.listKey(job, s, b, kv, listed++, first + left + ((size - left) >> 1), bytes);
      }
      if (listed == 0) break;
      S.scoreKeys(job, s, listed, panels, s + S.PRODUCTS);
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
