// encodeDecode: split-key attention added to a call, over a mask or dense.
import { checkScore, checkShape, HipError, type AttentionShape, type ScoreOptions } from '@hip/mask-search';
import type { GpuMask } from '../attention/mask.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { encodeRemainder, type PseudoKeys } from '../remainder/encode.ts';
import { exactTail } from '../remainder/layout.ts';
import { MOST_PSEUDO_KEYS, pseudoPartCode } from './pseudo-code.ts';
import { memoCode } from '../search/code/memo.ts';
import { DECODE, decodeBytes, decodeCode } from './code.ts';
import { mergeCode } from './merge-code.ts';
import { planDecode, type DecodeDispatch, type DecodePlan } from './plan.ts';
import { MOST_BLOCKS_INSIDE, MOST_INSIDE, pseudoInsideBytes, type PseudoInside } from './pseudo-inside.ts';

/** q and out [B, Tq, queryHeads, d]; k and v [B, keyRows, Hkv, d], all stored alike. */
export interface DecodeTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
  /** Page of each run of tokens; keys lie behind one another when absent. */
  readonly pages?: { readonly table: BufferRange; readonly shift: number } | undefined;
}

export interface DecodeOptions extends ScoreOptions {
  /** Of dense attention. @defaultValue true */
  readonly causal?: boolean | undefined;
  /** Rows of one batch in k and v. @defaultValue shape.keys */
  readonly keyRows?: number | undefined;
  /** Heads of one row of q and out. @defaultValue shape.heads */
  readonly queryHeads?: number | undefined;
  /** First head of this call within q, out and the mask. @defaultValue 0 */
  readonly headFirst?: number | undefined;
  /**
   * Keys of one row's list at most: when the mask's window will grow, or where {@link DecodeOptions.window} bounds it.
   * @defaultValue sink + window + capacity·blockK of a mask, else all keys
   */
  readonly slots?: number | undefined;
  /** Without a mask: rows attend to their last keys only. @defaultValue all */
  readonly window?: number | undefined;
  /** Row of q, out and append's tensors at which the call's rows start. One batch only. @defaultValue 0 */
  readonly firstRow?: number | undefined;
  /** Word of the page tables at which the sequence's begins, where several sequences are served. @defaultValue 0 */
  readonly pageFirst?: number | undefined;
  /** Scratch for the parts of rows. @defaultValue the call's own */
  readonly parts?: ((bytes: number) => BufferRange) | undefined;
  /** The newest token's k and v [1, all kv heads, d]: written into the cache on the way. One query, a window of 1 at least. */
  readonly append?: { readonly k: GpuTensor; readonly v: GpuTensor } | undefined;
  /** Of a mask with a remainder. @defaultValue computed by the call */
  readonly pseudo?: PseudoKeys | undefined;
  /** Lower limits than the device's. */
  readonly limits?: DeviceLimits | undefined;
  /** A uniform buffer per dispatch with {@link decodeUniform}'s bytes, for prepared calls that follow a growing cache. */
  readonly uniform?: ((dispatch: number) => BufferRange) | undefined;
}

/** A window that no key is before. */
export const ALL_KEYS = 0xffff_ffff;

/** What changes between the steps of a session. */
export interface DecodeMoment {
  readonly keys: number;
  readonly window: number;
}

/** The uniform of a dispatch. */
export function decodeUniform(
  shape: AttentionShape,
  plan: DecodePlan,
  { window: { first, end, base }, batchFirst, splits, splitFirst }: DecodeDispatch,
  mask: GpuMask | undefined,
  options: DecodeOptions,
  { keys, window }: DecodeMoment,
): ArrayBuffer {
  const {
    scale = 1 / Math.sqrt(shape.headDim),
    softcap,
    keyRows = shape.keys,
    queryHeads = shape.heads,
    headFirst = 0,
    firstRow = 0,
    pageFirst = 0,
  } = options;
  return DECODE.pack({
    queries: shape.queries,
    firstRow,
    pageFirst,
    keys,
    keyFirst: first,
    keyEnd: Math.min(end, keys),
    keyRows,
    batchFirst,
    keyBase: base,
    heads: shape.heads,
    queryHeads,
    headFirst,
    kvHeads: shape.kvHeads,
    window,
    maskHeads: mask?.maskHeads ?? 1,
    queryBlocks: mask?.queryBlocks ?? 1,
    blockQ: mask?.blockQ ?? 1,
    capacity: mask?.capacity ?? 0,
    splits,
    splitFirst,
    allSplits: plan.splits,
    scale: softcap === undefined ? scale * Math.LOG2E : scale / softcap,
    cap: (softcap ?? 0) * Math.LOG2E,
  });
}

