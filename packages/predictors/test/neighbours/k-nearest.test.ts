import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestNeighbours, PredictorError } from '../../src/index.ts';
import { samples } from '../fixtures/data.ts';

describe('nearestNeighbours', () => {
  it('is the mean of the k nearest rows, by brute force', () => {
    fc.assert(
      fc.property(
        samples({ rows: [1, 12] }),
        fc.integer({ min: 1, max: 15 }),
        fc.boolean(),
        ({ rows, targets }, k, uniform) => {
          const query = rows[0]!.map((v) => v / 2 + 0.1);
          const distance = (row: readonly number[]) => Math.hypot(...row.map((v, i) => v - query[i]!));
          const near = rows
            .map((row, i) => ({ far: distance(row), y: targets[i]! }))
            .sort((a, b) => a.far - b.far)
            .slice(0, k);
          // A tie at the edge may go either way here: skip it.
          const edge = rows.map(distance).sort((a, b) => a - b);
          fc.pre(edge.length <= k || Math.abs(edge[k]! - edge[k - 1]!) > 1e-9);
          fc.pre(near[0]!.far > 1e-6);
          const weights = near.map(({ far }) => (uniform ? 1 : 1 / far));
          const wanted = near.reduce((sum, { y }, i) => sum + weights[i]! * y, 0) / weights.reduce((a, b) => a + b, 0);
          const model = nearestNeighbours({
            neighbours: k,
            weights: uniform ? 'uniform' : 'distance',
            standardize: false,
          }).fit(rows, targets);
          expect(model.predict([query])[0]).toBeCloseTo(wanted, 8);
        },
      ),
    );
  });

  it('a row it knows decides alone; the deviation is the neighbours’ spread', () => {
    const model = nearestNeighbours({ neighbours: 2 }).fit([[0], [1], [2]], [5, 9, 20]);
    expect(model.predict([[1]])[0]).toBe(9);
    const even = nearestNeighbours({ neighbours: 2, weights: 'uniform' }).fit([[0], [1], [9]], [5, 9, 20]);
    expect(even.predictWithStd([[0.5]]).std[0]).toBeCloseTo(2 * Math.sqrt(1.5), 12);
  });

  it('refuses senseless options', () => {
    expect(() => nearestNeighbours({ neighbours: 0 })).toThrow(PredictorError);
    expect(() => nearestNeighbours({ weights: 'near' as 'uniform' })).toThrow(PredictorError);
  });
});
