// Dense flash attention.
import * as C from './context';
import { FAR } from './context';
import * as J from '../job';
import { listKeys } from './list';
import { flush } from './step';

/** Work item: (batch, head, row tile counted from the last, split). Tiles late in the sequence are longest, so they go first. */
export function denseAttention(job: usize, thread: i32): void {
  const queries = J.i(job, J.QUERIES), keys = J.i(job, J.KEYS), heads = J.i(job, J.HEADS), splits = J.i(job, J.SPLITS);
  const causal = J.i(job, J.CAUSAL) != 0;
  const tiles = (queries + C.ROWS - 1) / C.ROWS;
  const s = J.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const split = item % splits;
    const cell = item / splits;
    const tile = tiles - 1 - cell % tiles;
    const h = (cell / tiles) % heads;
    const b = cell / (tiles * heads);
    const firstRow = tile * C.ROWS;
    const rows = min(C.ROWS, queries - firstRow);
    let again = false;
    do {
      C.begin(job, s, b, h, firstRow, rows, again);
      store<i32>(s + C.SPLIT, split);
      const visible = causal ? min(keys, max(0, load<i32>(s + C.POSITION) + rows)) : keys;
      listKeys(job, s, 0, visible, causal ? 0 : -FAR, FAR);
      flush(job, s);
      again = splits > 1 ? C.keepPartial(job, s, item) : C.finish(job, s, b, h, firstRow);
    } while (again);
  }
}
