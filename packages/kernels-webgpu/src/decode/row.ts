// A decode step's choice and attention in one dispatch, where the plan votes for one row and the device has bindings and lanes enough.
import type { Remainder, ScoreOptions } from '@hip/mask-search';
import type { GpuMask } from '../attention/mask.ts';
import type { DeviceLimits } from '../device/limits.ts';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import type { PseudoKeys } from '../remainder/encode.ts';
import { exactTail } from '../remainder/layout.ts';
import { memoCode } from '../search/code/memo.ts';
import type { SearchPlan } from '../search/plan.ts';
import { rowChooseKernel, rowStages } from '../search/row-passes.ts';
import { MOST_BLOCKS_INSIDE, MOST_INSIDE, type PseudoInside } from './pseudo-inside.ts';
import { rowAttentionBuffers, rowAttentionBytes, rowAttentionCode, type RowAttentionKernel } from './row-code.ts';

/** Lanes of the workgroup, the preferred number first. */
const LANES = [512, 256];

export interface RowAttentionRequest extends ScoreOptions {
  readonly plan: SearchPlan;
  /** First stage of the step's search. */
  readonly stage: number;
  readonly limits: DeviceLimits;
  /** Keys of a row's list at most. */
  readonly slots: number;
  readonly remainder: Remainder | undefined;
  /** Of a cache whose means are kept. */
  readonly pseudo: Pick<PseudoKeys, 'layout' | 'most'> | undefined;
  readonly append: boolean;
}

/** The kernel of a step; undefined where passes of their own serve. */
export function planRowAttention({
  plan: { request, constants, slabs },
  stage,
  limits,
  slots,
  remainder,
  pseudo,
  append,
  scale,
  softcap,
}: RowAttentionRequest): RowAttentionKernel | undefined {
  const { shape, config, pageShift } = request;
  const index = (config.stages ?? []).length - 2;
  const stages = rowStages(index, request);
  const voted = slabs[0]!.passes.some(({ label }) => label.endsWith('-choose'));
  if (!stages || !voted || stage > index || shape.batch !== 1 || slabs[0]!.windows.length > 1) return undefined;
  const choose = rowChooseKernel(stages, index, request, constants);
  const inside: PseudoInside | undefined = pseudo && {
    block: pseudo.layout.block,
    most: pseudo.layout.most,
    baseBlocks: pseudo.layout.baseBlocks,
    meanRows: pseudo.layout.rows,
    slots: pseudo.most,
    capacity: Math.max(1, choose.keep),
  };
  if (inside && (inside.slots > MOST_INSIDE || inside.capacity > MOST_BLOCKS_INSIDE)) return undefined;
  const buffers = { pages: pageShift !== undefined, append, pseudo: inside !== undefined };
  if (rowAttentionBuffers(buffers) > limits.maxStorageBuffersPerShaderStage) return undefined;
  const score = { scale: scale ?? 1 / Math.sqrt(shape.headDim), softcap };
  const tailBlock = exactTail(remainder);
  return LANES.map((lanes) => ({
    choose,
    score,
    lanes,
    slots: slots + tailBlock,
    tailBlock,
    pseudo: inside,
    append,
  })).find(
    (kernel) =>
      kernel.lanes <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
      kernel.lanes >= shape.headDim / 8 &&
      rowAttentionBytes(kernel) <= limits.maxComputeWorkgroupStorageSize,
  );
}

/** What the pass runs on. */
export interface RowAttentionBuffers {
  readonly shape: BufferRange;
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
  readonly mask: GpuMask;
  readonly scratch: (role: string) => BufferRange;
  readonly pages?: BufferRange | undefined;
  readonly append?: { readonly k: GpuTensor; readonly v: GpuTensor } | undefined;
  readonly means?: BufferRange | undefined;
}

/** Adds the pass. The search before it stops ahead of its last stage. */
export function encodeRowAttention(
  call: GpuCall,
  { request, slabs }: SearchPlan,
  kernel: RowAttentionKernel,
  { shape, q, k, v, out, mask, scratch, pages, append, means }: RowAttentionBuffers,
): void {
  const index = (request.config.stages ?? []).length - 2;
  const all = ({ buffer, offset = 0, length, type }: GpuTensor): BufferRange => ({
    buffer,
    offset,
    size: length * (type === 'f32' ? 4 : 2),
  });
  const { range } = slabs[0]!.windows[0]!;
  const keys = ({ buffer, offset = 0 }: GpuTensor): BufferRange => ({
    buffer,
    offset: offset + range.offset,
    size: range.size,
  });
  call.pass({
    label: 'decode/choose-attend',
    pipeline: { label: 'choice and attention of a row', code: memoCode(rowAttentionCode, kernel) },
    bindings: [
      shape,
      all(q),
      keys(k),
      keys(v),
      all(out),
      mask.starts,
      mask.counts,
      scratch('scores'),
      scratch('sums'),
      scratch(`starts/${index - 1}`),
      scratch(`counts/${index - 1}`),
      ...(pages ? [pages] : []),
      ...(append ? [all(append.k), all(append.v)] : []),
      ...(kernel.pseudo ? [means!] : []),
    ],
    workgroups: [1, 1, request.shape.heads],
  });
}
