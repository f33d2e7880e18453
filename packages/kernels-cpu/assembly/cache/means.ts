// Means of blocks of keys and values, what a remainder is made of (docs/specification/hip.md §8.3): base blocks from the sink on, then
// pairs, fours, eights … of them. Rows [Hkv of B][2·MEANS_ROOM][mean key d, mean value d]: first the base blocks, then half as many
// pairs, and so on.
import { decodeHalves } from '../numbers/half';
import * as J from '../job';
import { keyAddress, rowBytes, valueOffset } from './pages';

/** Which mean, counted over all: that of `index`-th block of MEANS_BLOCK·2^level keys. MEANS_ROOM is a power of two. */
// @ts-ignore: decorator
@inline
export function meanIndex(job: usize, bh: i32, level: i32, index: i32): i32 {
  const total = 2 * J.i(job, J.MEANS_ROOM);
  return bh * total + total - (total >> level) + index;
}

/** Bytes of a mean key with its mean value. */
// @ts-ignore: decorator
@inline
export function meanBytes(job: usize): usize { return <usize>J.i(job, J.PADDED_DIM) << 3; }

/** Address of a mean key, or of its gradient in another such table; the mean value follows. */
// @ts-ignore: decorator
@inline
export function meanRow(job: usize, table: usize, bh: i32, level: i32, index: i32): usize {
  return table + <usize>meanIndex(job, bh, level, index) * meanBytes(job);
}

/** Whole base blocks. */
// @ts-ignore: decorator
@inline
export function baseBlocks(job: usize): i32 { return max(0, J.i(job, J.KEYS) - J.i(job, J.SINK)) / J.i(job, J.MEANS_BLOCK); }

/** Base blocks [MEANS_FIRST, …). Work item: (batch, kv head, block). */
export function blockMeans(job: usize, thread: i32): void {
  const kvHeads = J.i(job, J.KV_HEADS), sink = J.i(job, J.SINK), block = J.i(job, J.MEANS_BLOCK), first = J.i(job, J.MEANS_FIRST);
  const count = baseBlocks(job) - first;
  const bytes = rowBytes(job), offset = valueOffset(job, bytes), width = <usize>J.i(job, J.PADDED_DIM) << 2;
  // Divided by a power of two before they are added: nothing is rounded by it, and sums stay finite.
  let power: f32 = 1;
  while (power < <f32>block) power *= 2;
  const part = f32x4.splat(1 / power), factor = f32x4.splat(power / <f32>block);
  const line = J.scratch(job, thread);
  const items = J.i(job, J.ITEMS);
  for (let item = J.take(job); item < items; item = J.take(job)) {
    const bh = item / count, index = first + item % count;
    const to = meanRow(job, J.p(job, J.MEANS), bh, 0, index);
    memory.fill(to, 0, 2 * width);
    const start = sink + index * block;
    for (let key = start; key < start + block; key++) {
      const at = keyAddress(job, bh / kvHeads, bh % kvHeads, key, bytes);
      add(job, to, at, width, part, line);
      add(job, to + width, at + offset, width, part, line);
    }
    if (power != <f32>block) for (let c: usize = 0; c < 2 * width; c += 16) v128.store(to + c, f32x4.mul(v128.load(to + c), factor));
  }
}

// @ts-ignore: decorator
@inline
function add(job: usize, to: usize, from: usize, width: usize, part: v128, line: usize): void {
  if (J.i(job, J.HALF)) {
    decodeHalves(from, line, J.i(job, J.PADDED_DIM), J.i(job, J.SPECIAL) != 0);
    from = line;
  }
  for (let c: usize = 0; c < width; c += 16) v128.store(to + c, f32x4.add(v128.load(to + c), f32x4.mul(v128.load(from + c), part)));
}

/** Larger blocks, of their halves: those that hold base blocks from JOIN_FIRST on. Work item: (batch, kv head). */
export function joinMeans(job: usize, thread: i32): void {
  const first = J.i(job, J.JOIN_FIRST), count = baseBlocks(job), table = J.p(job, J.MEANS), bytes = meanBytes(job);
  const half = f32x4.splat(0.5);
  const items = J.i(job, J.ITEMS);
  for (let bh = J.take(job); bh < items; bh = J.take(job)) {
    for (let level = 1; count >> level > 0; level++) {
      for (let index = first >> level; index < count >> level; index++) {
        const to = meanRow(job, table, bh, level, index), left = meanRow(job, table, bh, level - 1, 2 * index), right = left + bytes;
        for (let c: usize = 0; c < bytes; c += 16) v128.store(to + c, f32x4.add(f32x4.mul(v128.load(left + c), half), f32x4.mul(v128.load(right + c), half)));
      }
    }
  }
}

/**
 * Spreads the gradients of one head's means evenly over the keys and values: from blocks to halves, from base blocks to keys.
 *
 * @param table gradients, laid out as the means are
 */
export function spreadMeans(job: usize, b: i32, h: i32, table: usize): void {
  const kvHeads = J.i(job, J.KV_HEADS), keys = J.i(job, J.KEYS), d = J.i(job, J.HEAD_DIM), sink = J.i(job, J.SINK), block = J.i(job, J.MEANS_BLOCK);
  const count = baseBlocks(job), bytes = meanBytes(job), bh = b * kvHeads + h;
  const half = f32x4.splat(0.5);
  let top = 0;
  while (count >> (top + 1) > 0) top++;
  for (let level = top; level > 0; level--) {
    for (let index = 0; index < count >> level; index++) {
      const from = meanRow(job, table, bh, level, index), left = meanRow(job, table, bh, level - 1, 2 * index);
      for (let c: usize = 0; c < bytes; c += 16) {
        const part = f32x4.mul(v128.load(from + c), half);
        v128.store(left + c, f32x4.add(v128.load(left + c), part));
        v128.store(left + bytes + c, f32x4.add(v128.load(left + bytes + c), part));
      }
    }
  }
  for (let index = 0; index < count; index++) {
    const from = meanRow(job, table, bh, 0, index);
    for (let key = sink + index * block; key < sink + (index + 1) * block; key++) {
      const to = <usize>((b * keys + key) * kvHeads + h) * <usize>d << 2;
      spread(from, J.p(job, J.GRAD_K) + to, d, <f32>block);
      spread(from + (bytes >> 1), J.p(job, J.GRAD_V) + to, d, <f32>block);
    }
  }
}

// @ts-ignore: decorator
@inline
function spread(from: usize, to: usize, d: i32, block: f32): void {
  for (let c: usize = 0; c < <usize>d << 2; c += 4) store<f32>(to + c, load<f32>(to + c) + load<f32>(from + c) / block);
}
