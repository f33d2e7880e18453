// The paper's tree search (docs/specification/hip.md §2): halve every node, keep the best halves by their representatives, until nodes are single blocks.
import * as J from '../job';
import { rowBytes } from '../cache/pages';
import { sampleRows } from './rows';
import { listKey, scoreKeys } from './score';
import * as S from './scratch';
import { keepOf, LOWEST, NONE, selectLargest } from './select';

/**
 * Work item: (batch, mask head, query block counted from the last). REPRESENTATIVE: 0 centre, 1 first, 2 last; the others run on
 * the reference.
 */
export function treeSearch(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), kvHeads = J.i(job, J.KV_HEADS);
  const causal = J.i(job, J.CAUSAL) != 0, shared = J.i(job, J.SHARE_HEADS) != 0;
  const blockQ = J.i(job, J.BLOCK_Q), blockK = J.i(job, J.BLOCK_K), sink = J.i(job, J.SINK), capacity = J.i(job, J.CAPACITY);
  const blocks = (queries + blockQ - 1) / blockQ;
  const maskHeads = shared ? 1 : heads;
  const s = J.scratch(job, thread);
  const panels = S.panelsAt(job, s), panelBytes = S.panelBytes(job);
  const firsts = panels + panelBytes * <usize>(shared ? heads : 1);
  const listBytes = <usize>J.i(job, J.MAX_CANDIDATES) << 2;
  const sizes = firsts + listBytes, scores = sizes + listBytes, copy = scores + listBytes, owners = copy + listBytes;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const block = blocks - 1 - item % blocks;
    const maskHead = (item / blocks) % maskHeads;
    const b = item / (blocks * maskHeads);
    const firstRow = block * blockQ;
    const rows = min(blockQ, queries - firstRow);
    const visible = causal ? max(0, min(keys, J.i(job, J.POSITION) + firstRow + rows)) : keys;
    const total = (max(0, visible - J.i(job, J.WINDOW) - sink) + blockK - 1) / blockK;
    const keep = keepOf(job, maskHead);
    const cell = (b * maskHeads + maskHead) * blocks + block;
    const starts = J.p(job, J.STARTS) + (<usize>(cell * capacity) << 2);
    store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), min(total, keep));
    if (total <= keep) {
      for (let n = 0; n < total; n++) store<i32>(starts + (<usize>n << 2), sink + n * blockK);
      continue;
    }
    const firstHead = shared ? 0 : maskHead, endHead = shared ? heads : maskHead + 1;
    for (let h = firstHead; h < endHead; h++) sampleRows(job, s, b, h, firstRow, rows, J.i(job, J.STRIDE_Q), false, S.PLAIN, panels + <usize>(h - firstHead) * panelBytes);
    let alive = false;
    for (let j = 0; j < keep; j++) {
      const from = <i32>(<i64>j * total / keep), to = <i32>(<i64>(j + 1) * total / keep);
      store<i32>(firsts + (<usize>j << 2), from);
      store<i32>(sizes + (<usize>j << 2), to - from);
      if (to - from > 1) alive = true;
    }
    while (alive) {
      split(firsts, sizes, scores, keep);
      for (let h = firstHead; h < endHead; h++) scoreHalves(job, s, b, h / (heads / kvHeads), firsts, sizes, scores, owners, 2 * keep, panels + <usize>(h - firstHead) * panelBytes);
      selectLargest(scores, 2 * keep, keep, copy, firsts, sizes);
      alive = false;
      for (let j = 0; j < keep; j++) if (load<i32>(sizes + (<usize>j << 2)) > 1) { alive = true; break; }
    }
    // Survivors ascend already: halves keep their order.
    for (let j: usize = 0; j < <usize>keep << 2; j += 4) store<i32>(starts + j, sink + load<i32>(firsts + j) * blockK);
  }
}

/** Nodes → halves, in place from the back: left gets floor(size / 2); an empty half is dead. */
function split(firsts: usize, sizes: usize, scores: usize, count: i32): void {
  for (let j = count - 1; j >= 0; j--) {
    const first = load<i32>(firsts + (<usize>j << 2)), size = load<i32>(sizes + (<usize>j << 2));
    const left = size >> 1;
    const to = <usize>j << 3;
    store<i32>(firsts + to, first);
    store<i32>(sizes + to, left);
    store<f32>(scores + to, left > 0 ? LOWEST : NONE);
    store<i32>(firsts + to, first + left, 4);
    store<i32>(sizes + to, size - left, 4);
    store<f32>(scores + to, LOWEST, 4);
  }
}

/** Raises each half's score to the best of its representative's sampled keys. */
function scoreHalves(job: usize, s: usize, b: i32, kv: i32, firsts: usize, sizes: usize, scores: usize, owners: usize, n: i32, panels: usize): void {
  const keys = J.i(job, J.KEYS), sink = J.i(job, J.SINK), blockK = J.i(job, J.BLOCK_K), strideK = J.i(job, J.STRIDE_K), representative = J.i(job, J.REPRESENTATIVE);
  const bytes = rowBytes(job);
  let count = 0;
  for (let i = 0; i < n; i++) {
    const size = load<i32>(sizes + (<usize>i << 2));
    if (size == 0) continue;
    const first = load<i32>(firsts + (<usize>i << 2));
    const block = representative == 0 ? first + (size >> 1) : representative == 1 ? first : first + size - 1;
    const start = sink + block * blockK;
    for (let key = start; key < min(start + blockK, keys); key += strideK) {
      listKey(job, s, b, kv, count, key, bytes);
      store<i32>(owners + (<usize>count << 2), i);
      if (++count == S.BATCH_ROWS) {
        raise(job, s, count, panels, scores, owners);
        count = 0;
      }
    }
  }
  if (count > 0) raise(job, s, count, panels, scores, owners);
}

function raise(job: usize, s: usize, count: i32, panels: usize, scores: usize, owners: usize): void {
  scoreKeys(job, s, count, panels, s + S.PRODUCTS);
  for (let j: usize = 0; j < <usize>count << 2; j += 4) {
    const to = scores + (<usize>load<i32>(owners + j) << 2);
    const score = load<f32>(s + S.BEST + j);
    // Not `max`: NaN must not pass.
    if (score > load<f32>(to)) store<f32>(to, score);
  }
}