/** A shader reads 0 beyond a buffer and writes nothing: too short a tensor would go unnoticed. @throws HipError `invalid-shape` */
function checkRoom({ q, k, v, out }: DecodeTensors, shape: AttentionShape, options: DecodeOptions): void {
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const { queryHeads = heads, keyRows = keys, append, firstRow = 0 } = options;
  const row = (batch * queries + firstRow) * queryHeads * headDim;
  const key = batch * keyRows * kvHeads * headDim;
  const token = (1 + firstRow) * (queryHeads / (heads / kvHeads)) * headDim;
  checkLengths([
    ['q', q, row],
    ['out', out, row],
    ['k', k, key],
    ['v', v, key],
    ...(append
      ? ([
          ['k', append.k, token],
          ['v', append.v, token],
        ] as const)
      : []),
  ]);
}

/** @throws HipError `invalid-shape` for the first tensor that holds less than it must */
export function checkLengths(
  tensors: readonly (readonly [name: string, tensor: { readonly length: number }, expected: number])[],
): void {
  for (const [name, { length }, expected] of tensors) {
    if (length >= expected) continue;
    const message = `${name} holds ${length} numbers: its shape needs ${expected}`;
    throw new HipError('invalid-shape', message, { name, length, expected });
  }
}

/** Plans what {@link encodeDecode} runs. */
export function decodePlanOf(
  call: Pick<GpuCall, 'context'>,
  { q, pages }: DecodeTensors,
  shape: AttentionShape,
  mask: GpuMask | undefined,
  options: DecodeOptions,
  pseudo?: PseudoKeys,
): DecodePlan {
  return planDecode({
    shape,
    type: q.type,
    limits: options.limits ?? call.context.limits,
    slots: options.slots ?? (mask ? mask.sink + mask.window + mask.capacity * mask.blockK : options.window),
    sharedKeys: !mask || mask.maskHeads === 1,
    keyRows: options.keyRows,
    paged: pages !== undefined,
    remainder: pseudo !== undefined,
  });
}

/** Storage buffers of the split-key kernel with a mask. */
function buffersOf({ pages, append }: { readonly pages: boolean; readonly append: boolean }): number {
  return 6 + (pages ? 1 : 0) + (append ? 2 : 0);
}

/**
 * How the split-key kernel takes a mask's pseudo-keys itself; undefined where it cannot: then their list is a pass, and their part
 * another.
 */
export function pseudoInside(
  { heads, dispatches }: Pick<DecodePlan, 'heads' | 'dispatches'>,
  { capacity }: Pick<GpuMask, 'capacity'>,
  { layout, most: slots }: Pick<PseudoKeys, 'layout' | 'most'>,
  headDim: number,
  limits: DeviceLimits,
  bound: { readonly pages: boolean; readonly append: boolean },
): PseudoInside | undefined {
  const inside = { block: layout.block, most: layout.most, baseBlocks: layout.baseBlocks, meanRows: layout.rows };
  const bytes = decodeBytes({ headDim, heads }) + pseudoInsideBytes({ slots, capacity });
  const fits =
    heads === 1 &&
    dispatches.length === 1 &&
    slots <= MOST_INSIDE &&
    capacity <= MOST_BLOCKS_INSIDE &&
    bytes <= limits.maxComputeWorkgroupStorageSize &&
    buffersOf(bound) + 1 <= limits.maxStorageBuffersPerShaderStage;
  return fits ? { ...inside, slots, capacity: Math.max(1, capacity) } : undefined;
}

