// The passes of a step that attends to what a search has found: append, the stages that are due, attention; whole, or cut where keys are first read.
import { resolveRemainder } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import type { GpuCall } from '../dispatch/call.ts';
import { encodePseudoList } from '../remainder/encode.ts';
import { encodeSearch } from '../search/search.ts';
import { rowStages } from '../search/row-passes.ts';
import { encodeDecode, pseudoInside } from './decode.ts';
import type { Layer } from './layer.ts';
import { firstKeyStage } from './offload.ts';
import { encodeRowAttention, planRowAttention } from './row.ts';
import type { RowAttentionKernel } from './row-code.ts';
import type { SearchedState } from './searched-state.ts';
import type { SharedScratch } from './shared-scratch.ts';
import type { StepUniforms } from './step-uniforms.ts';
import type { StepTensors } from './tensors.ts';
import type { ViewState } from './view-states.ts';

/** A step, or its part before or after the first stage that reads keys. */
export type StepPart = 'whole' | 'before' | 'after';

export interface SearchedStep {
  readonly cache: KvCache;
  readonly layer: Layer;
  readonly state: SearchedState;
  readonly uniforms: StepUniforms;
  readonly scratch: SharedScratch;
  readonly tensors: StepTensors;
  readonly part: StepPart;
  /** First stage that runs; undefined: the mask serves. */
  readonly stage: number | undefined;
  /** Views in place of the state's. */
  readonly views?: readonly ViewState[] | undefined;
}

/** Whether a step's search reads what stands for chunks. */
export function readsSummaries({ views }: SearchedState, stage: number | undefined): boolean {
  if (stage === undefined) return false;
  return views.some(({ plan }) =>
    plan.slabs[0]!.passes.some(
      (pass) => pass.stage >= stage && pass.buffers.some((role) => /^(?:envelope|moments)\//u.test(role)),
    ),
  );
}

export function encodeSearchedStep(call: GpuCall, step: SearchedStep): void {
  const { cache, layer, state, uniforms, scratch, tensors, part, stage } = step;
  const config = layer.stepConfig!;
  const { mask, pseudo } = state;
  const views = step.views ?? state.views;
  // A search of summaries reads the cache before the attention does. One row's last stages do not read the newest key.
  const late = stage === undefined || rowStages(stage, views[0]!.plan.request) !== undefined;
  const mayAppend = late && config.window > 0;
  const rows = part === 'whole' ? rowKernels(step, mayAppend) : undefined;
  const fused = rows ? rows[0]!.append : part === 'whole' && mayAppend && appendsOnTheWay(step);
  if (part !== 'after' && !fused) cache.encodeAppend(call, tensors.k, tensors.v, 1, (i) => uniforms.append(i));
  if (stage !== undefined) encodeStages(call, step, rows !== undefined);
  if (rows) {
    encodeRows(call, step, rows, fused);
    return;
  }
  if (part === 'before') return;
  // Every view's search has written the mask.
  if (stage !== undefined && pseudo && !listsInside(step, fused)) encodePseudoList(call, mask, pseudo, uniforms.pseudo);
  views.forEach(({ plan, view, means, options }, i) => {
    encodeDecode(
      call,
      { q: tensors.q, out: tensors.out, k: view.k, v: view.v, pages: view.pages },
      plan.request.shape,
      mask,
      {
        ...options,
        ...(fused && { append: tensors }),
        ...(means && pseudo && { pseudo: { ...pseudo, means: means.range } }),
        parts: (bytes) => scratch.take('parts of rows', bytes),
        uniform: (dispatch) => uniforms.decode(i, dispatch),
      },
    );
  });
}

/** The search, from the stage that is due. */
function encodeStages(call: GpuCall, step: SearchedStep, chosenLater: boolean): void {
  const { layer, state, uniforms, tensors, part } = step;
  const stage = step.stage!;
  const { stages } = layer.stepConfig!;
  const key = firstKeyStage(layer.stepConfig!);
  const summaries = part !== 'after' && readsSummaries(state, stage);
  (step.views ?? state.views).forEach(({ plan, view, envelopes, scratch }, i) => {
    if (summaries) envelopes.prepare(call, plan, view, layer.interval + 1, (chunk) => uniforms.envelope(i, chunk));
    encodeSearch(call, plan, {
      q: tensors.q,
      k: view.k,
      pages: view.pages?.table,
      envelopes,
      mask: state.mask,
      scratch: (role) => scratch.get(role)!,
      shape: (chunk) => uniforms.shape(i, chunk),
      fromStage: part === 'after' ? Math.max(stage, key) : stage,
      toStage: part === 'before' ? key : chosenLater ? stages!.length - 1 : Infinity,
    });
  });
}

/** Choice and attention in one pass. */
function encodeRows(call: GpuCall, step: SearchedStep, kernels: readonly RowAttentionKernel[], fused: boolean): void {
  const { state, uniforms, tensors } = step;
  kernels.forEach((kernel, i) => {
    const { plan, view, scratch, means } = state.views[i]!;
    encodeRowAttention(call, plan, kernel, {
      q: tensors.q,
      out: tensors.out,
      k: view.k,
      v: view.v,
      pages: view.pages?.table,
      mask: state.mask,
      means: means?.range,
      scratch: (role) => scratch.get(role)!,
      shape: uniforms.shape(i, 0),
      ...(fused && { append: tensors }),
    });
  });
}

/** Kernels in which one workgroup a head chooses and attends, for all views or none. */
function rowKernels(step: SearchedStep, mayAppend: boolean): readonly RowAttentionKernel[] | undefined {
  if (step.stage === undefined) return undefined;
  return (mayAppend ? rowKernelsOf(step, true) : undefined) ?? rowKernelsOf(step, false);
}

function rowKernelsOf(
  { cache, layer, state, stage }: SearchedStep,
  append: boolean,
): readonly RowAttentionKernel[] | undefined {
  const { limits } = cache.pool.context;
  const { scale, softcap, stepConfig } = layer;
  const remainder = stepConfig!.remainder && resolveRemainder(stepConfig!.remainder);
  const kernels = state.views.map(({ plan, means, options }) => {
    const pseudo = means && state.pseudo;
    const { slots = 0 } = options;
    return planRowAttention({ plan, stage: stage!, limits, slots, remainder, pseudo, append, scale, softcap });
  });
  return kernels.every((kernel) => kernel !== undefined) ? kernels : undefined;
}

/** Whether the attention kernel has bindings left for the new token, which come before those for pseudo-keys. */
function appendsOnTheWay({ cache, state }: SearchedStep): boolean {
  const needed = (cache.contiguous ? 8 : 9) + (state.pseudo ? 1 : 0);
  return cache.pool.context.limits.maxStorageBuffersPerShaderStage >= needed;
}

/** Whether the attention of every view lists its pseudo-keys itself. */
function listsInside({ cache, state, views = state.views }: SearchedStep, append: boolean): boolean {
  const { mask, pseudo } = state;
  const { context, headDim } = cache.pool;
  return views.every(
    ({ decode, view, means }) =>
      means &&
      pseudo &&
      pseudoInside(decode, mask, pseudo, headDim, context.limits, { pages: view.pages !== undefined, append }),
  );
}
