// What an engine will take, before anything is allocated: weights from the checkpoint's headers, the rest from the configuration.
import type { OpenCheckpoint } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import { anyGpu, chooseBackend, type BackendChoice } from './backend.ts';
import { translated } from './failures.ts';
import { layerShapes } from './layers.ts';
import { resolveOptions } from './options.ts';
import { requireDecoder } from './support.ts';
import type { EngineOptions, EnginePlan } from './types.ts';
import { planWasm } from './wasm/plan.ts';
import { planWeights } from './weights.ts';

/** What 32-bit WebAssembly addresses. */
const MOST_BYTES = 2 ** 32;

/**
 * Bytes that {@link loadEngine} will take with these options: weights and scratch at once, the cache as one sequence grows to
 * `contextTokens`. Only headers are read. `backend: 'webgpu'` is planned for a GPU of the default limits where none is here.
 *
 * @throws LlmError `unsupported-model`, `invalid-input`; what reading headers throws
 *
 * @example
 * ```ts
 * import { openCheckpoint } from '@hip/checkpoints';
 * import { planEngine } from '@hip/llm';
 *
 * await using smollm2 = await openCheckpoint('./SmolLM2-135M-Instruct.Q4_1.gguf');
 * const plan = await planEngine(smollm2, { contextTokens: 8192, attention: 'dense', backend: 'wasm' });
 * console.log(Math.floor(plan.cache / 8192)); // => 23040
 * ```
 */
export async function planEngine(checkpoint: OpenCheckpoint, options: EngineOptions = {}): Promise<EnginePlan> {
  const here = (globalThis.navigator as { readonly gpu?: unknown } | undefined)?.gpu;
  const isElsewhere = options.backend === 'webgpu' && !options.device && !here;
  return planFor(checkpoint, options, isElsewhere ? anyGpu() : await chooseBackend(options));
}

/** {@link planEngine} on a backend. */
export async function planFor(
  checkpoint: OpenCheckpoint,
  options: EngineOptions,
  choice: BackendChoice,
): Promise<EnginePlan> {
  const { config } = checkpoint;
  requireDecoder(config);
  try {
    const resolved = resolveOptions(options, config, choice.backend);
    const weights = await planWeights(checkpoint, resolved.weights);
    const shapes = layerShapes(config);
    if (choice.backend === 'wasm') return planWasm(config, shapes, resolved, weights.bytes, options);
    const { planWebgpu } = await import('./webgpu/plan.ts');
    return planWebgpu(config, shapes, resolved, weights, choice);
  } catch (error) {
    throw translated(error);
  }
}

/**
 * @throws LlmError `out-of-memory` where weights and scratch alone do not fit on WebAssembly (a cache that does not is refused when it is
 * that long), or everything is more than `memoryLimit`
 */
export function requireRoom(plan: EnginePlan, memoryLimit: number | undefined): void {
  const { backend, weights, scratch, cache, total, contextTokens } = plan;
  const details = { backend, weights, scratch, cache, total, contextTokens };
  if (backend === 'wasm' && weights + scratch > MOST_BYTES) {
    const message = `weights of ${weights} bytes and ${scratch} of scratch are more than the ${MOST_BYTES} that WebAssembly addresses: use weights: 'q4', or a smaller model`;
    throw new LlmError('out-of-memory', message, { ...details, available: MOST_BYTES });
  }
  if (memoryLimit === undefined || total <= memoryLimit) return;
  const message = `weights of ${weights} bytes, ${scratch} of scratch and ${cache} of cache for ${contextTokens} tokens are more than memoryLimit, ${memoryLimit}: give fewer contextTokens, or weights: 'q4'`;
  throw new LlmError('out-of-memory', message, { ...details, available: memoryLimit });
}
