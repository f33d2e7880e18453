import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitLogistic, PredictorError } from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
import { uniform } from '../fixtures/data.ts';

/** Rows, and which side of a plane they are on. */
function halves(seed: number, count: number) {
  const random = new Random(seed);
  const rows = Array.from({ length: count }, () => [uniform(random), uniform(random), 7]);
  return { rows, labels: rows.map(([a, b]) => 2 * a! - b! > 0.3) };
}

describe('fitLogistic', () => {
  it('separates what a plane separates', () => {
    const { rows, labels } = halves(1, 200);
    const model = fitLogistic(rows, labels, { penalty: 1e-5 });
    const fresh = halves(2, 300);
    const right = model.probabilities(fresh.rows).filter((p, i) => p > 0.5 === fresh.labels[i]!);
    expect(right.length).toBeGreaterThan(285);
    // The coefficients are those of the plane, up to a factor; the constant column has none.
    expect(model.coefficients[0]! / -model.coefficients[1]!).toBeCloseTo(2, 0);
    expect(model.coefficients[2]).toBe(0);
  });

  it('has the gradient 0 at its coefficients: the penalised loss is at its least', () => {
    const { rows, labels } = halves(3, 40);
    const noisy = labels.map((label, i) => (i % 9 === 0 ? !label : label));
    const model = fitLogistic(rows, noisy, { penalty: 0.05 });
    const positives = noisy.filter(Boolean).length;
    const means = rows[0]!.map((_, k) => rows.reduce((sum, row) => sum + row[k]!, 0) / rows.length);
    const deviations = means.map((mean, k) =>
      Math.sqrt(rows.reduce((sum, row) => sum + (row[k]! - mean) ** 2, 0) / rows.length),
    );
    const p = model.probabilities(rows);
    for (const k of [0, 1]) {
      const slope = rows.reduce((sum, row, i) => {
        const weight = 0.5 / (noisy[i] ? positives : rows.length - positives);
        return sum + (weight * (p[i]! - Number(noisy[i])) * (row[k]! - means[k]!)) / deviations[k]!;
      }, 0);
      expect(slope + 0.05 * model.coefficients[k]! * deviations[k]!).toBeCloseTo(0, 3);
    }
  });

  it('is unsure of rows that are like none, and sure of those between many', () => {
    // One column decides; the other was never seen to vary but by a little.
    const rows = Array.from({ length: 60 }, (_, i) => [i / 60, 0.5 + 0.01 * (i % 2)]);
    const labels = rows.map(([a]) => a! < 0.5);
    const model = fitLogistic(rows, labels, { penalty: 1e-4 });
    const asked = [
      [0.1, 0.5],
      [0.1, 9],
      [0.1, -9],
      [0.9, 0.5],
    ];
    const [inside, far, opposite, other] = model.expectedProbabilities(asked);
    expect(inside).toBeGreaterThan(0.95);
    expect(other).toBeLessThan(0.05);
    // Whichever way the coefficient of the other column errs.
    expect(Math.max(far!, opposite!)).toBeLessThan(inside!);
    const plain = model.probabilities(asked);
    model.expectedProbabilities(asked).forEach((p, i) => {
      expect(Math.abs(p - 0.5)).toBeLessThanOrEqual(Math.abs(plain[i]! - 0.5) + 1e-12);
      expect(p > 0.5).toBe(plain[i]! > 0.5);
    });
  });

  it('does not depend on the units of the columns, nor on how many rows a class has', () => {
    const { rows, labels } = halves(5, 60);
    const plain = fitLogistic(rows, labels).probabilities(rows);
    fc.assert(
      fc.property(fc.integer({ min: -30, max: 30 }), (power) => {
        const scaled = fitLogistic(
          rows.map(([a, b, c]) => [a! * 2 ** power, b!, c!]),
          labels,
        ).probabilities(rows.map(([a, b, c]) => [a! * 2 ** power, b!, c!]));
        expect(Math.max(...scaled.map((value, i) => Math.abs(value - plain[i]!)))).toBeLessThan(1e-6);
      }),
      { numRuns: 10 },
    );
    const twice = fitLogistic(
      [...rows, ...rows.filter((_, i) => labels[i])],
      [...labels, ...labels.filter(Boolean)],
      // The columns' deviations change a little, and with them what the penalty means.
      { penalty: 0.01 },
    ).probabilities(rows);
    expect(Math.max(...twice.map((value, i) => Math.abs(value - plain[i]!)))).toBeLessThan(0.05);
  });

  it.each([
    [
      [[0], [1]],
      [true, true],
    ],
    [[[0], [1]], [true]],
    [
      [[0], [Number.NaN]],
      [true, false],
    ],
  ])('refuses %j with labels %j', (rows, labels) => {
    expect(() => fitLogistic(rows, labels)).toThrow(PredictorError);
  });
});
