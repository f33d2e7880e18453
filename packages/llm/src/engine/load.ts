// loadEngine: a checkpoint's weights in WebAssembly memory, ready for sequences.
import { openCheckpoint, type CheckpointFiles, type OpenCheckpoint } from '@hip/checkpoints';
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { LlmError, throwIfAborted } from '../errors.ts';
import { Decoder } from './wasm/decoder.ts';
import { translated } from './failures.ts';
import { LayerAttention } from './layer-attention.ts';
import { layerShapes } from './layers.ts';
import { CHUNK_TOKENS, resolveOptions } from './options.ts';
import { planEngine, requireRoom } from './plan.ts';
import { Scratch } from './wasm/scratch.ts';
import type { Engine, EngineOptions } from './types.ts';
import { WasmEngine } from './wasm/engine.ts';
import { loadWasmWeights } from './wasm/weights.ts';

/**
 * Loads a decoder language model: the checkpoint's weights as they are stored, tensor by tensor, into WebAssembly memory.
 *
 * @param source an open checkpoint, which stays open, or where one is: a folder, a GGUF file, an address, `hf://owner/name`
 * @throws CheckpointError where the files are not what they should be; LlmError `unsupported-model`, `invalid-input`, `out-of-memory`,
 * `aborted`. Nothing is left behind
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
  requireRoom(await planEngine(checkpoint, options));
  const { config } = checkpoint;
  let cpu: CpuRuntime | undefined;
  try {
    const resolved = resolveOptions(options, config);
    cpu = await createCpuRuntime({ threads: options.threads ?? 'auto' });
    const shapes = layerShapes(config);
    const weights = await loadWasmWeights(cpu, checkpoint, { ...options, weights: resolved.weights });
    const scratch = new Scratch(cpu, config, shapes, Math.min(CHUNK_TOKENS, resolved.contextTokens));
    return new WasmEngine({
      cpu,
      config,
      shapes,
      weights,
      decoder: new Decoder(cpu, config, shapes, weights, scratch),
      attention: shapes.map((shape) => new LayerAttention(shape, resolved.attention)),
      cache: resolved.cache,
      contextTokens: resolved.contextTokens,
    });
  } catch (error) {
    cpu?.close();
    throw translated(error);
  }
}

function isOpen(source: OpenCheckpoint | CheckpointFiles | string): source is OpenCheckpoint {
  if (typeof source === 'string') return false;
  if ('weights' in source) return true;
  if ('open' in source) return false;
  throw new LlmError('invalid-input', 'give an open checkpoint, files, or a location', { source });
}
