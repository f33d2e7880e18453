// Compact keys: the channels that a search multiplies, as integers (../numbers/integer.ts). Four keys lie side by side, a step of channels of
// each after a step of channels of each, so that one pointer walks them and a single row multiplies four keys at once. Groups of
// [steps][4 keys] words, then f32 [4] each: what a unit of each key's integers is worth, and what its products are too large by. Rows
// [Hkv of B][groups]; groups are counted so that one starts at the sink.
import * as J from '../job';
import { decodeHalves } from '../numbers/half';
import { keyFactor, packKey, stepsOf, unitOf } from '../numbers/integer';
import { slowHalf } from './channels';
import { keyAddress, rowBytes } from './pages';

/** Keys of a group. */
export const KEYS: i32 = 4;

/** Channels of a compact key. @param narrow the slower half of the rotary pairs alone */
// @ts-ignore: decorator
@inline
export function compactDepth(job: usize, narrow: bool): i32 {
  const d = J.i(job, J.HEAD_DIM);
  return narrow ? (d >> 2) << 1 : d;
}

// @ts-ignore: decorator
@inline
export function groupBytes(steps: i32): usize { return (<usize>steps << 4) + 32; }

/** Slot of a key: its group is this over 4. */
// @ts-ignore: decorator
@inline
export function slotOf(job: usize, key: i32): i32 { return key + (-J.i(job, J.SINK) & (KEYS - 1)); }

/** Tokens of a work item. */
const RUN: i32 = 64;

/** Keys [FIRST_TOKEN, …) of the table that stage ENVELOPE_STAGE describes. Work item: (batch, kv head, RUN keys). */
export function compactKeys(job: usize, thread: i32): void {
  const keys = J.i(job, J.KEYS), kvHeads = J.i(job, J.KV_HEADS), d = J.i(job, J.HEAD_DIM), padded = J.i(job, J.PADDED_DIM);
  const half = J.i(job, J.HALF) != 0, special = J.i(job, J.SPECIAL) != 0, firstToken = J.i(job, J.FIRST_TOKEN);
  const stage = job + J.STAGE + <usize>J.i(job, J.ENVELOPE_STAGE) * J.STAGE_BYTES;
  const table = <usize>load<u32>(stage + 20), room = load<i32>(stage + 24), narrow = load<i32>(stage + 28) == 1;
  const depth = compactDepth(job, narrow), steps = stepsOf(depth), group = groupBytes(steps);
  const runs = (keys - firstToken + RUN - 1) / RUN;
  const bytes = rowBytes(job), width = <usize>padded << 2;
  const unpacked = J.scratch(job, thread), line = unpacked + width;
  // Behind the channels, and what a step lacks.
  memory.fill(line, 0, width);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const bh = item / runs, first = firstToken + (item % runs) * RUN, end = min(keys, first + RUN);
    const to = table + <usize>(bh * room) * group;
    for (let key = first; key < end; key++) {
      let from = keyAddress(job, bh / kvHeads, bh % kvHeads, key, bytes);
      if (half) {
        decodeHalves(from, unpacked, padded, special);
        from = unpacked;
      }
      if (narrow) {
        slowHalf(from, line, d);
        from = line;
      }
      const slot = slotOf(job, key), lane = <usize>(slot & 3) << 2, at = to + <usize>(slot >> 2) * group, factor = keyFactor(from, depth);
      const surplus = packKey(from, steps, factor, depth, at + lane, 16), tail = at + (<usize>steps << 4) + lane;
      store<f32>(tail, unitOf(factor));
      store<f32>(tail, surplus, 16);
    }
  }
}
