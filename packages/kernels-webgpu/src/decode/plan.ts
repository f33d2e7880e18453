// How a decode step is cut: heads per workgroup, parts of the key list, key windows that fit a binding. Pure.
import type { AttentionShape } from '@hip/mask-search';
import { bytesOf, type ElementType } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import { HipError, limitError } from '../errors/gpu-errors.ts';
import { rowStep, windowsOf, type KeyWindow } from '../search/slabs.ts';
import { DECODE_LANES, decodeBytes } from './code.ts';

/** A decode step: few queries, any number of keys. */
export interface DecodeRequest {
  readonly shape: AttentionShape;
  readonly type: ElementType;
  readonly limits: DeviceLimits;
  /** Keys of one row's list at most: sink + k + window for a mask; absent for dense. */
  readonly slots?: number | undefined;
  /** All heads of a group read the same keys: dense, or a shared mask. */
  readonly sharedKeys: boolean;
  /** Rows of one batch in the key buffer. @defaultValue shape.keys */
  readonly keyRows?: number | undefined;
  /** Keys are read through a page table. @defaultValue false */
  readonly paged?: boolean | undefined;
  /** Pseudo-keys make one more part of each row. @defaultValue false */
  readonly remainder?: boolean | undefined;
}

/** One dispatch of the split-key kernel. */
export interface DecodeDispatch {
  readonly batchFirst: number;
  readonly batches: number;
  readonly window: KeyWindow;
  readonly splitFirst: number;
  readonly splits: number;
}

export interface DecodePlan {
  /** Query heads of one workgroup. */
  readonly heads: number;
  readonly dispatches: readonly DecodeDispatch[];
  /** Parts of each row. */
  readonly splits: number;
  /** Bytes of all parts: d sums and a vec4 each. */
  readonly partBytes: number;
}

/** More heads per workgroup than this take too many registers. */
const MOST_HEADS = 8;
/** Workgroups that keep a large GPU busy: several for each of its multiprocessors. */
const TARGET_WORKGROUPS = 1024;
/** Rounds of 128 keys that a part of a dense row takes at least: rounds wait for memory, parts beside one another do not. */
const DENSE_ROUNDS = 1;

/** Largest divisor of `group` whose heads fit a workgroup's memory. */
function headsPerWorkgroup({ shape: { heads, kvHeads, headDim }, limits, sharedKeys }: DecodeRequest): number {
  if (!sharedKeys) return 1;
  const group = heads / kvHeads;
  for (let count = Math.min(group, MOST_HEADS); count > 1; count--)
    if (group % count === 0 && decodeBytes({ headDim, heads: count }) <= limits.maxComputeWorkgroupStorageSize)
      return count;
  return 1;
}

/** @throws HipError `invalid-shape`, `unsupported` */
export function planDecode(request: DecodeRequest): DecodePlan {
  const { shape, type, limits, slots = shape.keys, keyRows = shape.keys, paged = false } = request;
  const { batch, queries, keys, heads: allHeads, kvHeads, headDim } = shape;
  if (headDim % 8 !== 0 || headDim > 8 * DECODE_LANES)
    throw new HipError(
      'invalid-shape',
      `headDim is ${headDim}: decode takes multiples of 8 up to ${8 * DECODE_LANES}`,
      { headDim },
    );
  const heads = headsPerWorkgroup(request);
  const rowBytes = kvHeads * headDim * bytesOf(type);
  const limit = limits.maxStorageBufferBindingSize;
  const whole = batch * keyRows * rowBytes <= limit;
  if (!whole && paged)
    throw limitError(
      'maxStorageBufferBindingSize',
      batch * keyRows * rowBytes,
      limit,
      'give the cache pools of fewer kv heads',
    );
  const step = rowStep(rowBytes, limits.minStorageBufferOffsetAlignment);
  // All batches are cut alike, so that their parts agree; a batch that begins between aligned offsets needs a few rows more.
  const windows: readonly KeyWindow[] = whole
    ? [{ first: 0, end: keys, base: 0, range: { offset: 0, size: batch * keyRows * rowBytes } }]
    : windowsOf({
        rows: keys,
        rowBytes,
        limit: limit - (step - 1) * rowBytes,
        alignment: limits.minStorageBufferOffsetAlignment,
      });
  const perRow = (allHeads / heads) * queries * batch;
  const dense = request.slots === undefined;
  // Partial sums of all parts lie in one buffer.
  const room = Math.floor(limit / (batch * queries * allHeads * (headDim + 4) * 4 * windows.length));
  const splitsOf = (window: KeyWindow): number => {
    const list = dense ? window.end - window.first : slots;
    const rounds = Math.ceil(list / DECODE_LANES);
    const most = dense ? Math.ceil(rounds / DENSE_ROUNDS) : rounds;
    return Math.max(1, Math.min(most, Math.ceil(TARGET_WORKGROUPS / perRow), room));
  };
  const dispatches: DecodeDispatch[] = [];
  let splits = 0;
  for (const window of windows) {
    const count = splitsOf(window);
    if (whole) dispatches.push({ batchFirst: 0, batches: batch, window, splitFirst: splits, splits: count });
    else
      for (let b = 0; b < batch; b++) {
        const base = b * keyRows + window.first - ((b * keyRows) % step);
        const range = { offset: base * rowBytes, size: (b * keyRows + window.end - base) * rowBytes };
        dispatches.push({
          batchFirst: b,
          batches: 1,
          window: { ...window, base, range },
          splitFirst: splits,
          splits: count,
        });
      }
    splits += count;
  }
  if (request.remainder) splits++;
  const parts = batch * queries * allHeads * splits;
  const partBytes = parts * (headDim + 4) * 4;
  const most = limits.maxComputeWorkgroupsPerDimension;
  if (partBytes > limit || batch * queries > most || queries > most)
    throw limitError('maxStorageBufferBindingSize', partBytes, limit, 'use the prefill kernels for this many queries');
  return { heads, dispatches, splits, partBytes };
}
