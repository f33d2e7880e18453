// Summaries of chunks: moments (moments.ts), and envelopes: elementwise largest and smallest key of each chunk, as rows [Hkv of B][chunks][max d, min d]: two halves of one row, so
// that a bound is one product with the queries' positive and negative parts. They are finite: NaN is passed over, ±∞ becomes the
// largest float, since such a product multiplies by 0.
import { decodeHalves } from '../numbers/half';
import * as J from '../job';
import { moments } from './moments';
import { largest, smallest } from '../numbers/non-finite';
import { keyAddress, PAGE, rowBytes } from './pages';

/**
 * Computes chunks [FIRST_CHUNK, …] of stage ENVELOPE_STAGE from the pages; chunk c covers keys from SINK + c·chunk, those there are.
 * Work item: (batch, kv head, chunk).
 */
export function envelopes(job: usize, thread: i32): void {
  const keys = J.i(job, J.KEYS), kvHeads = J.i(job, J.KV_HEADS), padded = J.i(job, J.PADDED_DIM), sink = J.i(job, J.SINK);
  const stage = job + J.STAGE + <usize>J.i(job, J.ENVELOPE_STAGE) * J.STAGE_BYTES;
  const chunk = load<i32>(stage), room = load<i32>(stage + 24), deviations = load<i32>(stage + 16) == 3;
  const out = <usize>load<u32>(stage + 20);
  const firstChunk = J.i(job, J.FIRST_CHUNK);
  const count = max(0, (keys - sink + chunk - 1) / chunk) - firstChunk;
  const bytes = rowBytes(job), width = <usize>padded << 2;
  const half = J.i(job, J.HALF) != 0, special = J.i(job, J.SPECIAL) != 0;
  const line = J.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const bh = item / count, index = firstChunk + item % count;
    const start = sink + index * chunk;
    const end = min(start + chunk, keys);
    const to = out + <usize>(bh * room + index) * 2 * width;
    if (deviations) {
      moments(job, to, bh / kvHeads, bh % kvHeads, start, end, chunk, bytes, line);
      continue;
    }
    for (let c: usize = 0; c < width; c += 16) {
      v128.store(to + c, smallest());
      v128.store(to + width + c, largest());
    }
    for (let key = start; key < end; ) {
      let from = keyAddress(job, bh / kvHeads, bh % kvHeads, key, bytes);
      let run = min(end, (key & ~(PAGE - 1)) + PAGE) - key;
      if (half) {
        decodeHalves(from, line, padded, special);
        from = line;
        run = 1;
      }
      widen(to, width, from, run);
      key += run;
    }
  }
}

/** Takes `run` keys that follow one another into an envelope. */
function widen(to: usize, width: usize, from: usize, run: i32): void {
  const top = largest(), bottom = smallest();
  for (let c: usize = 0; c < width; c += 16) {
    let high = v128.load(to + c), low = v128.load(to + width + c);
    for (let at = from + c; at < from + <usize>run * width; at += width) {
      const value = f32x4.pmax(f32x4.pmin(v128.load(at), top), bottom);
      high = f32x4.pmax(high, value);
      low = f32x4.pmin(low, value);
    }
    v128.store(to + c, high);
    v128.store(to + width + c, low);
  }
}
