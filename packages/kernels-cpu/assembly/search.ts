// Mask search: multi-stage pruning over packed panels, and the paper's tree search. One work item a (batch, mask head, query block).
import * as J from './job';
import { PANEL, tile4x8 } from './simd';

const NONE: f32 = -3.0e38;

// @ts-ignore: decorator
@inline
function before(scoreA: f32, indexA: i32, scoreB: f32, indexB: i32): bool {
  return scoreA > scoreB || (scoreA == scoreB && indexA < indexB);
}

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
 * Keeps the `keep` best of n candidates in their order: scores[i] belongs to candidate i, dead ones score NONE and are never kept.
 * `ids` is compacted in place (`second` too, when given). @returns how many were kept
 */
function selectLargest(scores: usize, n: i32, keep: i32, copy: usize, ids: usize, second: usize): i32 {
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

/**
 * Row vectors of a query block for one head: [groups padded to 4][d]; mean of each stride group, or its last row.
 * @returns number of groups
 */
function rowVectors(job: usize, to: usize, b: i32, h: i32, firstRow: i32, rows: i32, stride: i32, mean: bool): i32 {
  const d = J.i(job, J.HEAD_DIM), heads = J.i(job, J.HEADS), queries = J.i(job, J.QUERIES);
  const rowBytes = <usize>(heads * d) << 2;
  const from = J.p(job, J.Q) + (<usize>b * queries + firstRow) * rowBytes + (<usize>(h * d) << 2);
  const dBytes = <usize>d << 2;
  let groups = 0;
  for (let start = 0; start < rows; start += stride) {
    const end = min(start + stride, rows);
    const out = to + <usize>groups * dBytes;
    if (mean) {
      const factor: f32 = 1 / <f32>(end - start);
      for (let c: usize = 0; c < dBytes; c += 4) {
        let sum: f32 = 0;
        for (let r = start; r < end; r++) sum += load<f32>(from + <usize>r * rowBytes + c);
        store<f32>(out + c, sum * factor);
      }
    } else memory.copy(out, from + <usize>(end - 1) * rowBytes, dBytes);
    groups++;
  }
  const padded = (groups + 3) & ~3;
  // Padding repeats the last row: it cannot change a maximum.
  for (let g = groups; g < padded; g++) memory.copy(to + <usize>g * dBytes, to + <usize>(groups - 1) * dBytes, dBytes);
  return groups;
}

/** Splits row vectors into their positive and negative parts. */
function splitSigns(from: usize, positive: usize, negative: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const value = load<f32>(from + (<usize>i << 2));
    store<f32>(positive + (<usize>i << 2), max(value, 0));
    store<f32>(negative + (<usize>i << 2), min(value, 0));
  }
}

/** Column maxima of 4-row tiles: best[0…7] = max over rows. */
// @ts-ignore: decorator
@inline
function columnMax(tiles: usize, padded: i32, best: usize, merge: bool): void {
  let a = v128.load(tiles), b = v128.load(tiles, 16);
  for (let r: usize = 1; r < <usize>padded; r++) {
    a = f32x4.max(a, v128.load(tiles + (r << 5)));
    b = f32x4.max(b, v128.load(tiles + (r << 5), 16));
  }
  if (merge) { a = f32x4.max(a, v128.load(best)); b = f32x4.max(b, v128.load(best, 16)); }
  v128.store(best, a);
  v128.store(best, b, 16);
}

/** Scores one panel for one head: max over row groups of rows·panel, lanes 0…7 at `best`. */
// @ts-ignore: decorator
@inline
function scorePanel(rows: usize, padded: i32, d: i32, panel: usize, tiles: usize): void {
  const dBytes = <usize>d << 2;
  for (let r = 0; r < padded; r += 4) tile4x8(rows + <usize>r * dBytes, dBytes, panel, PANEL << 2, tiles + (<usize>r << 5), PANEL << 2, d, false);
}