/**
 * Adds attention of few rows to a call: each row's keys are split over workgroups whose results are merged. Each head of a group
 * uses its own mask. Rows that see no key give 0.
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeDecode(
  call: GpuCall,
  tensors: DecodeTensors,
  shape: AttentionShape,
  mask: GpuMask | undefined,
  options: DecodeOptions = {},
): DecodePlan {
  const { q, k, v, out, pages } = tensors;
  const { causal = true, softcap, append } = options;
  const types = [q, k, v, out, ...(append ? [append.k, append.v] : [])].map(({ type }) => type);
  if (types.some((type) => type !== q.type))
    throw new HipError('invalid-shape', 'q, k, v and out are stored differently: store all alike', { types });
  checkShape(shape);
  checkScore(options);
  checkRoom(tensors, shape, options);
  const { keyRows, limits = call.context.limits } = options;
  const pseudo = options.pseudo ?? (mask && encodeRemainder(call, { k, v, keyRows, pages }, shape, mask, limits));
  if (pseudo && pseudo.most > MOST_PSEUDO_KEYS) {
    const message = `a row may have ${pseudo.most} pseudo-keys, decoding takes ${MOST_PSEUDO_KEYS}: use a smaller remainder.most`;
    throw new HipError('unsupported', message, { most: pseudo.most });
  }
  const plan = decodePlanOf(call, tensors, shape, mask, options, pseudo);
  const room = options.parts?.(plan.partBytes) ?? { buffer: call.scratch(plan.partBytes, 'parts of rows') };
  const parts = { ...room, size: plan.partBytes };
  const part = (
    { buffer, offset = 0 }: GpuTensor,
    range: { readonly offset: number; readonly size: number },
  ): BufferRange => ({ buffer, offset: offset + range.offset, size: range.size });
  const all = ({ buffer, offset = 0, length, type }: GpuTensor): BufferRange => ({
    buffer,
    offset,
    size: length * (type === 'f32' ? 4 : 2),
  });
  const moment = { keys: shape.keys, window: mask?.window ?? options.window ?? ALL_KEYS };
  const uniform = (index: number): BufferRange | { readonly uniform: ArrayBuffer } =>
    options.uniform?.(index) ?? { uniform: decodeUniform(shape, plan, plan.dispatches[index]!, mask, options, moment) };
  const bound = { pages: pages !== undefined, append: append !== undefined };
  const inside = pseudo && mask && pseudoInside(plan, mask, pseudo, shape.headDim, limits, bound);
  const code = memoCode(decodeCode, {
    headDim: shape.headDim,
    type: q.type,
    group: shape.heads / shape.kvHeads,
    heads: plan.heads,
    causal: mask?.causal ?? causal,
    softcap: softcap !== undefined,
    sparse: mask && { blockK: mask.blockK, sink: mask.sink, tailBlock: exactTail(mask.remainder) },
    pageShift: pages?.shift,
    append: append !== undefined,
    pseudo: inside,
  });
  plan.dispatches.forEach(({ window, batches, splits }, i) => {
    call.pass({
      label: `decode/${mask ? 'sparse' : 'dense'}`,
      pipeline: { label: 'split-key attention', code },
      bindings: [
        uniform(i),
        all(q),
        part(k, window.range),
        part(v, window.range),
        parts,
        ...(mask ? [mask.starts, mask.counts] : []),
        ...(pages ? [pages.table] : []),
        ...(append ? [all(append.k), all(append.v)] : []),
        ...(inside ? [pseudo.means] : []),
      ],
      workgroups: [splits + (inside ? 1 : 0), shape.heads / plan.heads, batches * shape.queries],
    });
  });
  if (pseudo && !inside) {
    const { most, layout } = pseudo;
    const kernel = {
      headDim: shape.headDim,
      type: q.type,
      group: shape.heads / shape.kvHeads,
      softcap: softcap !== undefined,
      meanRows: layout.rows,
      most,
    };
    call.pass({
      label: 'decode/pseudo-keys',
      pipeline: { label: 'pseudo-keys of a row', code: memoCode(pseudoPartCode, kernel) },
      bindings: [uniform(0), all(q), pseudo.means, pseudo.list, parts],
      workgroups: [shape.heads, shape.queries, shape.batch],
    });
  }
  call.pass({
    label: 'decode/merge',
    pipeline: { label: 'split-key merge', code: memoCode(mergeCode, { headDim: shape.headDim, type: q.type }) },
    bindings: [uniform(0), parts, all(out)],
    workgroups: [shape.heads, shape.queries, shape.batch],
  });
  return plan;
}
