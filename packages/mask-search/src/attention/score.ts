// From vectors to logits: where a vector lies, the dot product, scale and soft-cap.
import { HipError } from '../errors.ts';
import type { FloatArray } from '../inputs.ts';

export interface ScoreOptions {
  /** Factor on q·k; positive. @defaultValue 1/√headDim */
  readonly scale?: number | undefined;
  /** Logit soft-cap c: s → c·tanh(s/c); positive. @defaultValue none */
  readonly softcap?: number | undefined;
}

/** @throws HipError `invalid-config` unless both are positive and finite: the search relies on their not changing the order */
export function checkScore({ scale = 1, softcap = 1 }: ScoreOptions): void {
  for (const [name, value] of Object.entries({ scale, softcap })) {
    if (!(value > 0 && value < Infinity)) {
      throw new HipError('invalid-config', `${name} is ${value}: give a positive number`, { name, value });
    }
  }
}

/** The score transform of {@link ScoreOptions}: raw dot product → logit. @throws HipError `invalid-config` */
export function logitOf(headDim: number, options: ScoreOptions): (dot: number) => number {
  checkScore(options);
  const { scale = 1 / Math.sqrt(headDim), softcap } = options;
  return softcap === undefined ? (dot) => dot * scale : (dot) => softcap * Math.tanh((dot * scale) / softcap);
}

/** Row-major offset of one (batch, row, head) vector. */
export function vectorOffset(
  batch: number,
  row: number,
  head: number,
  rows: number,
  heads: number,
  headDim: number,
): number {
  return ((batch * rows + row) * heads + head) * headDim;
}

/** Dot product of two d-vectors. */
export function dot(a: FloatArray, aStart: number, b: FloatArray, bStart: number, d: number): number {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += a[aStart + i]! * b[bStart + i]!;
  return sum;
}
