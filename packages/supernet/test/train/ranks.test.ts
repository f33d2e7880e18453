// Ranks of many numbers, against sorting.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { valueMetrics } from '../../src/train/evaluation/metrics.ts';
import { correlationOf, ranksOfFloats } from '../../src/train/evaluation/ranks.ts';

const numbers = fc.array(fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, -1)), {
  minLength: 1,
  maxLength: 60,
});

it('are places in the sorted list, and the mean place of equal numbers', () => {
  fc.assert(
    fc.property(numbers, (list) => {
      const values = Float32Array.from(list);
      const ranks = ranksOfFloats(values);
      for (let i = 0; i < values.length; i++) {
        const below = values.filter((other) => other < values[i]!).length;
        const equal = values.filter((other) => other === values[i]).length;
        expect(ranks[i]).toBe(below + (equal - 1) / 2);
      }
    }),
  );
});

it('correlate as Spearman says', () => {
  const [a, b] = [Float32Array.of(1, 2, 4, 4, -3), Float32Array.of(0, 1, 9, 2, 2)];
  const { spearman } = valueMetrics(a, b);
  expect(correlationOf(ranksOfFloats(a), ranksOfFloats(b))).toBeCloseTo(spearman as number, 12);
  expect(correlationOf(ranksOfFloats(a), ranksOfFloats(Float32Array.of(1, 1, 1, 1, 1)))).toBe(0);
});
