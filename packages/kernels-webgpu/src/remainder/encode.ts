// Adds the remainder's passes to a call: means of keys and values, and each cell's list of pseudo-keys.
import type { AttentionShape } from '@hip/mask-search';
import type { GpuMask } from '../attention/mask.ts';
import { bytesOf } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { memoCode } from '../search/code/memo.ts';
import { chunkPieces, part } from '../search/envelopes.ts';
import { lastWindowStart, meansBytes, meansLayout, mostPseudoKeys, type MeansLayout } from './layout.ts';
import { baseMeansCode, doubleMeansCode, MEANS, MEANS_LANES, spreadMeansCode } from './means-code.ts';
import { PSEUDO, pseudoCode, pseudoWords } from './pseudo-code.ts';

/** What attention reads of a remainder. */
export interface PseudoKeys {
  readonly layout: MeansLayout;
  /** See {@link MeansLayout}. */
  readonly means: BufferRange;
  /** [cells, 1 + most] of two u32: see `pseudoCode` */
  readonly list: BufferRange;
  /** Pseudo-keys for which a cell has room. */
  readonly most: number;
}

/** Workgroups of one-lane-a-number passes: x and z of a dispatch. */
function groupsFor(lanes: number, { maxComputeWorkgroupsPerDimension: most }: DeviceLimits): readonly [number, number] {
  const groups = Math.ceil(lanes / MEANS_LANES);
  const x = Math.min(groups, most);
  return [x, Math.ceil(groups / x)];
}

/** What means are computed of. */
export interface MeansUpdate {
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  /** keys: the tokens that are there. */
  readonly shape: Pick<AttentionShape, 'batch' | 'keys' | 'kvHeads' | 'headDim'>;
  readonly keyRows?: number | undefined;
  readonly pages?: { readonly table: BufferRange; readonly shift: number } | undefined;
  readonly means: BufferRange;
  readonly layout: MeansLayout;
  /** Base blocks [first, end). @defaultValue all */
  readonly first?: number | undefined;
  readonly end?: number | undefined;
}

/** Adds the passes that compute base blocks [first, end) and the larger blocks that they complete. */
export function encodeMeans(call: GpuCall, limits: DeviceLimits, update: MeansUpdate): void {
  const { k, v, shape, pages, means, layout, first = 0, end = layout.baseBlocks } = update;
  const { batch, keys, kvHeads, headDim } = shape;
  const { keyRows = keys } = update;
  const { sink, block, levels, rows, baseBlocks } = layout;
  if (end <= first) return;
  const octets = headDim / 8;
  const rowBytes = kvHeads * headDim * bytesOf(k.type);
  const common = { kvHeads, keyRows, keys, rows, baseBlocks };
  const code = memoCode(baseMeansCode, { headDim, type: k.type, sink, block, pageShift: pages?.shift });
  const pieces = chunkPieces({ batch, keyRows, keys, rowBytes, limits, sink, chunk: block, first, end });
  for (const piece of pieces) {
    const [x, z] = groupsFor((piece.end - piece.first) * kvHeads * octets, limits);
    call.pass({
      label: 'remainder/means',
      pipeline: { label: `means of ${block}`, code },
      bindings: [
        {
          uniform: MEANS.pack({
            ...common,
            batchFirst: piece.batch,
            keyBase: piece.base,
            firstBlock: piece.first,
            endBlock: piece.end,
            row: 0,
            halfRow: 0,
          }),
        },
        part(k, piece.range),
        part(v, piece.range),
        means,
        ...(pages ? [pages.table] : []),
      ],
      workgroups: [x, piece.batches, z],
    });
  }
  let [halfRow, count, from, to] = [0, baseBlocks, first, end];
  for (let level = 1; level < levels; level++) {
    const row = halfRow + count;
    [count, from, to] = [Math.floor(count / 2), Math.floor(from / 2), Math.floor(to / 2)];
    if (to > from) {
      const [x, z] = groupsFor((to - from) * kvHeads * octets, limits);
      call.pass({
        label: 'remainder/double',
        pipeline: { label: 'means of halves', code: memoCode(doubleMeansCode, { headDim, type: k.type }) },
        bindings: [
          {
            uniform: MEANS.pack({ ...common, batchFirst: 0, keyBase: 0, firstBlock: from, endBlock: to, row, halfRow }),
          },
          means,
        ],
        workgroups: [x, batch, z],
      });
    }
    halfRow = row;
  }
}

