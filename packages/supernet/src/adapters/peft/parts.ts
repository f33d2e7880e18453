// A module's adapter as those of its products: one, or several that are fused and share the rows of A.
import type { WeightSlot } from '@hip/checkpoints';
import type { LinearModule } from './modules.ts';

/** peft's A [rank, in] and B [out, rank]. */
export interface StoredAdapter {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
}

/** A [in, rank] and B [rank, out] of one product. */
export interface PartAdapter {
  readonly slot: WeightSlot;
  readonly rank: number;
  readonly values: { readonly a: Float32Array; readonly b: Float32Array };
}

/**
 * Adapters of the products of a module. Of a fused one each has the columns of B that are not zero at its outputs, and those rows of A: so
 * what was put side by side comes apart again. Products without any have no adapter, unless B is zero everywhere, as at the start.
 */
export function partValues({ parts, inputs }: LinearModule, stored: StoredAdapter): PartAdapter[] {
  const { a, b, rank } = stored;
  const isStart = b.every((value) => value === 0);
  return parts.flatMap(({ slot, start }): PartAdapter[] => {
    const outputs = slot.shape[1] as number;
    const isUsed = (r: number): boolean => {
      for (let o = 0; o < outputs; o++) if (b[(start + o) * rank + r] !== 0) return true;
      return false;
    };
    const all = Array.from({ length: rank }, (_, r) => r);
    const kept = isStart || parts.length === 1 ? all : all.filter(isUsed);
    if (kept.length === 0) return [];
    const values = { a: new Float32Array(inputs * kept.length), b: new Float32Array(kept.length * outputs) };
    for (const [to, r] of kept.entries()) {
      for (let i = 0; i < inputs; i++) values.a[i * kept.length + to] = a[r * inputs + i] as number;
      for (let o = 0; o < outputs; o++) values.b[to * outputs + o] = b[(start + o) * rank + r] as number;
    }
    return [{ slot, rank: kept.length, values }];
  });
}
