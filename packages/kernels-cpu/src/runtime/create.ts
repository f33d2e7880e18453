// Starting a runtime: the binary the engine takes, the memory the page may have, the threads there are.
import { HipError } from '@hip/mask-search';
import { compileBinary } from '../wasm/binary.ts';
import { Engine } from './engine.ts';
import type { CpuRuntimeOptions } from './options.ts';
import { CpuRuntime } from './runtime.ts';
import { defaultThreads, threadsAvailable } from './threads.ts';

/**
 * Starts the kernels and their threads: Node's worker threads, or workers in a page with cross-origin isolation. Elsewhere the one
 * calling thread does the work.
 *
 * @throws HipError `invalid-config`, `unsupported` where WebAssembly SIMD is missing
 * @example
 * ```ts
 * import { createCpuRuntime } from '@hip/kernels-cpu';
 * using cpu = await createCpuRuntime({ threads: 2 });
 * const shape = { batch: 1, queries: 1024, keys: 1024, heads: 4, kvHeads: 2, headDim: 16 };
 * const [q, kv] = [new Float32Array(1024 * 64).fill(1), new Float32Array(1024 * 32).fill(1)];
 * const { output, mask } = cpu.hipAttention(q, kv, kv, shape, { k: 256 });
 * [output[0], mask.counts[31]]; // [1,16]
 * ```
 */
export async function createCpuRuntime({
  threads = 'auto',
  simd = 'auto',
}: CpuRuntimeOptions = {}): Promise<CpuRuntime> {
  if (threads !== 'auto' && (!Number.isInteger(threads) || threads < 1 || threads > 64)) {
    throw new HipError('invalid-config', `threads is ${threads}: give an integer from 1 to 64, or 'auto'`, {
      name: 'threads',
      value: threads,
    });
  }
  const shared = threadsAvailable();
  const compiled = await compileBinary(simd, shared);
  const count = !shared ? 1 : threads === 'auto' ? defaultThreads() : threads;
  const engine = new Engine({ ...compiled, threads: count, shared });
  await engine.ready();
  return new CpuRuntime(engine);
}
