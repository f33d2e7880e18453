// How matrices lie in memory: groups of eight rows, block by block, and inside a block each two bytes of row 0, of row 1, … of row 7
// (of float32 each four). One vector then holds the same columns of eight rows, and products need no sums across lanes.
import * as J from '../job';
import { F32, F16, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, Q8_0, Q4_0, Q4_1 } from './decode';
import * as M from './job';

/** Rows of a group. */
export const GROUP: i32 = 8;

/** Where the group of a row begins. */
// @ts-ignore: decorator
@inline
export function groupAt(target: usize, row: i32): usize {
  return J.p(target, M.BLOCKS) + <usize>(row & ~7) * J.p(target, M.ROW_BYTES);
}

/** Bytes of a block. */
export function blockBytes(type: i32): i32 {
  switch (type) {
    case F32: return 4;
    case Q8_0: return 34;
    case Q4_0: return 18;
    case Q4_1: return 20;
    case Q5_0: return 22;
    case Q5_1: return 24;
    case Q4_K: return 144;
    case Q5_K: return 176;
    case Q6_K: return 210;
    default: return 2;
  }
}

// @ts-ignore: decorator
@inline
function isSpecial(half: u32): bool { return (half & 0x7c00) == 0x7c00; }

/** Two bytes that hold a block's `unit`-th pair: a half, the only ones that may be infinite or NaN. */
// @ts-ignore: decorator
@inline
function isHalf(type: i32, unit: i32): bool {
  if (type == F16) return true;
  if (type == Q6_K) return unit == 104;
  return unit == 0 || (unit == 1 && (type == Q4_1 || type == Q5_1 || type == Q4_K || type == Q5_K));
}

/** Fifth bits of 16 values: those of even ones to the low byte, of odd ones to the high byte. */
function split(bits: u32): u32 {
  let out: u32 = 0;
  for (let i: u32 = 0; i < 16; i++) out |= ((bits >> i) & 1) << ((i >> 1) + ((i & 1) << 3));
  return out;
}

/** The inverse of `split`. */
function join(bits: u32): u32 {
  let out: u32 = 0;
  for (let i: u32 = 0; i < 16; i++) out |= ((bits >> ((i >> 1) + ((i & 1) << 3))) & 1) << i;
  return out;
}

/** First pair of fifth bits; two of them follow one another. */
// @ts-ignore: decorator
@inline
function fifthAt(type: i32): i32 { return type == Q5_0 ? 1 : type == Q5_1 ? 2 : -2; }

/** A row into its place. @returns true when a half is infinite or NaN */
function packRow(type: i32, from: usize, group: usize, lane: i32, bytes: usize): bool {
  if (type == F32) {
    for (let i: usize = 0; i < bytes; i += 4) store<u32>(group + (i << 3) + (<usize>lane << 2), load<u32>(from + i));
    return false;
  }
  const size = <usize>blockBytes(type), fifth = fifthAt(type);
  const end = from + bytes;
  let to = group + (<usize>lane << 1);
  let special = false;
  for (; from < end; from += size) {
    for (let unit: usize = 0; unit < size >> 1; unit++) {
      let value = <u32>load<u16>(from + (unit << 1));
      if (isHalf(type, <i32>unit) && isSpecial(value)) special = true;
      if (<i32>unit == fifth || <i32>unit == fifth + 1) value = split(value);
      store<u16>(to, <u16>value);
      to += 16;
    }
  }
  return special;
}

/** A row as its file has it. */
export function unpackRow(type: i32, group: usize, lane: i32, to: usize, bytes: usize): void {
  if (type == F32) {
    for (let i: usize = 0; i < bytes; i += 4) store<u32>(to + i, load<u32>(group + (i << 3) + (<usize>lane << 2)));
    return;
  }
  const size = <usize>blockBytes(type), fifth = fifthAt(type);
  const end = to + bytes;
  let from = group + (<usize>lane << 1);
  for (; to < end; to += size) {
    for (let unit: usize = 0; unit < size >> 1; unit++) {
      let value = <u32>load<u16>(from);
      if (<i32>unit == fifth || <i32>unit == fifth + 1) value = join(value);
      store<u16>(to + (unit << 1), <u16>value);
      from += 16;
    }
  }
}

/** Rows [FIRST_ROW, …) of the first target from X. Sets FLAG where a half is infinite or NaN. Work item: a row. */
export function packMatrix(job: usize, thread: i32): void {
  const target = job + M.TARGET, first = J.i(job, M.FIRST_ROW);
  const type = J.i(target, M.TYPE), bytes = J.p(target, M.ROW_BYTES);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const row = first + item;
    if (packRow(type, J.p(job, M.X) + <usize>item * bytes, groupAt(target, row), row & 7, bytes)) store<i32>(job + M.FLAG, 1);
  }
}