// Scratch: row vectors [H][64][d] ×3 (all heads of a shared mask), tiles [64][8], candidate ids, scores, copy.
/** Multi-stage pruning (hip.md §3). The last stage's chunks are the mask's blocks. */
export function stagedSearch(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM);
  const causal = J.i(job, J.CAUSAL) != 0, shared = J.i(job, J.SHARE_HEADS) != 0;
  const blockQ = J.i(job, J.BLOCK_Q), blockK = J.i(job, J.BLOCK_K), sink = J.i(job, J.SINK), window = J.i(job, J.WINDOW), capacity = J.i(job, J.CAPACITY);
  const blocks = (queries + blockQ - 1) / blockQ;
  const maskHeads = shared ? 1 : heads;
  const group = heads / kvHeads;
  const stages = J.i(job, J.STAGE_COUNT);
  const panelCount = (keys + PANEL - 1) / PANEL;
  const panelBytes = <usize>(d * PANEL) << 2;
  const maxRows = (blockQ + 3) & ~3;
  const headRows = <usize>(maxRows * d) << 2;
  const headCount = shared ? heads : 1;
  const rowsAt = J.scratch(job, thread);
  const positiveAt = rowsAt + headRows * <usize>headCount;
  const negativeAt = positiveAt + headRows * <usize>headCount;
  const tiles = negativeAt + headRows * <usize>headCount;
  const best = tiles + (<usize>maxRows << 5) * 2;
  const candidates = best + 64;
  const maxCandidates = <usize>load<u32>(job + J.M);
  const scores = candidates + (maxCandidates << 2);
  const copy = scores + (maxCandidates << 2);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const maskHead = item % maskHeads;
    const block = blocks - 1 - (item / maskHeads) % blocks;
    const b = item / (maskHeads * blocks);
    const firstRow = block * blockQ;
    const rows = min(blockQ, queries - firstRow);
    const lastPosition = firstRow + rows - 1 + keys - queries;
    const visible = causal ? max(0, min(keys, lastPosition + 1)) : keys;
    const searchable = max(0, visible - window - sink);
    const cell = (b * maskHeads + maskHead) * blocks + block;
    const starts = J.p(job, J.STARTS) + (<usize>cell * capacity << 2);
    let n = 0;
    let chunkBefore = searchable;
    let have = searchable > 0 ? 1 : 0;
    store<i32>(candidates, 0);
    const small = (searchable + blockK - 1) / blockK <= capacity;
    if (small) {
      for (; n * blockK < searchable; n++) store<i32>(starts + (<usize>n << 2), sink + n * blockK);
      store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), n);
      continue;
    }
    for (let t = 0; t < stages; t++) {
      const stage = job + J.STAGE + <usize>t * J.STAGE_BYTES;
      const chunk = load<i32>(stage), keep = load<i32>(stage + 4) / load<i32>(stage);
      const stride = load<i32>(stage + 8);
      const mean = load<i32>(stage + 12) == 1;
      const kind = load<i32>(stage + 16);
      const envelope = <usize>load<u32>(stage + 20);
      // Expand the survivors into this stage's chunks (from the back, in place).
      const ratio = chunkBefore / chunk + (chunkBefore % chunk != 0 ? 1 : 0);
      for (let i = have - 1; i >= 0; i--) {
        const start = load<i32>(candidates + (<usize>i << 2));
        for (let r = ratio - 1; r >= 0; r--) store<i32>(candidates + (<usize>(i * ratio + r) << 2), start + r * chunk);
      }
      n = 0;
      for (let i = 0; i < have * ratio; i++) {
        const start = load<i32>(candidates + (<usize>i << 2));
        if (start < searchable) store<i32>(candidates + (<usize>(n++) << 2), start);
      }
      chunkBefore = chunk;
      have = n;
      if (n <= keep) continue;
      for (let hs = 0; hs < headCount; hs++) {
        const h = shared ? hs : maskHead;
        const to = rowsAt + <usize>hs * headRows;
        const groups = rowVectors(job, to, b, h, firstRow, rows, stride, mean);
        const padded = (groups + 3) & ~3;
        if (kind == 1) splitSigns(to, positiveAt + <usize>hs * headRows, negativeAt + <usize>hs * headRows, padded * d);
        const bh = b * kvHeads + h / group;
        const merge = hs > 0;
        if (kind == 1) scoreBounds(positiveAt + <usize>hs * headRows, negativeAt + <usize>hs * headRows, padded, d, envelope, bh, chunk, (max(0, keys - sink) + chunk - 1) / chunk, candidates, n, tiles, best, scores, merge);
        else scoreKeys(job, to, groups, padded, stride, firstRow, rows, bh, chunk, kind, candidates, n, searchable, tiles, best, scores, merge, panelCount, panelBytes);
      }
      have = selectLargest(scores, n, keep, copy, candidates, 0);
    }
    for (let i = 0; i < have; i++) store<i32>(starts + (<usize>i << 2), sink + load<i32>(candidates + (<usize>i << 2)));
    store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), have);
  }
}

