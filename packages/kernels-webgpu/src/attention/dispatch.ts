// Encodes attention into a call: dense, or over a mask that lives on the GPU.
import { checkScore, checkShape, HipError, type AttentionShape, type ScoreOptions } from '@hip/mask-search';
import { accessOf, withTier, type Tier } from '../device/features.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { carryBytes } from './carry.ts';
import type { GpuMask } from './mask.ts';
import { attentionParams } from './params.ts';
import { matrixKernelCode } from './matrix-code.ts';
import type { MatrixDialect } from './matrix-dialect.ts';
import { memoCode } from '../search/code/memo.ts';
import { encodeRemainder, type KnownMeans, type PseudoKeys } from '../remainder/encode.ts';
import { exactTail } from '../remainder/layout.ts';
import { planAttention, type AttentionDispatch, type AttentionPlan } from './plan.ts';
import { tileKernelCode } from './tile-code.ts';
import type { AttentionVariant } from './variants.ts';

/** q and out [B, Tq, H, d]; k and v [B, Tk, Hkv, d]; all of one element type. */
export interface AttentionTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
}

export interface AttentionOptions extends ScoreOptions {
  /** Of dense attention. @defaultValue true */
  readonly causal?: boolean | undefined;
  /** Heads of a row of q and out, when shape.heads are only some of them. @defaultValue shape.heads */
  readonly queryHeads?: number | undefined;
  /** First head of the call within q, out and the mask; k and v hold the key heads of this call only. @defaultValue 0 */
  readonly headFirst?: number | undefined;
  /** A lower tier than the device has. */
  readonly tier?: Tier | undefined;
  /** Tile sizes instead of the planner's. */
  readonly variant?: AttentionVariant | undefined;
  /** How the matrix kernel spells its matrices. @defaultValue nativeMatrices */
  readonly matrices?: (() => MatrixDialect) | undefined;
  /** Limits to stay below. @defaultValue the device's */
  readonly limits?: DeviceLimits | undefined;
  /** Of a mask with a remainder: means that are kept beside a cache. @defaultValue computed by the call */
  readonly means?: KnownMeans | undefined;
  /** Prefix of the passes' labels. @defaultValue 'attention' */
  readonly label?: string | undefined;
}

/** Plans a call as {@link encodeAttention} will run it. */
export function planOf(
  call: { readonly context: Pick<GpuContext, 'profile' | 'limits'> },
  shape: AttentionShape,
  type: GpuTensor['type'],
  mask: GpuMask | undefined,
  options: AttentionOptions,
  remainder = false,
): AttentionPlan {
  const { profile } = call.context;
  const { queryHeads, tier = profile.tier, variant, limits = call.context.limits } = options;
  return planAttention({ shape, type, queryHeads, mask, variant, remainder }, withTier(profile, tier), limits);
}

/** @throws HipError `invalid-shape` */
export function checkAttention(
  { q, k, v, out }: AttentionTensors,
  shape: AttentionShape,
  mask: GpuMask | undefined,
  queryHeads: number,
  headFirst: number,
): void {
  checkShape(shape);
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const rowLength = batch * queries * queryHeads * headDim;
  const keyLength = batch * keys * kvHeads * headDim;
  const wrong = (what: string, details: Record<string, unknown>): never => {
    throw new HipError('invalid-shape', what, details);
  };
  if (headFirst + heads > queryHeads)
    wrong(`heads ${headFirst} to ${headFirst + heads} of ${queryHeads}: headFirst + heads must not exceed queryHeads`, {
      headFirst,
      heads,
      queryHeads,
    });
  for (const [name, { length, type }, expected] of [
    ['q', q, rowLength],
    ['out', out, rowLength],
    ['k', k, keyLength],
    ['v', v, keyLength],
  ] as const) {
    if (length < expected)
      wrong(`${name} holds ${length} numbers: its shape needs ${expected}`, { name, length, expected });
    if (type !== q.type) wrong(`${name} is ${type}, q ${q.type}: store all four alike`, { name, type, query: q.type });
  }
  if (!mask) return;
  const blocks = Math.ceil(queries / mask.blockQ);
  if (
    mask.batch !== batch ||
    mask.queries !== queries ||
    mask.keys !== keys ||
    mask.queryBlocks !== blocks ||
    (mask.maskHeads !== 1 && mask.maskHeads !== queryHeads)
  ) {
    wrong(
      `the mask is for batch ${mask.batch}, ${mask.queries} queries, ${mask.keys} keys, ${mask.maskHeads} heads; the call has ${batch}, ${queries}, ${keys}, ${queryHeads}`,
      {
        mask: [mask.batch, mask.queries, mask.keys, mask.maskHeads],
      },
    );
  }
}