/** Adds the passes that add the gradients of means to those of their keys and values, each its share. */
export function encodeSpread(
  call: GpuCall,
  limits: DeviceLimits,
  {
    dk,
    dv,
    shape,
    gradients,
    layout,
  }: {
    readonly dk: GpuTensor;
    readonly dv: GpuTensor;
    readonly shape: Pick<AttentionShape, 'batch' | 'keys' | 'kvHeads' | 'headDim'>;
    readonly gradients: BufferRange;
    readonly layout: MeansLayout;
  },
): void {
  const { batch, keys, kvHeads, headDim } = shape;
  const { sink, block, levels, rows, baseBlocks } = layout;
  const rowBytes = kvHeads * headDim * bytesOf(dk.type);
  const code = memoCode(spreadMeansCode, { headDim, type: dk.type, sink, block, levels });
  // One key is a chunk here.
  const pieces = chunkPieces({
    batch,
    keyRows: keys,
    keys,
    rowBytes,
    limits,
    sink: 0,
    chunk: 1,
    first: sink,
    end: sink + baseBlocks * block,
  });
  for (const piece of pieces) {
    const [x, z] = groupsFor((piece.end - piece.first) * kvHeads * (headDim / 8), limits);
    const sizes = { kvHeads, keyRows: keys, keys, rows, baseBlocks, row: 0, halfRow: 0 };
    const { batch: batchFirst, base: keyBase, first: firstBlock, end: endBlock } = piece;
    call.pass({
      label: 'remainder/spread',
      pipeline: { label: 'gradients of means', code },
      bindings: [
        { uniform: MEANS.pack({ ...sizes, batchFirst, keyBase, firstBlock, endBlock }) },
        gradients,
        part(dk, piece.range),
        part(dv, piece.range),
      ],
      workgroups: [x, piece.batches, z],
    });
  }
}

/** The uniform of the pass that lists pseudo-keys. */
export function pseudoUniform(mask: GpuMask, { baseBlocks }: MeansLayout, most: number): ArrayBuffer {
  const { queryBlocks, queries, keys, window, causal, blockQ, blockK, capacity } = mask;
  return PSEUDO.pack({
    queries,
    keys,
    window,
    causal: causal ? 1 : 0,
    blockQ,
    blockK,
    queryBlocks,
    capacity,
    baseBlocks,
    most,
  });
}

/** Adds the pass that lists every cell's pseudo-keys. @param uniform a buffer of {@link pseudoUniform}, for prepared calls */
export function encodePseudoList(
  call: GpuCall,
  mask: GpuMask,
  { layout, list, most }: Omit<PseudoKeys, 'means'>,
  uniform?: BufferRange,
): void {
  const { sink, block } = layout;
  call.pass({
    label: 'remainder/pseudo-keys',
    pipeline: { label: 'pseudo-keys', code: memoCode(pseudoCode, { sink, block, most: layout.most }) },
    bindings: [uniform ?? { uniform: pseudoUniform(mask, layout, most) }, mask.starts, mask.counts, list],
    workgroups: [1, mask.queryBlocks, mask.batch * mask.maskHeads],
  });
}

/** Means that somebody keeps: they hold every block below the call's windows. */
export interface KnownMeans {
  readonly range: BufferRange;
  readonly layout: MeansLayout;
}

/**
 * Adds what attention over a mask with a remainder needs; undefined where no query block has a pseudo-key.
 *
 * @throws HipError `unsupported` where the means or the lists do not fit a binding
 */
export function encodeRemainder(
  call: GpuCall,
  tensors: Pick<MeansUpdate, 'k' | 'v' | 'keyRows' | 'pages'>,
  shape: AttentionShape,
  mask: GpuMask,
  limits: DeviceLimits,
  known?: KnownMeans,
): PseudoKeys | undefined {
  if (!mask.remainder) return undefined;
  const needed = meansLayout(mask.remainder, mask.sink, lastWindowStart(mask));
  if (needed.baseBlocks === 0) return undefined;
  const layout = known?.layout ?? needed;
  const most = mostPseudoKeys(needed);
  const bytes = meansBytes(shape, layout, tensors.k.type);
  const cells = mask.batch * mask.maskHeads * mask.queryBlocks;
  const limit = limits.maxStorageBufferBindingSize;
  for (const size of [bytes, 8 * cells * pseudoWords(most)])
    if (size > limit)
      throw limitError(
        'maxStorageBufferBindingSize',
        size,
        limit,
        'use a larger remainder.block, a smaller remainder.most, or fewer queries at a time',
      );
  if (mask.queryBlocks > limits.maxComputeWorkgroupsPerDimension)
    throw limitError(
      'maxComputeWorkgroupsPerDimension',
      mask.queryBlocks,
      limits.maxComputeWorkgroupsPerDimension,
      'call with fewer queries at a time',
    );
  const means = known?.range ?? { buffer: call.scratch(bytes, 'means'), size: bytes };
  if (!known) encodeMeans(call, limits, { ...tensors, shape, means, layout });
  const listBytes = 8 * cells * pseudoWords(most);
  const list = { buffer: call.scratch(listBytes, 'pseudo-keys'), size: listBytes };
  encodePseudoList(call, mask, { layout, list, most });
  return { layout, means, list, most };
}
