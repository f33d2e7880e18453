// One call, one submit: dense attention, and HiP attention with its mask search.
import {
  maskLayout,
  resolveConfig,
  type AttentionShape,
  type HipConfig,
  type MaskLayout,
  type ScoreOptions,
} from '@hip/mask-search';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { emptyTensor, type GpuTensor } from '../dispatch/tensor.ts';
import type { Timer } from '../dispatch/timer.ts';
import { capacityOf, planSearch } from '../search/plan.ts';
import { encodeSearch } from '../search/search.ts';
import { encodeAttention, type AttentionOptions } from './dispatch.ts';
import type { GpuMask } from './mask.ts';

/** q [B, Tq, H, d]; k, v [B, Tk, Hkv, d], of one element type. */
export interface AttentionInputs {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  /** Receives the output. @defaultValue a new tensor like q */
  readonly out?: GpuTensor | undefined;
}

export interface HipOptions extends ScoreOptions {
  /** @defaultValue DEFAULT_CONFIG of `@hip/mask-search` */
  readonly config?: Partial<HipConfig> | undefined;
  /** Receives the GPU time of each pass. */
  readonly timer?: Timer | undefined;
}

/** Encodes into a call and submits it; a call that is refused leaves no memory behind. @returns the output */
function run(
  context: GpuContext,
  { q, out: given }: AttentionInputs,
  timer: Timer | undefined,
  encode: (call: GpuCall, out: GpuTensor) => void,
): GpuTensor {
  using call = new GpuCall(context);
  const out = given ?? emptyTensor({ context, type: q.type, length: q.length, label: 'attention' });
  try {
    encode(call, out);
    call.submit(timer);
  } catch (error) {
    if (!given) out.buffer.destroy();
    throw error;
  }
  return out;
}

/** The layout of the mask that a configuration finds. */
export function maskSizes(shape: AttentionShape, config: HipConfig): MaskLayout {
  return maskLayout(shape, config, capacityOf(config));
}

/** A mask in scratch of a call: it lives until the submit. */
export function scratchMask(call: GpuCall, sizes: MaskLayout): GpuMask {
  const cells = sizes.batch * sizes.maskHeads * sizes.queryBlocks;
  const room = (count: number, label: string): { buffer: GPUBuffer; size: number } => ({
    buffer: call.scratch(4 * count, label),
    size: 4 * count,
  });
  return { ...sizes, starts: room(cells * sizes.capacity, 'mask starts'), counts: room(cells, 'mask counts') };
}

/**
 * Exact attention without the T×T matrix. Cost O(Tq·Tk·d), no extra memory.
 *
 * @throws HipError `invalid-shape`, `unsupported`, `device-lost`; what the GPU refuses, by `context.settled()`
 * @example
 * ```ts
 * import { contextOf, flashAttention, readTensor, requestHipDevice, uploadTensor } from '@hip/kernels-webgpu';
 *
 * const adapter = await navigator.gpu.requestAdapter();
 * const context = contextOf(await requestHipDevice(adapter));
 * const shape = { batch: 1, queries: 64, keys: 64, heads: 2, kvHeads: 1, headDim: 32 };
 * const upload = (length) => uploadTensor(context, new Float32Array(length).fill(0.5), 'f16');
 * const [q, k, v] = [upload(64 * 2 * 32), upload(64 * 32), upload(64 * 32)];
 * const out = await readTensor(context, flashAttention(context, { q, k, v }, shape));
 * console.log(out[0]); // => 0.5
 * context.device.destroy();
 * ```
 */
export function flashAttention(
  context: GpuContext,
  inputs: AttentionInputs,
  shape: AttentionShape,
  { timer, ...options }: AttentionOptions & { readonly timer?: Timer | undefined } = {},
): GpuTensor {
  return run(context, inputs, timer, (call, out) => {
    encodeAttention(call, { ...inputs, out }, shape, undefined, options);
  });
}

/**
 * HiP attention: finds the keys that matter to each block of queries, then attends to those, the sinks and the window
 * (docs/specification/hip.md §2–§4). One submit, no readback.
 *
 * @throws HipError `invalid-config`, `invalid-shape`, `unsupported`, `device-lost`; what the GPU refuses, by `context.settled()`
 */
export function hipAttention(
  context: GpuContext,
  inputs: AttentionInputs,
  shape: AttentionShape,
  { config, timer, ...score }: HipOptions = {},
): GpuTensor {
  const resolved = resolveConfig(config);
  const { profile, limits } = context;
  const plan = planSearch({ shape, config: resolved, type: inputs.q.type, profile, limits, score });
  return run(context, inputs, timer, (call, out) => {
    const mask = scratchMask(call, maskSizes(shape, resolved));
    encodeSearch(call, plan, { ...inputs, mask });
    encodeAttention(call, { ...inputs, out }, shape, mask, score);
  });
}
