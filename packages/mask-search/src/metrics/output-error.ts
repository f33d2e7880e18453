// How far an approximate attention output is from the exact one.
import { HipError } from '../errors.ts';
import type { FloatArray } from '../inputs.ts';

/**
 * ‖actual − exact‖₂ / ‖exact‖₂ over all numbers. Cost O(n).
 *
 * @returns 0 for equal outputs (also when both are zero), Infinity when only `exact` is zero
 * @throws HipError `invalid-shape` on different lengths
 * @example
 * ```ts
 * import { outputError } from '@hip/mask-search';
 * console.log(outputError(Float64Array.of(3, 5), Float64Array.of(3, 4))); // => 0.2
 * ```
 */
export function outputError(actual: FloatArray, exact: FloatArray): number {
  return worstAndTotal(actual, exact, Math.max(1, exact.length)).total;
}

/** The largest {@link outputError} of any d-vector (one row of one head). @throws HipError `invalid-shape` */
export function worstRowError(actual: FloatArray, exact: FloatArray, headDim: number): number {
  return worstAndTotal(actual, exact, headDim).worst;
}

function worstAndTotal(
  actual: FloatArray,
  exact: FloatArray,
  headDim: number,
): { readonly worst: number; readonly total: number } {
  if (actual.length !== exact.length || !(headDim >= 1) || exact.length % headDim !== 0) {
    const message = `outputs of ${actual.length} and ${exact.length} numbers, headDim ${headDim}: give outputs of the same call`;
    throw new HipError('invalid-shape', message, { actual: actual.length, exact: exact.length, headDim });
  }
  let [worst, difference, norm] = [0, 0, 0];
  for (let at = 0; at < exact.length; at += headDim) {
    let [rowDifference, rowNorm] = [0, 0];
    for (let i = at; i < at + headDim; i++) {
      rowDifference += (actual[i]! - exact[i]!) ** 2;
      rowNorm += exact[i]! ** 2;
    }
    worst = Math.max(worst, relative(rowDifference, rowNorm));
    difference += rowDifference;
    norm += rowNorm;
  }
  return { worst, total: relative(difference, norm) };
}

function relative(difference: number, norm: number): number {
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}
