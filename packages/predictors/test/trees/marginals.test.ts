// Functional ANOVA of a forest, against all predictions over a small grid.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PredictorError, randomForest, type ColumnDomain } from '../../src/index.ts';

/** Every combination of the columns' values. */
function grid(columns: readonly (readonly number[])[]): number[][] {
  return columns.reduce<number[][]>((rows, values) => rows.flatMap((row) => values.map((v) => [...row, v])), [[]]);
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const variance = (values: readonly number[]) => {
  const average = mean(values);
  return mean(values.map((value) => (value - average) ** 2));
};

/** Share of the variance of `predicted` that the means over all other columns have. */
function byHand(rows: readonly (readonly number[])[], predicted: readonly number[], column: number): number {
  const groups = new Map<number, number[]>();
  rows.forEach((row, i) => {
    const own = groups.get(row[column]!);
    if (own) own.push(predicted[i]!);
    else groups.set(row[column]!, [predicted[i]!]);
  });
  return variance([...groups.values()].map(mean)) / variance(predicted);
}

const columnValues = fc.uniqueArray(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 4 });

describe('importances of a forest', () => {
  it('are those of all predictions of its only tree, on any grid', () => {
    fc.assert(
      fc.property(
        fc.array(columnValues, { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 8, maxLength: 40 }),
        fc.integer({ min: 0, max: 99 }),
        (columns, targets, seed) => {
          const all = grid(columns);
          const rows = targets.map((_, i) => all[(i * 7 + seed) % all.length]!);
          const model = randomForest({ trees: 1 }).fit(rows, targets, { seed });
          const predicted = [...model.predict(all)];
          const found = model.importances(columns.map((values) => ({ values })));
          columns.forEach((_, column) => {
            const expected = variance(predicted) > 1e-9 ? byHand(all, predicted, column) : 0;
            expect(found[column]).toBeCloseTo(expected, 8);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('of intervals are those of a fine list of their values', () => {
    const rows = Array.from({ length: 80 }, (_, i) => [(i * 0.37) % 1, (i * 0.61) % 1]);
    const model = randomForest({ trees: 5 }).fit(
      rows,
      rows.map(([a, b]) => a! + 4 * b! * b!),
      { seed: 3 },
    );
    const fine = { values: Array.from({ length: 20_001 }, (_, i) => i / 20_000) };
    const interval = { lower: 0, upper: 1 };
    const [first, second] = model.importances([interval, interval]);
    const [listed, other] = model.importances([fine, fine]);
    expect(first).toBeCloseTo(listed!, 3);
    expect(second).toBeCloseTo(other!, 3);
    expect(second).toBeGreaterThan(0.8);
  });

  it('leave to nobody what two columns cause together', () => {
    const rows = grid([
      [0, 1],
      [0, 1],
    ]).flatMap((row) => Array.from({ length: 10 }, () => row));
    const model = randomForest({ trees: 40 }).fit(
      rows,
      rows.map(([a, b]) => (a === b ? 1 : 0)),
      { seed: 1 },
    );
    const domain: ColumnDomain = { values: [0, 1] };
    const shares = model.importances([domain, domain]);
    expect(shares[0]! + shares[1]!).toBeLessThan(0.05);
  });

  it('are zero for a constant, and want a domain a column', () => {
    const model = randomForest({ trees: 3 }).fit([[0], [1], [2]], [4, 4, 4], { seed: 1 });
    expect([...model.importances([{ lower: 0, upper: 2 }])]).toEqual([0]);
    expect(() => model.importances([])).toThrow(PredictorError);
  });
});
