// The matcher toBeAllclose({ rtol, atol }): |actual − expected| <= atol + rtol·|expected| everywhere, NaN never passes.
import { expect } from 'vitest';

export interface Tolerance {
  /** Relative tolerance. @defaultValue 1e-5 */
  readonly rtol?: number;
  /** Absolute tolerance. @defaultValue 1e-6 */
  readonly atol?: number;
}

/** The worst element of `actual` against `expected`, or undefined when all are within tolerance. */
export function worstMismatch(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 1e-5, atol = 1e-6 }: Tolerance = {},
): { index: number; actual: number; expected: number; excess: number; count: number } | undefined {
  let worst: { index: number; actual: number; expected: number; excess: number } | undefined;
  let count = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    const difference = Math.abs(a - e);
    const excess = a === e ? -1 : difference - (atol + rtol * Math.abs(e));
    if (!(excess <= 0)) {
      count++;
      const size = Number.isNaN(excess) ? Infinity : excess;
      if (!worst || size > worst.excess) worst = { index: i, actual: a, expected: e, excess: size };
    }
  }
  return worst && { ...worst, count };
}

expect.extend({
  toBeAllclose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance = {}) {
    if (actual.length !== expected.length) {
      return { pass: false, message: () => `length ${actual.length}, expected ${expected.length}` };
    }
    const worst = worstMismatch(actual, expected, tolerance);
    return {
      pass: worst === undefined,
      message: () =>
        worst
          ? `${worst.count} of ${expected.length} elements differ; worst at ${worst.index}: ${worst.actual}, expected ${worst.expected}`
          : 'all elements are within tolerance',
    };
  },
});

declare module 'vitest' {
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> {
    toBeAllclose(expected: ArrayLike<number>, tolerance?: Tolerance): R;
  }
}
