// The key-value pages: PAGE tokens each, [keys, values][Hkv][PAGE][d padded to 8], float32 or float16; and appending to them.
import { encodeHalves } from '../numbers/half';
import * as J from '../job';
import { allFinite, largerSize, plainNaN, sizeMask } from '../numbers/non-finite';

/** Tokens of a page. */
export const PAGE: i32 = 256;
const SHIFT: i32 = 8;

/** Bytes of one key or value. */
// @ts-ignore: decorator
@inline
export function rowBytes(job: usize): usize {
  return <usize>J.i(job, J.PADDED_DIM) << (J.i(job, J.HALF) ? 1 : 2);
}

/** Address of a key of (batch b, kv head h); its value lies `valueOffset` further. Keys up to the end of a page follow one another. */
// @ts-ignore: decorator
@inline
export function keyAddress(job: usize, b: i32, h: i32, key: i32, bytes: usize): usize {
  const page = <usize>load<u32>(J.p(job, J.PAGES) + (<usize>(b * J.i(job, J.PAGES_PER_BATCH) + (key >> SHIFT)) << 2));
  return page + <usize>((h << SHIFT) + (key & (PAGE - 1))) * bytes;
}

// @ts-ignore: decorator
@inline
export function valueOffset(job: usize, bytes: usize): usize {
  return <usize>(J.i(job, J.KV_HEADS) << SHIFT) * bytes;
}

/** Tokens of a work item of `append`. */
const RUN: i32 = 64;

/** Copies raw keys and values of one batch entry into its pages, padding rows with zeros. Work item: RUN tokens. */
export function append(job: usize, thread: i32): void {
  const kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM);
  const first = J.i(job, J.FIRST_TOKEN), tokens = J.i(job, J.TOKENS);
  const half = J.i(job, J.HALF) != 0;
  const bytes = rowBytes(job), offset = valueOffset(job, bytes), dBytes = <usize>d << 2;
  const line = J.scratch(job, thread);
  memory.fill(line, 0, <usize>padded << 2);
  let special = false;
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const last = min(tokens, (item + 1) * RUN);
    for (let token = item * RUN; token < last; token++) {
      let from = <usize>(token * kvHeads) * dBytes;
      for (let h = 0; h < kvHeads; h++) {
        const to = keyAddress(job, 0, h, first + token, bytes);
        special = put(J.p(job, J.RAW_KEYS) + from, to, d, padded, half, line) || special;
        special = put(J.p(job, J.RAW_VALUES) + from, to + offset, d, padded, half, line) || special;
        from += dBytes;
      }
    }
  }
  if (special) store<i32>(job + J.SPECIAL, 1);
}

/** @returns true when it stored NaN or infinity */
function put(from: usize, to: usize, d: i32, padded: i32, half: bool, line: usize): bool {
  if (d != padded) {
    memory.copy(line, from, <usize>d << 2);
    from = line;
  }
  if (half) return encodeHalves(from, to, padded);
  const size = sizeMask();
  let most = i32x4.splat(0);
  for (let c: usize = 0; c < <usize>padded << 2; c += 32) {
    const a = v128.load(from + c), b = v128.load(from + c, 16);
    most = largerSize(largerSize(most, a, size), b, size);
    v128.store(to + c, a);
    v128.store(to + c, b, 16);
  }
  if (allFinite(most)) return false;
  plainNaN(to, <usize>padded << 2);
  return true;
}
