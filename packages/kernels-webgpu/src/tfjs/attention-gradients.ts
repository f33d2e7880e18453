// Gradients of the attention kernels on tfjs' webgpu backend. The mask of the forward pass is held fixed.
import * as tf from '@tensorflow/tfjs';
import { attentionShape, HipError } from '@hip/mask-search';
import { encodeAttentionGradient } from '../attention/gradient.ts';
import { destroyMask } from '../attention/mask.ts';
import { GpuCall } from '../dispatch/call.ts';
import {
  FLASH_KERNEL,
  HIP_KERNEL,
  KERNELS,
  uploadedMask,
  takeMask,
  type AttentionAttributes,
} from './attention-kernels.ts';
import { contextOfBackend, flush, outputTensor, tensorOf, webgpuBackend } from './backend-buffers.ts';

/** Gradients registered by others (the CPU kernels) for the same kernel names: tfjs keeps one per name. */
const others = new Map<string, tf.GradFunc>();

function gradient(
  kernelName: string,
  dy: tf.Tensor,
  saved: tf.Tensor[],
  attrs: tf.NamedAttrMap,
): ReturnType<tf.GradFunc> {
  const [q, k, v] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
  const { causal, scale, softcap, mask: given } = attrs as unknown as AttentionAttributes;
  const shape = attentionShape(q.shape, k.shape, v.shape);
  const backend = webgpuBackend(tf.backend());
  using call = new GpuCall(contextOfBackend(backend));
  const found = kernelName === HIP_KERNEL ? takeMask(attrs) : undefined;
  if (kernelName === HIP_KERNEL && !found) {
    throw new HipError(
      'internal',
      'the mask of the forward pass is gone: give runKernel a new attributes object each time, and take its gradient once',
    );
  }
  const mask = found ?? (given && kernelName !== FLASH_KERNEL ? uploadedMask(call, given) : undefined);
  const [dq, dk, dv] = [q, k, v].map(({ shape: extents }) => outputTensor(backend, extents)) as [
    ReturnType<typeof outputTensor>,
    ReturnType<typeof outputTensor>,
    ReturnType<typeof outputTensor>,
  ];
  const tensors = {
    q: tensorOf(backend, q),
    k: tensorOf(backend, k),
    v: tensorOf(backend, v),
    gradient: tensorOf(backend, dy),
    dq: dq.tensor,
    dk: dk.tensor,
    dv: dv.tensor,
  };
  encodeAttentionGradient(call, tensors, shape, mask, {
    causal,
    ...(scale === undefined ? {} : { scale }),
    ...(softcap === undefined ? {} : { softcap }),
  });
  flush(backend);
  call.submit();
  // The queue runs in order: what is freed now is freed after its use.
  if (found) destroyMask(found);
  const [tensorQ, tensorK, tensorV] = [dq, dk, dv].map(({ info }) => tf.engine().makeTensorFromTensorInfo(info)) as [
    tf.Tensor,
    tf.Tensor,
    tf.Tensor,
  ];
  return { q: () => tensorQ, k: () => tensorK, v: () => tensorV };
}

/** Registers the gradients; on other backends the ones that were there before stay in charge. */
export function registerAttentionGradients(): void {
  for (const kernelName of KERNELS) {
    const before = tf.getGradient(kernelName);
    if (before) {
      others.set(kernelName, before.gradFunc);
      tf.unregisterGradient(kernelName);
    }
    tf.registerGradient({
      kernelName,
      inputsToSave: ['q', 'k', 'v'],
      gradFunc: (dy, saved, attrs) => {
        if (tf.getBackend() === 'webgpu') return gradient(kernelName, dy as tf.Tensor, saved, attrs);
        const other = others.get(kernelName);
        if (!other)
          throw new HipError(
            'unsupported',
            `no gradient of ${kernelName} on ${tf.getBackend()}: close the WebGPU kernels, then register the CPU kernels`,
            { backend: tf.getBackend() },
          );
        return other(dy, saved, attrs);
      },
    });
  }
}

/** Puts back what was registered before. */
export function unregisterAttentionGradients(): void {
  for (const kernelName of KERNELS) {
    if (tf.getGradient(kernelName)) tf.unregisterGradient(kernelName);
    const gradFunc = others.get(kernelName);
    if (gradFunc) tf.registerGradient({ kernelName, inputsToSave: ['q', 'k', 'v'], gradFunc });
  }
  others.clear();
}