/** The uniform of a dispatch. */
export function dispatchParams(
  shape: AttentionShape,
  plan: AttentionPlan,
  dispatch: AttentionDispatch,
  mask: GpuMask | undefined,
  options: AttentionOptions,
  pseudo?: PseudoKeys,
): ArrayBuffer {
  const { queries, keys, heads, kvHeads, headDim } = shape;
  const { scale = 1 / Math.sqrt(headDim), softcap, queryHeads = heads, headFirst = 0 } = options;
  const vectors = headDim / 4;
  return attentionParams.pack({
    queries,
    rowFirst: dispatch.rowFirst,
    rowEnd: dispatch.rowEnd,
    keys,
    keyFirst: dispatch.keyFirst,
    keyEnd: dispatch.keyEnd,
    shift: keys - queries,
    sink: mask?.sink ?? 0,
    window: Math.min(mask?.window ?? keys, keys),
    causal: (mask?.causal ?? options.causal ?? true) ? 1 : 0,
    blockQ: plan.blockQ,
    blockK: mask?.blockK ?? 1,
    tilesPerBlock: plan.tilesPerBlock,
    tiles: dispatch.tiles,
    capacity: mask?.capacity ?? 0,
    maskHeads: mask?.maskHeads ?? 1,
    queryBlocks: mask?.queryBlocks ?? 0,
    batchFirst: dispatch.batchFirst,
    headFirst,
    group: heads / kvHeads,
    rowStride: queryHeads * vectors,
    headStride: vectors,
    batchStride: queries * queryHeads * vectors,
    keyStride: kvHeads * vectors,
    keyHeadStride: vectors,
    keyBatchStride: keys * kvHeads * vectors,
    heads,
    scale: softcap === undefined ? scale * Math.LOG2E : scale / softcap,
    cap: (softcap ?? 0) * Math.LOG2E,
    slope: scale,
    tailBlock: exactTail(mask?.remainder),
    pseudoMost: pseudo?.most ?? 0,
    meanRows: pseudo?.layout.rows ?? 0,
  });
}

/** The part of a tensor a dispatch binds. */
export function rangeOf(
  { buffer, offset = 0 }: GpuTensor,
  range: { readonly offset: number; readonly size: number },
): BufferRange {
  return { buffer, offset: offset + range.offset, size: Math.ceil(range.size / 4) * 4 };
}

/**
 * Adds attention to a call: over `mask`'s blocks, sinks and window, or dense and causal (or not) without a mask. Rows that see
 * no key give 0.
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeAttention(
  call: GpuCall,
  tensors: AttentionTensors,
  shape: AttentionShape,
  mask: GpuMask | undefined,
  options: AttentionOptions = {},
): AttentionPlan {
  const { queryHeads = shape.heads, headFirst = 0, label = 'attention' } = options;
  checkAttention(tensors, shape, mask, queryHeads, headFirst);
  checkScore(options);
  const type = tensors.q.type;
  const { limits = call.context.limits } = options;
  const pseudo = mask && encodeRemainder(call, { k: tensors.k, v: tensors.v }, shape, mask, limits, options.means);
  const plan = planOf(call, shape, type, mask, options, pseudo !== undefined);
  const access = accessOf(type, call.context.profile);
  const { variant } = plan;
  const carried = plan.dispatches.some(({ carry }) => carry.in);
  const rows = Math.max(...plan.dispatches.map(({ rowFirst, rowEnd }) => rowEnd - rowFirst));
  const state = carryBytes({ batches: 1, rows, heads: shape.heads, headDim: shape.headDim });
  const carriedRows = carried ? call.scratch(state.rows, 'carried rows') : undefined;
  const carriedOut = carried ? call.scratch(state.out, 'carried output') : undefined;
  for (const dispatch of plan.dispatches) {
    const { carry, pseudoKeys: alone = false } = dispatch;
    // Kernels that carry have no bindings left for pseudo-keys: those come last, alone.
    const here = pseudo && (alone || !carry.out) ? pseudo : undefined;
    const kernel = { headDim: shape.headDim, sparse: mask !== undefined, carry };
    const remainder = here ? (alone ? 'alone' : 'besides') : 'none';
    const code =
      variant.kind === 'tile'
        ? memoCode(tileKernelCode, { ...kernel, ...variant, query: access, key: access, remainder })
        : matrixCode(
            { ...kernel, ...variant, softcap: options.softcap !== undefined, remainder: here !== undefined },
            options.matrices,
          );
    call.pass({
      label: `${label}/${mask ? 'sparse' : 'dense'}`,
      pipeline: { label: `${mask ? 'block-sparse' : 'dense'} attention`, code },
      bindings: [
        { uniform: dispatchParams(shape, plan, dispatch, mask, options, here) },
        rangeOf(tensors.q, dispatch.query),
        ...(alone ? [] : [rangeOf(tensors.k, dispatch.key), rangeOf(tensors.v, dispatch.key)]),
        ...(mask && !alone ? [mask.starts, mask.counts] : []),
        ...(dispatch.carry.out ? [] : [rangeOf(tensors.out, dispatch.query)]),
        ...(carriedRows && carriedOut
          ? [
              { buffer: carriedRows, size: state.rows },
              { buffer: carriedOut, size: state.out },
            ]
          : []),
        ...(here ? [here.means, here.list] : []),
      ],
      workgroups: [dispatch.tiles, shape.heads, dispatch.batches],
    });
  }
  return plan;
}

/** Text of a kernel; with a dialect of the caller's it is made anew. */
function matrixCode(kernel: Parameters<typeof matrixKernelCode>[0], matrices: AttentionOptions['matrices']): string {
  return matrices ? matrixKernelCode(kernel, matrices()) : memoCode(nativeMatrixCode, kernel);
}

function nativeMatrixCode(kernel: Parameters<typeof matrixKernelCode>[0]): string {
  return matrixKernelCode(kernel);
}
