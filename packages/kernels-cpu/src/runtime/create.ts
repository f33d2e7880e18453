// Starting a runtime: the binary the engine takes, the memory the page may have, the threads there are.
import { HipError } from '@hip/mask-search';
import { compileBinary } from '../wasm/binary.ts';
import { Engine } from './engine.ts';
import type { CpuRuntimeOptions } from './options.ts';
import { CpuRuntime } from './runtime.ts';
import { defaultThreads, threadsAvailable } from './threads.ts';

/**
 * Starts the kernels and their threads: Node's worker threads, or workers in a page with cross-origin isolation. Elsewhere, and where
 * `auto` threads do not start, the one calling thread does the work.
 *
 * @throws HipError `invalid-config`, `unsupported` where WebAssembly SIMD is missing or as many threads as asked for do not start
 * @example
 * ```ts
 * import { createCpuRuntime } from '@hip/kernels-cpu';
 * using cpu = await createCpuRuntime({ threads: 2 });
 * const shape = { batch: 1, queries: 1024, keys: 1024, heads: 4, kvHeads: 2, headDim: 16 };
 * const [q, kv] = [new Float32Array(1024 * 64).fill(1), new Float32Array(1024 * 32).fill(1)];
 * const { output, mask } = cpu.hipAttention(q, kv, kv, shape, { k: 256 });
 * console.log([output[0], mask.counts[31]]); // => [ 1, 128 ]
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
  if (simd !== 'auto' && simd !== 'relaxed' && simd !== 'plain') {
    const message = `simd is ${String(simd)}: give 'auto', 'relaxed' or 'plain'`;
    throw new HipError('invalid-config', message, { name: 'simd', value: simd });
  }
  const shared = threadsAvailable();
  const compiled = await compileBinary(simd, shared);
  const start = async (count: number): Promise<CpuRuntime> => {
    const engine = new Engine({ ...compiled, threads: count, shared });
    try {
      await engine.ready();
    } catch (error) {
      engine.close();
      throw error;
    }
    return new CpuRuntime(engine);
  };
  if (threads !== 'auto') return start(shared ? threads : 1);
  // A page's content security policy or Node's permission model may forbid workers.
  return start(defaultThreads()).catch((error: unknown) => {
    if (error instanceof HipError && error.code === 'unsupported') return start(1);
    throw error;
  });
}
