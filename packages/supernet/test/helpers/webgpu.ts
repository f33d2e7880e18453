// tfjs-webgpu on the GPU that @hip/testing opens, beside the cpu backend for reference values.
import * as tf from '@tensorflow/tfjs';
import { reuseWebGpuBindings } from '../../src/webgpu/dispatch-cache.ts';

/** Starts tfjs-webgpu; call inside `describeGpu`, which has installed `navigator.gpu`. */
export async function startWebGpu(): Promise<void> {
  await import('@tensorflow/tfjs-backend-webgpu');
  // Submissions cost more than dispatches on a software GPU.
  tf.env().set('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE', 64);
  await tf.setBackend('webgpu');
  await tf.ready();
  reuseWebGpuBindings();
  if (tf.getBackend() !== 'webgpu') throw new Error('tfjs-webgpu did not start');
}

/** Values of the tensors that a function makes, on one backend. */
export async function valuesOn(backend: 'cpu' | 'webgpu', run: () => tf.Tensor[]): Promise<Float32Array[]> {
  await tf.setBackend(backend);
  const tensors = tf.tidy(run);
  const values = await Promise.all(tensors.map(async (tensor) => Float32Array.from(await tensor.data())));
  tf.dispose(tensors);
  return values;
}
