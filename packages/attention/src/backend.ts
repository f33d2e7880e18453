// Which kernels serve the current tfjs backend, and getting them ready.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import { registerCpuKernels, type RegisterOptions } from '@hip/kernels-cpu/tfjs';
import type { CpuRuntime } from '@hip/kernels-cpu';
import type { WebgpuKernels } from '@hip/kernels-webgpu/tfjs';

/** Options of the CPU kernels (`threads`, `simd`, `matmul`); WebGPU takes none of them. */
export interface PrepareOptions extends RegisterOptions {}

/** The tfjs backends that have kernels. */
export type AttentionBackend = 'cpu' | 'wasm' | 'webgpu';

/** What is ready: its backend, and what serves it: the CPU runtime, or the kernels on the GPU. */
export interface PreparedAttention extends Disposable {
  readonly backend: AttentionBackend;
  readonly cpu: CpuRuntime | undefined;
  readonly gpu: WebgpuKernels | undefined;
  /** Frees threads or pipelines; attention needs `prepareAttention()` again afterwards. */
  close(): void;
}

let prepared: PreparedAttention | undefined;

/**
 * Compiles the kernels for the current tfjs backend. Await it once, after `tf.setBackend`, before any attention. Another call replaces
 * what was ready, unless it throws.
 *
 * @throws HipError `unsupported` for another backend, or where the engine lacks what its kernels need
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { prepareAttention } from '@hip/attention';
 *
 * await tf.setBackend('cpu');
 * using attention = await prepareAttention({ threads: 1 });
 * console.log(attention.backend); // => cpu
 * ```
 */
export async function prepareAttention(options: PrepareOptions = {}): Promise<PreparedAttention> {
  const backend = tf.getBackend();
  if (backend === 'cpu' || backend === 'wasm') {
    const cpu = await registerCpuKernels(options);
    return replace(session(backend, { cpu, gpu: undefined }, () => cpu.close()));
  }
  if (backend === 'webgpu') {
    const gpu = await registerWebgpu();
    return replace(session(backend, { cpu: undefined, gpu }, () => gpu.close()));
  }
  throw new HipError(
    'unsupported',
    `no HiP kernels for tfjs backend "${backend}": call tf.setBackend with cpu, wasm or webgpu`,
    {
      backend,
    },
  );
}

/** Imported here and not above: the module and its WebGPU code are loaded only where that backend is current. */
async function registerWebgpu(): Promise<WebgpuKernels> {
  const { registerWebgpuKernels } = await import('@hip/kernels-webgpu/tfjs').catch((cause: unknown) => {
    throw new HipError(
      'unsupported',
      '@hip/kernels-webgpu/tfjs cannot be loaded: install @hip/kernels-webgpu, or run tfjs on wasm',
      { backend: 'webgpu' },
      { cause },
    );
  });
  return registerWebgpuKernels();
}

/** Closed only now: what was ready stays ready where the next one cannot be made. */
function replace(next: PreparedAttention): PreparedAttention {
  prepared?.close();
  return (prepared = next);
}

function session(
  backend: AttentionBackend,
  { cpu, gpu }: Pick<PreparedAttention, 'cpu' | 'gpu'>,
  release: () => void,
): PreparedAttention {
  const self: PreparedAttention = {
    backend,
    cpu,
    gpu,
    close() {
      if (prepared === self) prepared = undefined;
      release();
    },
    [Symbol.dispose]() {
      self.close();
    },
  };
  return self;
}

/** @throws HipError `unsupported` when `prepareAttention` was not awaited for the current backend */
export function requirePrepared(): PreparedAttention {
  const backend = tf.getBackend();
  if (prepared?.backend !== backend) {
    throw new HipError(
      'unsupported',
      `attention is prepared for ${prepared?.backend ?? 'no backend'}, tfjs runs on ${backend}: await prepareAttention() after tf.setBackend()`,
      { prepared: prepared?.backend, backend },
    );
  }
  return prepared;
}
