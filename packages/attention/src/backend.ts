// Which kernels serve the current tfjs backend, and getting them ready.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { registerCpuKernels, type RegisterOptions } from '@hip/kernels-cpu/tfjs';
import type { CpuRuntime } from '@hip/kernels-cpu';

export interface PrepareOptions extends RegisterOptions {}

/** What is ready: its backend, and the CPU runtime where that serves it. */
export interface PreparedAttention {
  readonly backend: 'cpu' | 'wasm' | 'webgpu';
  readonly cpu: CpuRuntime | undefined;
  close(): void;
}

let prepared: PreparedAttention | undefined;

/**
 * Compiles the kernels for the current tfjs backend. Await it once, after `tf.setBackend`, before any attention.
 *
 * @throws HipError `unsupported` for another backend, or where the engine lacks what its kernels need
 * @example
 * ```ts
 * await tf.setBackend('wasm');
 * await prepareAttention();
 * const out = hipAttention(q, k, v);
 * ```
 */
export async function prepareAttention(options: PrepareOptions = {}): Promise<PreparedAttention> {
  const backend = tf.getBackend();
  prepared?.close();
  prepared = undefined;
  if (backend === 'cpu' || backend === 'wasm') {
    const cpu = await registerCpuKernels(options);
    prepared = { backend, cpu, close: () => cpu.close() };
  } else if (backend === 'webgpu') {
    const { registerWebgpuKernels } = await import('@hip/kernels-webgpu/tfjs');
    const kernels = await registerWebgpuKernels();
    prepared = { backend, cpu: undefined, close: () => kernels.close() };
  } else {
    throw new HipError('unsupported', `no HiP kernels for tfjs backend "${backend}": use cpu, wasm or webgpu`, { backend });
  }
  return prepared;
}

/** @throws HipError `unsupported` when `prepareAttention` was not awaited for the current backend */
export function requirePrepared(): PreparedAttention {
  const backend = tf.getBackend();
  if (prepared?.backend !== backend) {
    throw new HipError('unsupported', `attention is prepared for ${prepared?.backend ?? 'no backend'}, tfjs runs on ${backend}: await prepareAttention() after tf.setBackend()`, {
      prepared: prepared?.backend,
      backend,
    });
  }
  return prepared;
}
