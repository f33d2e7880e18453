// The attention kernels `HipAttention`, `BlockSparseAttention` and `FlashAttention` for tfjs' webgpu backend.
import * as tf from '@tensorflow/tfjs';
import {
  attentionShape,
  checkShape,
  HipError,
  resolveConfig,
  type AttentionShape,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
import { maskSizes, scratchMask } from '../attention/attend.ts';
import { encodeAttention } from '../attention/dispatch.ts';
import { allocateMask, checkHostMask, destroyMask, readMask, type GpuMask } from '../attention/mask.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { planSearch } from '../search/plan.ts';
import { encodeSearch } from '../search/search.ts';
import { contextOfBackend, flush, outputTensor, tensorOf, webgpuBackend } from './backend-buffers.ts';

export const HIP_KERNEL = 'HipAttention';
export const FLASH_KERNEL = 'FlashAttention';
export const SPARSE_KERNEL = 'BlockSparseAttention';
export const KERNELS: readonly string[] = [HIP_KERNEL, SPARSE_KERNEL, FLASH_KERNEL];

/** A mask that stays on the GPU: the {@link SPARSE_KERNEL} reads it there, in later calls too. Its owner destroys it. */
export interface DeviceMask extends GpuMask {
  destroy(): void;
}

/** Attributes of the kernels. */
export interface AttentionAttributes extends ScoreOptions {
  /** Wins over `config.causal`. */
  readonly causal: boolean;
  /** Of {@link HIP_KERNEL}. */
  readonly config?: Partial<HipConfig> | undefined;
  /** Of {@link SPARSE_KERNEL}: from the host, or where {@link AttentionAttributes.onDeviceMask} left it. */
  readonly mask?: BlockMask | DeviceMask | undefined;
  /** Of {@link HIP_KERNEL}: receives the mask that was found, once it was read back: after the call has returned. */
  readonly onMask?: ((mask: BlockMask) => void) | undefined;
  /** Of {@link HIP_KERNEL}: receives the mask where it is, during the call; not under a gradient, which takes the mask itself. */
  readonly onDeviceMask?: ((mask: DeviceMask) => void) | undefined;
}

interface KernelArguments {
  readonly inputs: tf.NamedTensorInfoMap;
  readonly backend: unknown;
  readonly attrs?: tf.NamedAttrMap;
}

/** Masks of forward passes that a gradient will want, by their attributes object: one per call. */
const kept = new WeakMap<object, GpuMask>();

/** The mask a forward pass left, removed: the gradient frees it. */
export function takeMask(attrs: object): GpuMask | undefined {
  const mask = kept.get(attrs);
  kept.delete(attrs);
  return mask;
}

/** A mask on the GPU: as it is, or copied from the host into scratch of a call. @throws HipError `invalid-mask`, `unsupported` */
export function uploadedMask(call: GpuCall, mask: BlockMask | DeviceMask): GpuMask {
  if (isOnDevice(mask)) return mask;
  checkHostMask(mask);
  const upload = (values: Int32Array, label: string): { buffer: GPUBuffer; size: number } => {
    const buffer = call.scratch(values.byteLength, label);
    call.context.device.queue.writeBuffer(buffer, 0, new Int32Array(values));
    return { buffer, size: values.byteLength };
  };
  return { ...mask, starts: upload(mask.starts, 'mask starts'), counts: upload(mask.counts, 'mask counts') };
}

function isOnDevice(mask: BlockMask | DeviceMask): mask is DeviceMask {
  return 'destroy' in mask;
}

interface Inputs {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
}

/** Adds a search to a call. */
function search(
  call: GpuCall,
  context: GpuContext,
  { q, k }: Inputs,
  shape: AttentionShape,
  config: HipConfig,
  mask: GpuMask,
  score: ScoreOptions,
): void {
  const { profile, limits } = context;
  const plan = planSearch({ shape, config, type: 'f32', profile, limits, score });
  encodeSearch(call, plan, { q, k, mask });
}

/** Whether tfjs records what runs now for a gradient. */
function recording(): boolean {
  return (tf.engine().state as { readonly activeTape?: unknown }).activeTape != null;
}

/** Runs one kernel. */
function runKernel(kernelName: string, { inputs, backend: current, attrs }: KernelArguments): tf.TensorInfo {
  const { q, k, v } = inputs as unknown as { q: tf.TensorInfo; k: tf.TensorInfo; v: tf.TensorInfo };
  const attributes = attrs as unknown as AttentionAttributes;
  const { causal, config, mask: given, scale, softcap, onMask, onDeviceMask } = attributes;
  const backend = webgpuBackend(current);
  const context = contextOfBackend(backend);
  const shape = attentionShape(q.shape, k.shape, v.shape);
  const score = { ...(scale === undefined ? {} : { scale }), ...(softcap === undefined ? {} : { softcap }) };
  const tensors = { q: tensorOf(backend, q), k: tensorOf(backend, k), v: tensorOf(backend, v) };
  using call = new GpuCall(context);
  let mask: GpuMask | undefined;
  let resolved: HipConfig | undefined;
  let keep = false;
  if (kernelName === SPARSE_KERNEL) {
    if (!given)
      throw new HipError('invalid-config', `mask is ${String(given)}: give ${SPARSE_KERNEL} a BlockMask`, {
        name: 'mask',
      });
    mask = uploadedMask(call, given);
  } else if (kernelName === HIP_KERNEL) {
    resolved = resolveConfig({ ...config, causal });
    checkShape(shape);
    const sizes = maskSizes(shape, resolved);
    keep = onMask !== undefined || onDeviceMask !== undefined || recording();
    mask = keep ? allocateMask(context, sizes) : scratchMask(call, sizes);
  }
  let info: tf.TensorInfo | undefined;
  try {
    if (resolved && mask) search(call, context, tensors, shape, resolved, mask, score);
    const output = outputTensor(backend, q.shape);
    info = output.info;
    encodeAttention(call, { ...tensors, out: output.tensor }, shape, mask, { causal, ...score });
    flush(backend);
    call.submit();
  } catch (error) {
    if (mask && keep) destroyMask(mask);
    if (info) backend.disposeData(info.dataId);
    throw error;
  }
  if (mask && keep) keepMask(context, mask, attributes);
  return info;
}

/** Holds a mask for the gradient, or gives it to `onDeviceMask`; for `onMask` until it was read back. */
function keepMask(context: GpuContext, mask: GpuMask, attributes: AttentionAttributes): void {
  const { onMask, onDeviceMask } = attributes;
  const isRecorded = recording();
  if (isRecorded) kept.set(attributes, mask);
  const isOwned = isRecorded || onDeviceMask !== undefined;
  if (onMask) void deliver(context, mask, isOwned, onMask);
  else if (!isOwned) destroyMask(mask);
  if (!isRecorded) onDeviceMask?.({ ...mask, destroy: () => destroyMask(mask) });
}

async function deliver(
  context: GpuContext,
  mask: GpuMask,
  isOwned: boolean,
  onMask: (mask: BlockMask) => void,
): Promise<void> {
  let host: BlockMask;
  try {
    host = await readMask(context, mask);
  } catch {
    // A lost device is reported by the next call.
    return;
  }
  if (!isOwned) destroyMask(mask);
  onMask(host);
}

/** Registers the kernels for the webgpu backend; a second registration replaces the first. */
export function registerAttention(): void {
  for (const kernelName of KERNELS) {
    if (tf.getKernel(kernelName, 'webgpu')) tf.unregisterKernel(kernelName, 'webgpu');
    tf.registerKernel({
      kernelName,
      backendName: 'webgpu',
      kernelFunc: (args) => runKernel(kernelName, args),
    });
  }
}

/** Removes the kernels. */
export function unregisterAttention(): void {
  for (const kernelName of KERNELS) if (tf.getKernel(kernelName, 'webgpu')) tf.unregisterKernel(kernelName, 'webgpu');
}
