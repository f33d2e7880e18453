// The attention kernels `HipAttention`, `BlockSparseAttention` and `FlashAttention` for tfjs' cpu and wasm backends, with their gradients.
import * as tf from '@tensorflow/tfjs';
import {
  blockSparseAttentionGradient,
  denseMask,
  HipError,
  type BlockMask,
  type HipConfig,
  type ScoreOptions,
} from '@hip/mask-search';
import type { CpuRuntime } from '../runtime/runtime.ts';
import { makeTensor, valuesOf } from './backend-data.ts';
import { shapeOf } from './shape.ts';

export const HIP_KERNEL = 'HipAttention';
export const FLASH_KERNEL = 'FlashAttention';
export const SPARSE_KERNEL = 'BlockSparseAttention';

const KERNELS = [HIP_KERNEL, SPARSE_KERNEL, FLASH_KERNEL];

/** Attributes of the kernels. */
export interface AttentionAttributes extends ScoreOptions {
  readonly causal: boolean;
  /** Of {@link HIP_KERNEL}. */
  readonly config?: Partial<HipConfig> | undefined;
  /** Of {@link SPARSE_KERNEL}. */
  readonly mask?: BlockMask | undefined;
  /** Of {@link HIP_KERNEL}: receives the mask that was found. */
  readonly onMask?: ((mask: BlockMask) => void) | undefined;
}

interface KernelArguments {
  readonly inputs: tf.NamedTensorInfoMap;
  readonly backend: unknown;
  readonly attrs?: tf.NamedAttrMap;
}

/** Masks of forward passes, by their attributes object: one per call, and what the gradient is handed again. */
const masks = new WeakMap<object, BlockMask>();

/** Registers the kernels for a backend name; a second registration replaces the first. */
export function registerAttention(backendName: string, runtime: () => CpuRuntime): void {
  for (const kernelName of KERNELS) {
    if (tf.getKernel(kernelName, backendName)) tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: (args) => {
        const { inputs, backend, attrs } = args as KernelArguments;
        const { q, k, v } = inputs as unknown as { q: tf.TensorInfo; k: tf.TensorInfo; v: tf.TensorInfo };
        const { causal, config, mask: given, scale, softcap, onMask } = attrs as unknown as AttentionAttributes;
        const shape = shapeOf(q.shape, k.shape, v.shape);
        const values = [q, k, v].map((tensor) => valuesOf(backend, tensor)) as [
          Float32Array,
          Float32Array,
          Float32Array,
        ];
        if (kernelName === FLASH_KERNEL)
          return makeTensor(backend, q.shape, runtime().denseAttention(...values, shape, { causal, scale, softcap }));
        if (kernelName === SPARSE_KERNEL) {
          if (!given)
            throw new HipError('invalid-config', `mask is ${given}: give ${SPARSE_KERNEL} a BlockMask`, {
              name: 'mask',
            });
          return makeTensor(
            backend,
            q.shape,
            runtime().blockSparseAttention(...values, shape, given, { scale, softcap }),
          );
        }
        const { output, mask } = runtime().hipAttention(...values, shape, { ...config, causal }, { scale, softcap });
        onMask?.(mask);
        masks.set(attrs as object, mask);
        return makeTensor(backend, q.shape, output);
      },
    });
  }
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
        const shape = shapeOf(q.shape, k.shape, v.shape);
        const mask = kernelName === FLASH_KERNEL ? denseMask(shape, causal) : (given ?? masks.get(attrs));
        if (!mask)
          throw new HipError(
            'internal',
            'the mask of the forward pass is gone: call hipAttention, or give runKernel a new attributes object each time',
          );
        const gradients = blockSparseAttentionGradient(
          q.dataSync() as Float32Array,
          k.dataSync() as Float32Array,
          v.dataSync() as Float32Array,
          (dy as tf.Tensor).dataSync() as Float32Array,
          shape,
          mask,
          { scale, softcap },
        );
        return {
          q: () => tf.tensor4d(Float32Array.from(gradients.q), q.shape),
          k: () => tf.tensor4d(Float32Array.from(gradients.k), k.shape),
          v: () => tf.tensor4d(Float32Array.from(gradients.v), v.shape),
        };
      },
    });
  }
}
