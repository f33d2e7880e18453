// Multi-stage pruning (docs/specification/hip.md §3). The last stage's chunks are the mask's blocks.
import { compactDepth, groupBytes } from '../cache/compact';
import * as J from '../job';
import { stepsOf } from '../numbers/integer';
import { scoreBinary } from './binary';
import { compactVote } from './compact-vote';
import { scoreCompact, scoreExact } from './exact';
import { sampleIntegers, sampleRows } from './rows';
import { scoreDeviations, scoreList } from './score';
import * as S from './scratch';
import { keepOf, put, selectLargest } from './select';
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
    const most = keepOf(job, maskHead);
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
    const firstHead = shared ? 0 : maskHead, endHead = shared ? heads : maskHead + 1;
    for (let t = from; t < stages; t++) {
      const stage = job + J.STAGE + <usize>t * J.STAGE_BYTES;
      const chunk = load<i32>(stage), last = t == stages - 1, keep = last ? most : load<i32>(stage + 4) / chunk;
      have = expand(candidates, have, before, chunk, searchable);
      const had = before;
      before = chunk;
      if (have <= keep) {
        if (outputs != 0 && !last) keepOutput(outputs, stage, candidates, have);
        continue;
      }
      const kind = load<i32>(stage + 16), narrow = load<i32>(stage + 28) == 1;
      const form = kind == BOUND ? S.SIGNS : kind == DEVIATION ? S.SQUARES : narrow ? S.SLOW_HALF : S.PLAIN;
      const strideQ = kind == MASS ? 1 : load<i32>(stage + 8), mean = load<i32>(stage + 12) == 1;
      for (let h = firstHead; h < endHead; h++) {
        const kv = h / (heads / kvHeads), merge = shared && h > 0;
        if (kind == MASS) ballot(votes, b, kv, panels, candidates, have, had, chunk, searchable, slots, scores, merge);
        const groups = kind == EXACT || kind == MASS ? compactGroups(job, stage, b * kvHeads + kv) : 0;
        if (groups != 0 && sampleIntegers(job, s, b, h, firstRow, rows, strideQ, mean, narrow, panels)) {
          if (kind == EXACT) {
            scoreCompact(job, s, b, kv, groups, chunk, panels, candidates, have, scores, merge);
            continue;
          }
          if (compactVote(job, s, votes, groups)) continue;
        }
        sampleRows(job, s, b, h, firstRow, rows, strideQ, mean, form, panels);
        if (kind == BOUND || kind == DEVIATION) scoreSummaries(job, s, b * kvHeads + kv, stage, panels, candidates, have, scores, merge);
        else if (kind == EXACT) scoreExact(job, s, b, kv, chunk, panels, candidates, have, scores, merge);
        else if (kind == MASS) V.vote(job, s, votes);
        else scoreBinary(job, s, b, kv, chunk, searchable, panels, candidates, have, scores, merge);
      }
      have = selectLargest(scores, have, keep, copy, candidates, 0);
      if (outputs != 0 && !last) keepOutput(outputs, stage, candidates, have);
    }
    for (let i: usize = 0; i < <usize>have << 2; i += 4) store<i32>(starts + i, sink + load<i32>(candidates + i));
    store<i32>(J.p(job, J.COUNTS) + (<usize>cell << 2), have);
  }
}

/** Compact keys of a head for a stage; 0 where there are none. */
function compactGroups(job: usize, stage: usize, bh: i32): usize {
  const table = <usize>load<u32>(stage + 20);
  if (table == 0) return 0;
  return table + <usize>(bh * load<i32>(stage + 24)) * groupBytes(stepsOf(compactDepth(job, load<i32>(stage + 28) == 1)));
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
    if (deviations) scoreDeviations(job, s, count, panels, row >> 1);
    else scoreList(s, count, panels, s + S.PRODUCTS);
    for (let j = 0; j < count; j++) put(scores, first + j, load<f32>(s + S.BEST + (<usize>j << 2)), merge);
  }
}

