// Rotary position embedding (RoPE): pairs of coordinates turned by position-dependent angles, from cosine and sine tables.
import { HipError } from '../errors.ts';
import type { FloatArray } from '../inputs.ts';

/** cos and sin of every pair's angle at every position. */
export interface RotaryTables {
  /** [positions, rotaryDim / 2]. */
  readonly cos: FloatArray;
  /** [positions, rotaryDim / 2]. */
  readonly sin: FloatArray;
  /** Leading coordinates that turn, even; the others stay. */
  readonly rotaryDim: number;
  /** Pairs are (0, 1), (2, 3)… instead of (0, r/2), (1, r/2 + 1)…. @defaultValue false */
  readonly interleaved?: boolean;
}

/**
 * The usual tables: pair i of r/2 turns by θ^(−2i/r) radians a position. Memory O(positions·rotaryDim).
 *
 * @throws HipError `invalid-shape`
 */
export function rotaryTables(positions: number, rotaryDim: number, theta = 10_000): RotaryTables {
  if (!Number.isSafeInteger(rotaryDim / 2) || rotaryDim < 2) {
    throw new HipError('invalid-shape', `rotaryDim is ${rotaryDim}: give an even integer >= 2`, { rotaryDim });
  }
  const half = rotaryDim / 2;
  const angle = (i: number): number => Math.floor(i / half) * theta ** ((-2 * (i % half)) / rotaryDim);
  const table = (f: (x: number) => number): Float64Array =>
    Float64Array.from({ length: positions * half }, (_, i) => f(angle(i)));
  return { cos: table(Math.cos), sin: table(Math.sin), rotaryDim };
}

/** Turns the d-vector x[at…] to `position` and writes it to out[outAt…]. Cost O(d). @throws HipError `invalid-shape` beyond the tables */
export function rotateVector(
  x: FloatArray,
  at: number,
  d: number,
  position: number,
  tables: RotaryTables,
  out: Float64Array,
  outAt: number,
): void {
  const { cos, sin, rotaryDim, interleaved = false } = tables;
  const half = rotaryDim / 2;
  const row = position * half;
  if (!(Number.isSafeInteger(position) && position >= 0 && row + half <= cos.length) || rotaryDim > d) {
    const message = `position ${position}, rotaryDim ${rotaryDim}: the tables hold ${cos.length / half} positions, vectors ${d} coordinates`;
    throw new HipError('invalid-shape', message, { position, rotaryDim, headDim: d });
  }
  for (let i = rotaryDim; i < d; i++) out[outAt + i] = x[at + i]!;
  for (let i = 0; i < half; i++) {
    const [first, second] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
    const [a, b] = [x[at + first]!, x[at + second]!];
    out[outAt + first] = a * cos[row + i]! - b * sin[row + i]!;
    out[outAt + second] = a * sin[row + i]! + b * cos[row + i]!;
  }
}

/**
 * Rotary embedding of a whole tensor [B, T, H, d]. Cost O(B·T·H·d).
 *
 * @param position of each row of T, for each element of the batch
 * @returns [B, T, H, d]
 * @throws HipError `invalid-shape`
 */
export function rotaryEmbedding(
  x: FloatArray,
  shape: { readonly batch: number; readonly rows: number; readonly heads: number; readonly headDim: number },
  tables: RotaryTables,
  position: (row: number, batch: number) => number = (row) => row,
): Float64Array {
  const { batch, rows, heads, headDim: d } = shape;
  if (x.length !== batch * rows * heads * d) {
    throw new HipError('invalid-shape', `x holds ${x.length} numbers: its shape needs ${batch * rows * heads * d}`, {
      length: x.length,
    });
  }
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += d) {
    const line = Math.floor(at / (heads * d));
    rotateVector(x, at, d, position(line % rows, Math.floor(line / rows)), tables, out, at);
  }
  return out;
}

/**
 * Unrotated keys in the cache, RoPE applied on the way (docs/specification/hip.md §3).
 *
 * `absolute`: every vector turns to its own position, as in training.
 * `streaming`: for contexts beyond the trained length. Each row's attended keys are packed, in order, right before it, so no distance
 * exceeds the number of attended keys.
 */
export interface RopeOptions {
  readonly tables: RotaryTables;
  readonly mode: 'absolute' | 'streaming';
}
