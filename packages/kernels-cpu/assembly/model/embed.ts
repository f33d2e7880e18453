// Rows of a stored matrix, looked up by number.
import * as J from '../job';
import { decodeRow } from './decode';
import * as M from './job';
import { groupAt, unpackRow } from './pack';

/** OUT[r] = row IDS[r] of the first target, times FACTOR. Work item: a row. */
export function embed(job: usize, thread: i32): void {
  const width = J.i(job, M.WIDTH), factor = J.f(job, M.FACTOR);
  const target = job + M.TARGET;
  const type = J.i(target, M.TYPE), bytes = J.p(target, M.ROW_BYTES);
  const raw = M.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const row = load<i32>(J.p(job, M.IDS) + (<usize>item << 2));
    const to = J.p(job, M.OUT) + ((<usize>item * <usize>width) << 2);
    unpackRow(type, groupAt(target, row), row & 7, raw, bytes);
    decodeRow(type, raw, to, width);
    if (factor != 1) for (let c: usize = 0; c < <usize>width << 2; c += 4) store<f32>(to + c, load<f32>(to + c) * factor);
  }
}
