// Keys and values out of the pages again: what a cache holds as two arrays.
import { paddedDim, PAGE_TOKENS } from '../plan/layout.ts';
import type { Engine } from '../runtime/engine.ts';
import type { Store } from './store.ts';

/** Keys and values [B, T, Hkv, d]. */
export interface HeldTokens {
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** A float16's value. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Copies all tokens of a store; a page is [keys, values][Hkv][PAGE_TOKENS][d padded]. */
export function readStore(engine: Engine, store: Store): HeldTokens {
  const { batch, kvHeads, headDim } = store.shape;
  const tokens = store.length;
  const padded = paddedDim(headDim);
  const half = store.type === 'f16';
  const held = [
    new Float32Array(batch * tokens * kvHeads * headDim),
    new Float32Array(batch * tokens * kvHeads * headDim),
  ];
  if (tokens === 0) return { k: held[0]!, v: held[1]! };
  const pages = Math.ceil(tokens / PAGE_TOKENS);
  const rows = kvHeads * PAGE_TOKENS;
  for (let b = 0; b < batch; b++) {
    const table = engine.heap.ints(store.fields(b).PAGES!, pages);
    for (let page = 0; page < pages; page++) {
      const first = page * PAGE_TOKENS;
      const count = Math.min(PAGE_TOKENS, tokens - first);
      const numbers = 2 * rows * padded;
      const at = table[page]! >>> 0;
      const words = half
        ? new Uint16Array(engine.heap.ints(at, numbers / 2).buffer, at, numbers)
        : engine.heap.floats(at, numbers);
      held.forEach((out, part) => {
        for (let h = 0; h < kvHeads; h++) {
          for (let t = 0; t < count; t++) {
            const from = (part * rows + h * PAGE_TOKENS + t) * padded;
            const to = ((b * tokens + first + t) * kvHeads + h) * headDim;
            if (half) for (let c = 0; c < headDim; c++) out[to + c] = halfValue(words[from + c]!);
            else out.set((words as Float32Array).subarray(from, from + headDim), to);
          }
        }
      });
    }
  }
  return { k: held[0]!, v: held[1]! };
}
