// The attention kernels `HipAttention`, `BlockSparseAttention` and `FlashAttention` for tfjs' cpu and wasm backends, with their gradients.
import * as tf from '@tensorflow/tfjs';
import {
  attentionShape,
  denseMask,
  HipError,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
import type { CpuRuntime } from '../runtime/runtime.ts';
import { makeTensors } from './backend-data.ts';

export const HIP_KERNEL = 'HipAttention';
export const FLASH_KERNEL = 'FlashAttention';
export const SPARSE_KERNEL = 'BlockSparseAttention';
/** Gradients of the three: inputs q, k, v, dy; outputs dq, dk, dv. */
export const GRADIENT_KERNEL = 'BlockSparseAttentionGradient';

const KERNELS = [HIP_KERNEL, SPARSE_KERNEL, FLASH_KERNEL];

/** Attributes of the kernels. */
export interface AttentionAttributes extends ScoreOptions {
  /** Wins over `config.causal`. */
  readonly causal: boolean;
  /** Of {@link HIP_KERNEL}. */
  readonly config?: Partial<HipConfig> | undefined;
  /** Of {@link SPARSE_KERNEL}. */
  readonly mask?: BlockMask | undefined;
  /** Of {@link HIP_KERNEL}: receives the mask that was found. */
  readonly onMask?: ((mask: BlockMask) => void) | undefined;
}

type Three<T> = readonly [q: T, k: T, v: T];

/** Masks of forward passes, by their attributes object: one per call, and what the gradient is handed again. */
const masks = new WeakMap<object, BlockMask>();

function register(kernelName: string, backendName: string, kernelFunc: tf.KernelFunc): void {
  if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({ kernelName, backendName, kernelFunc });
}

/** Registers the kernels for a backend name; a second registration replaces the first. */
export function registerAttention(backendName: string, runtime: () => CpuRuntime): void {
  for (const kernelName of KERNELS) {
    register(kernelName, backendName, ({ inputs, backend, attrs }) => {
      const tensors = namedTensors(inputs, ['q', 'k', 'v']);
      const [qShape, kShape, vShape] = shapesOf(tensors);
      const shape = attentionShape(qShape, kShape, vShape);
      const { causal, config, mask, scale, softcap, onMask } = attrs as unknown as AttentionAttributes;
      const [tensor] = makeTensors(backend, tensors, [qShape], (data, [out]) => {
        const [q, k, v] = data as Three<Float32Array>;
        const options = { scale, softcap, out };
        if (kernelName === FLASH_KERNEL) runtime().denseAttention(q, k, v, shape, { ...options, causal });
        else if (kernelName === SPARSE_KERNEL)
          runtime().blockSparseAttention(q, k, v, shape, requireMask(mask), options);
        else {
          const found = runtime().hipAttention(q, k, v, shape, { ...config, causal }, options).mask;
          onMask?.(found);
          masks.set(attrs as object, found);
        }
      });
      return tensor!;
    });
  }
  register(GRADIENT_KERNEL, backendName, ({ inputs, backend, attrs }) => {
    const tensors = namedTensors(inputs, ['q', 'k', 'v', 'dy']);
    const shapes = shapesOf(tensors);
    const { mask, scale, softcap } = attrs as unknown as AttentionAttributes;
    return makeTensors(backend, tensors, shapes, (data, outputs) => {
      const [q, k, v, gradient] = data as [...Three<Float32Array>, Float32Array];
      const [dq, dk, dv] = outputs as Three<Float32Array>;
      const options = { scale, softcap, out: { q: dq, k: dk, v: dv } };
      runtime().blockSparseAttentionGradient(q, k, v, gradient, attentionShape(...shapes), requireMask(mask), options);
    });
  });
}

function namedTensors(inputs: tf.NamedTensorInfoMap, names: readonly string[]): tf.TensorInfo[] {
  return names.map((name) => {
    const tensor = inputs[name];
    if (!tensor) throw new HipError('invalid-shape', `the kernel needs an input ${name}`, { name });
    if (tensor.dtype !== 'float32') {
      throw new HipError('unsupported', `${name} is ${tensor.dtype}: cast it to float32`, {
        name,
        dtype: tensor.dtype,
      });
    }
    return tensor;
  });
}

function shapesOf([q, k, v]: readonly tf.TensorInfo[]): Three<number[]> {
  return [q!.shape, k!.shape, v!.shape];
}

function requireMask(mask: BlockMask | undefined): BlockMask {
  if (mask) return mask;
  throw new HipError('invalid-config', `mask is ${mask}: give ${SPARSE_KERNEL} a BlockMask`, { name: 'mask' });
}

/** Registers the gradients once. The mask of the forward pass is held fixed. */
export function registerAttentionGradients(): void {
  for (const kernelName of KERNELS) {
    if (tf.getGradient(kernelName)) continue;
    tf.registerGradient({
      kernelName,
      inputsToSave: ['q', 'k', 'v'],
      gradFunc: (dy, saved, attrs) => {
        const [q, k, v] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
        const { causal, scale, softcap, mask: given } = attrs as unknown as AttentionAttributes;
        const found = given ?? masks.get(attrs);
        const mask = kernelName === FLASH_KERNEL ? denseMask(attentionShape(q.shape, k.shape, v.shape), causal) : found;
        if (!mask) {
          const fix = 'call hipAttention, or give runKernel a new attributes object each time';
          throw new HipError('internal', `the mask of the forward pass is gone: ${fix}`);
        }
        const inputs = { q, k, v, dy: dy as tf.Tensor };
        const attributes = { mask, scale, softcap } as unknown as tf.NamedAttrMap;
        const gradients = tf.engine().runKernel<tf.Tensor[]>(GRADIENT_KERNEL, inputs, attributes);
        return Object.fromEntries(['q', 'k', 'v'].map((name, i) => [name, () => gradients[i]!]));
      },
    });
  }
}
