// Which keys a vote on compact keys is about: groups of four, in the order of the slots of their scores. Candidates come first, then sinks and
// windows, over which rows' weights are normalised, too.
import { groupBytes, KEYS, slotOf } from '../cache/compact';
import * as J from '../job';
import * as S from './scratch';
import * as V from './vote';

// A group's record: its address, its first key, its keys that count [FROM, TO), and bounds: key j counts for rows j + LOW … j + HIGH.
export const RECORD: usize = 32;
export const ADDRESS: usize = 0;
export const KEY: usize = 4;
export const FROM: usize = 8;
export const TO: usize = 12;
export const LOW: usize = 16;
export const HIGH: usize = 20;
/** 1 = all four keys count for all rows. */
export const WHOLE: usize = 24;

/**
 * Lists the candidates' groups, run by run (a run is what is left of one chunk of the stage before), and writes each candidate's slot.
 *
 * @param table the head's groups
 * @returns their number, −1 where there is no room
 */
export function listCandidates(job: usize, s: usize, v: usize, records: usize, table: usize): i32 {
  const candidates = <usize>load<u32>(v + V.CANDIDATES), slots = <usize>load<u32>(v + V.SLOTS), count = load<i32>(v + V.COUNT);
  const before = load<i32>(v + V.BEFORE), chunk = load<i32>(v + V.CHUNK), searchable = load<i32>(v + V.SEARCHABLE), sink = J.i(job, J.SINK);
  // Row r's window starts above key j where r >= j + window − position.
  const low = J.i(job, J.CAUSAL) ? J.i(job, J.WINDOW) - load<i32>(s + S.POSITION) : -V.LIMIT;
  let groups = 0;
  for (let i = 0; i < count; ) {
    const start = load<i32>(candidates + (<usize>i << 2)), limit = (start / before + 1) * before;
    // The sink begins a group: a candidate's place in its group follows from its distance to it.
    const slot = groups * KEYS - (start & ~(KEYS - 1));
    let last = start;
    for (; i < count && load<i32>(candidates + (<usize>i << 2)) < limit; i++) {
      last = load<i32>(candidates + (<usize>i << 2));
      store<i32>(slots + (<usize>i << 2), slot + last);
    }
    groups = list(job, s, records, groups, table, sink + start, sink + min(last + chunk, searchable), low, V.LIMIT);
    if (groups < 0) return groups;
  }
  return groups;
}

/** Lists sinks below each row's window, and the windows, from record `groups` on. @returns as `listCandidates` */
export function listLocal(job: usize, s: usize, records: usize, groups: i32, table: usize): i32 {
  const keys = J.i(job, J.KEYS), window = J.i(job, J.WINDOW), causal = J.i(job, J.CAUSAL) != 0;
  const position = load<i32>(s + S.POSITION), visible = causal ? max(0, min(keys, position + load<i32>(s + S.ROW_COUNT))) : keys;
  const first = max(0, (causal ? position + 1 : keys) - window), sinks = min(J.i(job, J.SINK), max(0, visible - window));
  groups = list(job, s, records, groups, table, 0, sinks, causal ? window - position : -V.LIMIT, V.LIMIT);
  if (groups < 0) return groups;
  return list(job, s, records, groups, table, first, visible, causal ? -position : -V.LIMIT, causal ? window - 1 - position : V.LIMIT);
}

function list(job: usize, s: usize, records: usize, groups: i32, table: usize, from: i32, to: i32, low: i32, high: i32): i32 {
  if (to <= from) return groups;
  const room = J.i(job, J.VOTE_GROUPS), bytes = groupBytes(load<i32>(s + S.DEPTH)), slot = slotOf(job, from), lastRow = load<i32>(s + S.ROW_COUNT) - 1;
  let address = table + <usize>(slot >> 2) * bytes;
  for (let key = from - (slot & (KEYS - 1)); key < to; key += KEYS) {
    if (groups == room) return -1;
    const record = records + <usize>groups * RECORD;
    store<u32>(record + ADDRESS, <u32>address);
    store<i32>(record + KEY, key);
    store<i32>(record + FROM, from);
    store<i32>(record + TO, to);
    store<i32>(record + LOW, low);
    store<i32>(record + HIGH, high);
    store<i32>(record + WHOLE, i32(key >= from && key + KEYS <= to && key + KEYS - 1 + low <= 0 && key + high >= lastRow));
    groups++;
    address += bytes;
  }
  return groups;
}
