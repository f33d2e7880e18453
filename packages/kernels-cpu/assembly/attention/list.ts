// Listing the keys of a step: addresses, and the rows that see each. Full lists are worked off.
import * as C from './context';
import * as J from '../job';
import { keyAddress, rowBytes, valueOffset, PAGE } from '../cache/pages';
import { flush } from './step';

/**
 * Lists keys [first, end). Key j is visible to rows r with (position of r) − j in [low, high]. Full lists are worked off.
 */
export function listKeys(job: usize, s: usize, first: i32, end: i32, low: i32, high: i32): void {
  const b = load<i32>(s + C.BATCH_INDEX), h = load<i32>(s + C.KV_HEAD), position = load<i32>(s + C.POSITION), lastRow = load<i32>(s + C.ROW_COUNT) - 1;
  const bytes = rowBytes(job), offset = valueOffset(job, bytes);
  let count = load<i32>(s + C.COUNT);
  let key = first;
  while (key < end) {
    let at = keyAddress(job, b, h, key, bytes);
    const stop = min(end, min((key & ~(PAGE - 1)) + PAGE, key + C.GROUP - count));
    let hidden = 0;
    for (; key < stop; key++) {
      const slot = s + (<usize>count << 2);
      store<u32>(slot + C.KEY_LIST, <u32>at);
      store<u32>(slot + C.VALUE_LIST, <u32>(at + offset));
      const from = key - position + low, to = key - position + high;
      store<i32>(slot + C.FROM, from);
      store<i32>(slot + C.TO, to);
      store<i32>(slot + C.KEY_INDEX, key);
      hidden |= i32(from > 0) | i32(to < lastRow);
      at += bytes;
      count++;
    }
    if (hidden) store<i32>(s + C.HIDDEN, 1);
    store<i32>(s + C.COUNT, count);
    if (count == C.GROUP) {
      flush(job, s);
      count = 0;
    }
  }
}

/**
 * Lists the keys of a mask's blocks that lie in [from, to); key j is visible to rows r with (position of r) − j >= low.
 *
 * @param starts i32, `used` of them
 */
export function listBlocks(job: usize, s: usize, starts: usize, used: i32, from: i32, to: i32, low: i32): void {
  const b = load<i32>(s + C.BATCH_INDEX), h = load<i32>(s + C.KV_HEAD), offset = low - load<i32>(s + C.POSITION), blockK = J.i(job, J.BLOCK_K);
  const bytes = rowBytes(job), values = valueOffset(job, bytes);
  let count = load<i32>(s + C.COUNT), hidden = load<i32>(s + C.HIDDEN);
  for (const last = starts + (<usize>used << 2); starts < last; starts += 4) {
    const start = load<i32>(starts), end = min(start + blockK, to);
    for (let key = max(start, from); key < end; ) {
      let at = keyAddress(job, b, h, key, bytes);
      for (const stop = min(end, (key & ~(PAGE - 1)) + PAGE); key < stop; key++) {
        const slot = s + (<usize>count << 2), first = key + offset;
        store<u32>(slot + C.KEY_LIST, <u32>at);
        store<u32>(slot + C.VALUE_LIST, <u32>(at + values));
        store<i32>(slot + C.FROM, first);
        store<i32>(slot + C.TO, C.FAR);
        store<i32>(slot + C.KEY_INDEX, key);
        hidden |= i32(first > 0);
        at += bytes;
        if (++count < C.GROUP) continue;
        store<i32>(s + C.HIDDEN, hidden);
        store<i32>(s + C.COUNT, count);
        flush(job, s);
        count = hidden = 0;
      }
    }
  }
  store<i32>(s + C.HIDDEN, hidden);
  store<i32>(s + C.COUNT, count);
}
