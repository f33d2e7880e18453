// A checkpoint's weights in WebAssembly memory, ready for sequences.
import type { OpenCheckpoint } from '@hip/checkpoints';
import { createCpuRuntime, type CpuRuntime } from '@hip/kernels-cpu';
import { translated } from '../failures.ts';
import { attentionRule, layerShapes } from '../layers.ts';
import { layoutOf } from '../layout.ts';
import { resolveOptions } from '../options.ts';
import type { EngineOptions } from '../types.ts';
import { Decoder } from './decoder.ts';
import { WasmEngine } from './engine.ts';
import { Scratch } from './scratch.ts';
import { loadWasmWeights } from './weights.ts';

/** @throws what `loadEngine` throws; nothing is left behind */
export async function loadWasm(
  checkpoint: OpenCheckpoint,
  options: EngineOptions,
  reason: string,
): Promise<WasmEngine> {
  const { config } = checkpoint;
  let cpu: CpuRuntime | undefined;
  try {
    const resolved = resolveOptions(options, config, 'wasm');
    cpu = await createCpuRuntime({ threads: options.threads ?? 'auto' });
    const shapes = layerShapes(config);
    const weights = await loadWasmWeights(cpu, checkpoint, { ...options, weights: resolved.weights });
    const scratch = new Scratch(cpu, config, shapes, resolved.rows);
    return new WasmEngine({
      cpu,
      config,
      shapes,
      weights,
      decoder: new Decoder(cpu, config, shapes, weights, scratch),
      attention: shapes.map((shape) => attentionRule(shape, resolved.attention)),
      cache: resolved.cache,
      contextTokens: resolved.contextTokens,
      reason,
      layout: layoutOf('wasm', resolved),
    });
  } catch (error) {
    cpu?.close();
    throw translated(error);
  }
}
