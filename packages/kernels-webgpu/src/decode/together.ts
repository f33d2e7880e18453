// Attention of one row of each of several sequences of a pool in one dispatch and its merge: alone, each would leave a GPU idle.
import type { AttentionShape } from '@hip/mask-search';
import type { BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { memoCode } from '../search/code/memo.ts';
import { decodeCode } from './code.ts';
import { mergeCode } from './merge-code.ts';
import type { DecodePlan } from './plan.ts';
import type { StepTensors } from './tensors.ts';

/** q and out [rows, all heads, d]; k and v a pool's pages; a buffer of page tables. */
export interface TogetherTensors extends StepTensors {
  readonly table: GPUBuffer;
  readonly shift: number;
}

export interface TogetherOptions {
  readonly softcap: number | undefined;
  /** Scratch for all parts. */
  readonly parts: BufferRange;
  /** Of each sequence: `DECODE` with its row and the place of its table. */
  readonly uniforms: readonly BufferRange[];
  /** The newest tokens' keys and values. */
  readonly append: { readonly k: GpuTensor; readonly v: GpuTensor };
}

const all = ({ buffer, offset = 0, length, type }: GpuTensor): BufferRange => ({
  buffer,
  offset,
  size: length * (type === 'f32' ? 4 : 2),
});

/** Adds the passes. @param shape of one sequence's row @param plan of it, in one dispatch */
export function encodeDecodeTogether(
  call: GpuCall,
  { q, k, v, out, table, shift }: TogetherTensors,
  shape: AttentionShape,
  plan: DecodePlan,
  { softcap, parts, uniforms, append }: TogetherOptions,
): void {
  const { headDim, heads, kvHeads } = shape;
  const together = uniforms.length;
  const [dispatch] = plan.dispatches as readonly [DecodePlan['dispatches'][number]];
  const code = memoCode(decodeCode, {
    headDim,
    type: q.type,
    group: heads / kvHeads,
    heads: plan.heads,
    causal: true,
    softcap: softcap !== undefined,
    pageShift: shift,
    append: true,
    together,
  });
  const keys = ({ buffer, offset = 0 }: GpuTensor): BufferRange => ({
    buffer,
    offset: offset + dispatch.window.range.offset,
    size: dispatch.window.range.size,
  });
  call.pass({
    label: 'decode/dense',
    pipeline: { label: 'split-key attention of several sequences', code },
    bindings: [...uniforms, all(q), keys(k), keys(v), parts, { buffer: table }, all(append.k), all(append.v)],
    workgroups: [dispatch.splits, heads / plan.heads, together],
  });
  call.pass({
    label: 'decode/merge',
    pipeline: { label: 'split-key merge', code: memoCode(mergeCode, { headDim, type: q.type, together }) },
    bindings: [...uniforms, parts, all(out)],
    workgroups: [heads, 1, together],
  });
}
