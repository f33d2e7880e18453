// loadEngine: a checkpoint's weights in a backend's memory, ready for sequences.
import { openCheckpoint, type CheckpointFiles, type OpenCheckpoint } from '@hip/checkpoints';
import { LlmError, throwIfAborted } from '../errors.ts';
import { chooseBackend, type BackendChoice } from './backend.ts';
import { planFor, requireRoom } from './plan.ts';
import type { Engine, EngineOptions } from './types.ts';
import { loadWasm } from './wasm/load.ts';

/**
 * Loads a decoder language model: the checkpoint's weights as they are stored, a piece of a tensor at a time, into the memory of a GPU or
 * of WebAssembly.
 *
 * @param source an open checkpoint, which stays open, or where one is: a folder, a GGUF file, an address, `hf://owner/name`
 * @throws CheckpointError where the files are not what they should be; LlmError `unsupported-model`, `invalid-input`, `out-of-memory`,
 * `device-lost`, `aborted`. Nothing is left behind
 *
 * @example
 * ```ts
 * import { loadEngine } from '@hip/llm';
 *
 * const engine = await loadEngine('./SmolLM2-135M-Instruct.Q4_1.gguf', { contextTokens: 8192 });
 * const sequence = engine.createSequence();
 * const logits = await sequence.forward([1780, 314, 260, 3575, 282, 4649]); // The capital of France
 * console.log([logits.length, sequence.length]); // => [ 49152, 6 ]
 * engine.close();
 * ```
 */
export async function loadEngine(
  source: OpenCheckpoint | CheckpointFiles | string,
  options: EngineOptions = {},
): Promise<Engine> {
  if (isOpen(source)) return fromCheckpoint(source, options);
  await using checkpoint = await openCheckpoint(source, options.signal ? { signal: options.signal } : {});
  return await fromCheckpoint(checkpoint, options);
}

async function fromCheckpoint(checkpoint: OpenCheckpoint, options: EngineOptions): Promise<Engine> {
  throwIfAborted(options.signal, 'loading');
  const choice = await fitting(checkpoint, options, await chooseBackend(options));
  if (choice.backend === 'wasm') return loadWasm(checkpoint, options, choice.reason);
  const { loadWebgpu } = await import('./webgpu/load.ts');
  return loadWebgpu(checkpoint, options, choice);
}

/** The backend, or WebAssembly in place of a GPU that nobody asked for and that does not serve. @throws as planning; `out-of-memory` */
async function fitting(
  checkpoint: OpenCheckpoint,
  options: EngineOptions,
  choice: BackendChoice,
): Promise<BackendChoice> {
  try {
    requireRoom(await planFor(checkpoint, options, choice), options.memoryLimit);
    return choice;
  } catch (error) {
    const isUnfit = error instanceof LlmError && ['out-of-memory', 'unsupported-model'].includes(error.code);
    if (!isUnfit || choice.backend === 'wasm' || choice.isAsked) throw error;
    const reason = `the GPU does not serve: ${error.message}`;
    return fitting(checkpoint, options, { backend: 'wasm', reason });
  }
}

function isOpen(source: OpenCheckpoint | CheckpointFiles | string): source is OpenCheckpoint {
  if (typeof source === 'string') return false;
  if ('weights' in source) return true;
  if ('open' in source) return false;
  throw new LlmError('invalid-input', 'give an open checkpoint, files, or a location', { source });
}
