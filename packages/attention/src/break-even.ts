// Below which number of keys dense attention is the faster one.
import { resolveConfig, type HipConfig } from '@hip/mask-search';

/**
 * Keys from which HiP beats dense attention, by backend: the break-even of benchmarks/cpu-attention (default configuration, causal
 * prefill, d=64) and of benchmarks/webgpu, rounded up to a power of two. Below it `auto` runs dense, which is exact and no slower.
 */
export const BREAK_EVEN_KEYS = { cpu: 2048, wasm: 2048, webgpu: 8192 } as const;

/** What an `auto` call does. */
export function chooseDense(keys: number, backend: keyof typeof BREAK_EVEN_KEYS, options: Partial<HipConfig>): boolean {
  const { k, window, sink } = resolveConfig(options);
  return keys <= Math.max(k + window + sink, BREAK_EVEN_KEYS[backend]);
}
