// The remainder (docs/specification/hip.md §8.3): which blocks stand for the keys that a mask leaves out, as pseudo-keys in a tile's list.
import * as C from './context';
import { FAR } from './context';
import * as J from '../job';
import { meanIndex, meanBytes } from '../cache/means';
import { flush } from './step';

/** Start of the window of a query block's first row: below it are the keys that pseudo-keys may stand for. */
export function firstWindowStart(job: usize, block: i32): i32 {
  const keys = J.i(job, J.KEYS), position = J.i(job, J.POSITION) + block * J.i(job, J.BLOCK_Q);
  const visible = J.i(job, J.CAUSAL) ? max(0, min(keys, position + 1)) : keys;
  return max(0, visible - J.i(job, J.WINDOW));
}

/** Level of the whole blocks below a window: MEANS_BLOCK·2^level keys each, so that at most MEANS_MOST fit. */
// @ts-ignore: decorator
@inline
function wholeLevel(job: usize, keys: i32): i32 {
  const block = J.i(job, J.MEANS_BLOCK), most = J.i(job, J.MEANS_MOST);
  let level = 0;
  while (keys / block >> level > most) level++;
  return level;
}

/** One past the last block's last key: all base blocks below the window. */
export function remainderEnd(job: usize, windowStart: i32): i32 {
  const sink = J.i(job, J.SINK), block = J.i(job, J.MEANS_BLOCK);
  return sink + max(0, windowStart - sink) / block * block;
}

/**
 * Lists a pseudo-key for every block of which the mask lacks some keys, and works the list off.
 *
 * @param starts of the mask's blocks, ascending, `used` of them
 */
export function listPseudoKeys(job: usize, s: usize, windowStart: i32, starts: usize, used: i32): void {
  flush(job, s);
  store<i32>(s + C.PSEUDO, 1);
  const sink = J.i(job, J.SINK), block = J.i(job, J.MEANS_BLOCK), blockK = J.i(job, J.BLOCK_K);
  const end = remainderEnd(job, windowStart), whole = wholeLevel(job, end - sink);
  const bh = load<i32>(s + C.BATCH_INDEX) * J.i(job, J.KV_HEADS) + load<i32>(s + C.KV_HEAD);
  const bytes = meanBytes(job);
  let start = sink, level = whole, slot = 0;
  while (start < end) {
    // Whole blocks while they fit, then ever smaller ones.
    while (block << level > end - start) level--;
    const size = block << level;
    let left = size;
    while (slot < used && load<i32>(starts + (<usize>slot << 2)) + blockK <= start) slot++;
    for (let i = slot; i < used && load<i32>(starts + (<usize>i << 2)) < start + size; i++) {
      const from = load<i32>(starts + (<usize>i << 2));
      left -= min(from + blockK, start + size) - max(from, start);
    }
    if (left > 0) {
      const index = meanIndex(job, bh, level, (start - sink) / size);
      const count = load<i32>(s + C.COUNT), key = J.p(job, J.MEANS) + <usize>index * bytes;
      const at = s + (<usize>count << 2);
      store<u32>(at + C.KEY_LIST, <u32>key);
      store<u32>(at + C.VALUE_LIST, <u32>(key + (bytes >> 1)));
      store<i32>(at + C.FROM, -FAR);
      store<i32>(at + C.TO, FAR);
      store<i32>(at + C.KEY_INDEX, index);
      store<f32>(at + C.BIAS, <f32>Math.log2(left));
      store<i32>(s + C.COUNT, count + 1);
      if (count + 1 == C.GROUP) flush(job, s);
    }
    start += size;
  }
  flush(job, s);
  store<i32>(s + C.PSEUDO, 0);
}
