// Made-up queries, keys and values, the same in every browser, and what exact candidates are compared by.
import { SIZES, type Part, type Sizes } from './protocol.ts';

/** Queries [Tq, H, d], keys and values [T, Hkv, d]; in decode one query, of the last token. */
export interface Inputs extends Sizes {
  readonly part: Part;
  readonly tokens: number;
  readonly queries: number;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Normal numbers, repeatable: a linear congruential generator through the Box–Muller transform. */
export function normals(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  const out = new Float32Array(length);
  for (let i = 0; i < length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    out[i] = radius * Math.cos(angle);
    if (i + 1 < length) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

export function inputsOf(part: Part, tokens: number): Inputs {
  const sizes = SIZES[part];
  const { heads, kvHeads, headDim } = sizes;
  const queries = part === 'prefill' ? tokens : 1;
  const keys = tokens * kvHeads * headDim;
  return {
    ...sizes,
    part,
    tokens,
    queries,
    q: normals(queries * heads * headDim, 1),
    k: normals(keys, 2),
    v: normals(keys, 3),
  };
}

/** [T, H, d] as [H, T, d]. */
export function headsFirst(x: Float32Array, rows: number, heads: number, headDim: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows * heads * headDim);
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      const from = (row * heads + head) * headDim;
      out.set(x.subarray(from, from + headDim), (head * rows + row) * headDim);
    }
  }
  return out;
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  let worst = Math.abs(a.length - b.length);
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}