/** Envelope scores of the candidates, a panel of 8 chunks at a time; candidates ascend, so each panel is scored once. */
function scoreBounds(positive: usize, negative: usize, padded: i32, d: i32, envelope: usize, bh: i32, chunk: i32, chunks: i32, candidates: usize, n: i32, tiles: usize, best: usize, scores: usize, merge: bool): void {
  const panels = (chunks + PANEL - 1) / PANEL;
  const half = <usize>(d * PANEL) << 2;
  const base = envelope + <usize>bh * <usize>panels * 2 * half;
  const dBytes = <usize>d << 2;
  let done = -1;
  for (let i = 0; i < n; i++) {
    const c = load<i32>(candidates + (<usize>i << 2)) / chunk;
    const panel = c / PANEL;
    if (panel != done) {
      const at = base + <usize>panel * 2 * half;
      for (let r = 0; r < padded; r += 4) {
        const tile = tiles + (<usize>r << 5);
        tile4x8(positive + <usize>r * dBytes, dBytes, at, PANEL << 2, tile, PANEL << 2, d, false);
        tile4x8(negative + <usize>r * dBytes, dBytes, at + half, PANEL << 2, tile, PANEL << 2, d, true);
      }
      columnMax(tiles, padded, best, false);
      done = panel;
    }
    const score = load<f32>(best + (<usize>(c % PANEL) << 2));
    const to = scores + (<usize>i << 2);
    store<f32>(to, merge ? max(load<f32>(to), score) : score);
  }
}

/** Exact or binary-search scores of the candidates from the packed keys. */
function scoreKeys(job: usize, vectors: usize, groups: i32, padded: i32, stride: i32, firstRow: i32, rows: i32, bh: i32, chunk: i32, kind: i32, candidates: usize, n: i32, searchable: i32, tiles: usize, best: usize, scores: usize, merge: bool, panelCount: i32, panelBytes: usize): void {
  const d = J.i(job, J.HEAD_DIM), keys = J.i(job, J.KEYS), sink = J.i(job, J.SINK), queries = J.i(job, J.QUERIES);
  const causal = J.i(job, J.CAUSAL) != 0;
  const base = J.p(job, J.KEY_PANELS) + <usize>bh * panelCount * panelBytes;
  const pos0 = firstRow + keys - queries;
  // Keys up to here are visible to every scored row.
  const safe = causal ? min(keys, pos0 + min(stride, rows)) : keys;
  for (let i = 0; i < n; i++) {
    const start = sink + load<i32>(candidates + (<usize>i << 2));
    let score = NONE;
    if (kind == 2) {
      const end = min(start + chunk, keys);
      for (let low = start & ~(PANEL - 1); low < end; low += PANEL) {
        scorePanel(vectors, padded, d, base + <usize>(low / PANEL) * panelBytes, tiles);
        if (low >= start && low + PANEL <= end && low + PANEL <= safe) {
          columnMax(tiles, padded, best, false);
          for (let j: usize = 0; j < <usize>PANEL; j++) score = max(score, load<f32>(best + (j << 2)));
        } else {
          for (let g = 0; g < groups; g++) {
            const top = causal ? min(end - 1, pos0 + min((g + 1) * stride, rows) - 1) : end - 1;
            for (let key = max(low, start); key <= top && key < low + PANEL; key++) score = max(score, load<f32>(tiles + (<usize>g << 5) + (<usize>(key - low) << 2)));
          }
        }
      }
    } else {
      let first = start;
      let size = min(chunk, searchable + sink - start);
      if (size == 1) score = keyScore(vectors, groups, d, base, panelBytes, first, causal, pos0, stride, rows, keys);
      while (size > 1) {
        const left = size / 2, right = size - left;
        const a = keyScore(vectors, groups, d, base, panelBytes, first + left / 2, causal, pos0, stride, rows, keys);
        const c = keyScore(vectors, groups, d, base, panelBytes, first + left + right / 2, causal, pos0, stride, rows, keys);
        score = max(score, max(a, c));
        if (c > a) { first += left; size = right; } else size = left;
      }
    }
    const to = scores + (<usize>i << 2);
    // A candidate no scored row sees stays a candidate, below every other.
    score = max(score, -2.9e38);
    store<f32>(to, merge ? max(load<f32>(to), score) : score);
  }
}

