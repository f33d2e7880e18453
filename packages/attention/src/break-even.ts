// Below which number of keys dense attention is the faster one.
import type { AttentionBackend } from './backend.ts';

/**
 * Keys up to which dense attention is at least as fast as HiP in the default configuration, by backend (causal prefill, d = 64; README:
 * "Break-even"). Below it `auto` runs dense, which is exact and no slower. That of webgpu is the old default's, a search by bounds.
 */
export const BREAK_EVEN_KEYS: Readonly<Record<AttentionBackend, number>> = { cpu: 1536, wasm: 1536, webgpu: 3584 };

/**
 * Whether an `auto` call runs dense: up to the break-even, and where HiP would keep every key anyway.
 *
 * @param keys Tk
 * @param kept keys a row attends to under HiP: k + window + sink
 */
export function chooseDense(keys: number, backend: AttentionBackend, kept: number): boolean {
  return keys <= Math.max(kept, BREAK_EVEN_KEYS[backend]);
}
