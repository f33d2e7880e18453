// The end of tfjs-wasm's memory. Its allocator then says 0, nobody looks, and kernels write over whatever lies at 0.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';

/** The part of the Emscripten module used here. */
interface WasmModule {
  _malloc: (bytes: number) => number;
  readonly HEAPU8: Uint8Array;
}

/** MiB that tfjs-wasm can have. */
const MOST = 4096;
const guarded = new WeakSet<object>();

function moduleOf(): WasmModule | undefined {
  return tf.getBackend() === 'wasm' ? (tf.backend() as unknown as { wasm?: WasmModule }).wasm : undefined;
}

function heapMiB(module: WasmModule | undefined): number {
  return Math.round((module?.HEAPU8.byteLength ?? 0) / 2 ** 20);
}

/** From here on an allocation of the current tfjs-wasm backend that fails is an error `out-of-memory`. Does nothing on others. */
export function guardMemory(): void {
  const module = moduleOf();
  if (!module || guarded.has(module)) return;
  guarded.add(module);
  // The first call puts the real function in place of a stub.
  tf.scalar(0).dispose();
  const allocate = module._malloc;
  module._malloc = (bytes) => {
    const address = allocate(bytes);
    if (address !== 0 || bytes === 0) return address;
    const heap = heapMiB(module);
    throw new SupernetError(
      'out-of-memory',
      `tfjs-wasm has no ${bytes} bytes left, its memory at ${heap} of ${MOST} MiB: take smaller batches`,
      { bytes, heap },
    );
  };
}

/**
 * What an error says of tfjs-wasm's memory, which XNNPACK reports by aborting the whole module; undefined for other errors.
 *
 * @param rows tokens or images that were worked on at once
 */
export function outOfMemory(error: unknown, rows: number): SupernetError | undefined {
  const isAbort = error instanceof WebAssembly.RuntimeError && error.message.startsWith('Aborted');
  const isGuard = error instanceof SupernetError && error.code === 'out-of-memory';
  const module = moduleOf();
  if (!module || !(isAbort || isGuard)) return undefined;
  const heap = heapMiB(module);
  return new SupernetError(
    'out-of-memory',
    `tfjs-wasm gave up on ${rows} tokens or images at once, its memory at ${heap} of ${MOST} MiB: start the program anew with smaller batches, and as many more of them for a step (options.accumulate)`,
    { rows, heap },
    { cause: error },
  );
}