/** Best dot product of one key over the row groups that see it. */
function keyScore(vectors: usize, groups: i32, d: i32, base: usize, panelBytes: usize, key: i32, causal: bool, pos0: i32, stride: i32, rows: i32, keys: i32): f32 {
  let best = NONE;
  if (key >= keys) return best;
  const at = base + <usize>(key / PANEL) * panelBytes + (<usize>(key % PANEL) << 2);
  for (let g = 0; g < groups; g++) {
    if (causal && key > pos0 + min((g + 1) * stride, rows) - 1) continue;
    const row = vectors + (<usize>(g * d) << 2);
    let sum: f32 = 0;
    for (let c: usize = 0; c < <usize>d; c++) sum += load<f32>(row + (c << 2)) * load<f32>(at + (c << 5));
    best = max(best, sum);
  }
  return best;
}

/**
 * The paper's tree search (hip.md §2). Candidates are (first, size) halves; representatives' keys are gathered 8 at a time.
 * REPRESENTATIVE: 0 centre, 1 first, 2 last. Other representatives run on the reference.
 */
export function treeSearch(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM);
  const causal = J.i(job, J.CAUSAL) != 0, shared = J.i(job, J.SHARE_HEADS) != 0;
  const blockQ = J.i(job, J.BLOCK_Q), blockK = J.i(job, J.BLOCK_K), sink = J.i(job, J.SINK), window = J.i(job, J.WINDOW), capacity = J.i(job, J.CAPACITY);
  const strideQ = J.i(job, J.STRIDE_Q), strideK = J.i(job, J.STRIDE_K), representative = J.i(job, J.REPRESENTATIVE);
  const blocks = (queries + blockQ - 1) / blockQ;
  const maskHeads = shared ? 1 : heads;
  const group = heads / kvHeads;
  const panelCount = (keys + PANEL - 1) / PANEL;
  const dBytes = <usize>d << 2;
  const panelBytes = dBytes * PANEL;
  const maxRows = (blockQ + 3) & ~3;
  const headRows = <usize>(maxRows * d) << 2;
  const headCount = shared ? heads : 1;
  const keyRows = <usize>(kvHeads * d) << 2;
  const vectors = J.scratch(job, thread);
  const tiles = vectors + headRows * <usize>headCount;
  const best = tiles + (<usize>maxRows << 5);
  const panel = best + 64;
  const firsts = panel + panelBytes;
  const limit = <usize>(2 * capacity);
  const sizes = firsts + (limit << 2);
  const scores = sizes + (limit << 2);
  const copy = scores + (limit << 2);
  const owners = copy + (limit << 2);
  const positions = owners + 64;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const maskHead = item % maskHeads;
    const block = blocks - 1 - (item / maskHeads) % blocks;
    const b = item / (maskHeads * blocks);
    const firstRow = block * blockQ;
    const rows = min(blockQ, queries - firstRow);
    const pos0 = firstRow + keys - queries;
    const visible = causal ? max(0, min(keys, pos0 + rows)) : keys;
    const searchable = max(0, visible - window - sink);
    const total = (searchable + blockK - 1) / blockK;
    const cell = (b * maskHeads + maskHead) * blocks + block;
    const starts = J.p(job, J.STARTS) + (<usize>cell * capacity << 2);
    if (total <= capacity) {
      for (let n = 0; n < total; n++) store<i32>(starts + (<usize>n << 2), sink + n * blockK);
      store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), total);
      continue;
    }
    let groups = 0;
    for (let hs = 0; hs < headCount; hs++) groups = rowVectors(job, vectors + <usize>hs * headRows, b, shared ? hs : maskHead, firstRow, rows, strideQ, false);
    const padded = (groups + 3) & ~3;
    const safe = causal ? min(keys, pos0 + min(strideQ, rows)) : keys;
    let alive = false;
    for (let j = 0; j < capacity; j++) {
      const from = <i32>(<i64>j * total / capacity), to = <i32>(<i64>(j + 1) * total / capacity);
      store<i32>(firsts + (<usize>j << 2), from);
      store<i32>(sizes + (<usize>j << 2), to - from);
      if (to - from > 1) alive = true;
    }
    while (alive) {
      for (let j = capacity - 1; j >= 0; j--) {
        const first = load<i32>(firsts + (<usize>j << 2)), size = load<i32>(sizes + (<usize>j << 2));
        const left = size / 2;
        store<i32>(firsts + (<usize>(2 * j) << 2), first);
        store<i32>(sizes + (<usize>(2 * j) << 2), left);
        store<i32>(firsts + (<usize>(2 * j + 1) << 2), first + left);
        store<i32>(sizes + (<usize>(2 * j + 1) << 2), size - left);
      }
      const n = 2 * capacity;
      for (let i = 0; i < n; i++) store<f32>(scores + (<usize>i << 2), load<i32>(sizes + (<usize>i << 2)) > 0 ? -2.9e38 : NONE);
      for (let hs = 0; hs < headCount; hs++) {
        const h = shared ? hs : maskHead;
        const source = J.p(job, J.K) + <usize>b * <usize>keys * keyRows + (<usize>((h / group) * d) << 2);
        const rowsAt = vectors + <usize>hs * headRows;
        let lane = 0;
        for (let i = 0; i <= n; i++) {
          const size = i < n ? load<i32>(sizes + (<usize>i << 2)) : 0;
          if (i < n && size == 0) continue;
          const first = i < n ? load<i32>(firsts + (<usize>i << 2)) : 0;
          const stand = representative == 0 ? first + size / 2 : representative == 1 ? first : first + size - 1;
          for (let offset = 0; offset < blockK; offset += strideK) {
            const key = sink + stand * blockK + offset;
            if (i < n && key >= keys) break;
            if (i < n) {
              const from = source + <usize>key * keyRows;
              const to = panel + (<usize>lane << 2);
              for (let c: usize = 0; c < <usize>d; c++) store<f32>(to + (c << 5), load<f32>(from + (c << 2)));
              store<i32>(owners + (<usize>lane << 2), i);
              store<i32>(positions + (<usize>lane << 2), key);
              lane++;
            }
            if (lane == PANEL || (i == n && lane > 0)) {
              scorePanel(rowsAt, padded, d, panel, tiles);
              columnMax(tiles, padded, best, false);
              for (let j = 0; j < lane; j++) {
                let score = load<f32>(best + (<usize>j << 2));
                const at = load<i32>(positions + (<usize>j << 2));
                if (at >= safe) {
                  score = -2.9e38;
                  for (let g = 0; g < groups; g++) if (!causal || at <= pos0 + min((g + 1) * strideQ, rows) - 1) score = max(score, load<f32>(tiles + (<usize>g << 5) + (<usize>j << 2)));
                }
                const to = scores + (<usize>load<i32>(owners + (<usize>j << 2)) << 2);
                store<f32>(to, max(load<f32>(to), score));
              }
              lane = 0;
            }
            if (i == n) break;
          }
        }
      }
      selectLargest(scores, n, capacity, copy, firsts, sizes);
      alive = false;
      for (let j = 0; j < capacity; j++) if (load<i32>(sizes + (<usize>j << 2)) > 1) { alive = true; break; }
    }
    // Survivors ascend already: halves keep their order.
    for (let j = 0; j < capacity; j++) store<i32>(starts + (<usize>j << 2), sink + load<i32>(firsts + (<usize>j << 2)) * blockK);
    store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), capacity);
  }
}
