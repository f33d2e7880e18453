// Block-sparse flash attention: three disjoint key sets (window, sinks, selected blocks), each key once, and pseudo-keys for the rest.
import * as C from './context';
import { FAR } from './context';
import * as J from '../job';
import { firstWindowStart, listPseudoKeys, remainderEnd } from './remainder';
import { listBlocks, listKeys } from './list';
import { flush } from './step';

/** Work item: (batch, head, query block counted from the last, row tile, split). */
export function sparseAttention(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), heads = J.i(job, J.HEADS), splits = J.i(job, J.SPLITS), blockQ = J.i(job, J.BLOCK_Q);
  const blocks = (queries + blockQ - 1) / blockQ;
  const tiles = (blockQ + C.ROWS - 1) / C.ROWS;
  const s = J.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const split = item % splits;
    let cell = item / splits;
    const tile = cell % tiles;
    cell /= tiles;
    const block = blocks - 1 - cell % blocks;
    const h = (cell / blocks) % heads;
    const b = cell / (blocks * heads);
    const firstRow = block * blockQ + tile * C.ROWS;
    const rows = min(C.ROWS, min(queries, (block + 1) * blockQ) - firstRow);
    if (rows <= 0) continue;
    let again = false;
    do {
      C.begin(job, s, b, h, firstRow, rows, again);
      store<i32>(s + C.SPLIT, split);
      listSets(job, s, b, h, block, rows);
      flush(job, s);
      again = splits > 1 ? C.keepPartial(job, s, item) : C.finish(job, s, b, h, firstRow);
    } while (again);
  }
}

/** Lists the keys of a tile of `rows` rows in query block `block`. */
export function listSets(job: usize, s: usize, b: i32, h: i32, block: i32, rows: i32): void {
  const keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), causal = J.i(job, J.CAUSAL) != 0;
  const sink = J.i(job, J.SINK), window = J.i(job, J.WINDOW), capacity = J.i(job, J.CAPACITY);
  const blocks = (J.i(job, J.QUERIES) + J.i(job, J.BLOCK_Q) - 1) / J.i(job, J.BLOCK_Q);
  const position = load<i32>(s + C.POSITION);
  const remainder = J.i(job, J.MEANS_BLOCK) != 0, firstStart = remainder ? firstWindowStart(job, block) : 0;
  // Keys any row has in its window start here; keys before `before` lie outside the window of some row.
  let windowFirst = max(0, (causal ? position + 1 : keys) - window);
  let before = causal ? min(keys, max(0, position + rows - window)) : windowFirst;
  let high = causal ? window - 1 : FAR;
  if (remainder && J.i(job, J.MEANS_EXACT)) {
    // Every row attends to all keys from the remainder's end on.
    windowFirst = before = min(windowFirst, remainderEnd(job, firstStart));
    high = FAR;
  }
  const visible = causal ? min(keys, max(0, position + rows)) : keys;
  listKeys(job, s, windowFirst, visible, causal ? 0 : -FAR, high);
  const low = causal ? window : -FAR;
  listKeys(job, s, 0, min(sink, before), low, FAR);
  const shared = J.i(job, J.SHARE_HEADS) != 0;
  const slot = (b * (shared ? 1 : heads) + (shared ? 0 : h)) * blocks + block;
  const used = load<i32>(J.p(job, J.COUNTS) + (<usize>slot << 2));
  const starts = J.p(job, J.STARTS) + ((<usize>slot * capacity) << 2);
  listBlocks(job, s, starts, used, sink, before, low);
  if (remainder) listPseudoKeys(job, s, firstStart, starts, used);
}
