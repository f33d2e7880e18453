import '@hip/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestNeighbours, PredictorError } from '../../src/index.ts';
import { Random } from '../../src/core/random.ts';
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

  it('all rows equal to the one asked for decide, however many they are', () => {
    const rows = [[1], [1], [1], [1], [2], [3]];
    const model = nearestNeighbours({ neighbours: 2 }).fit(rows, [4, 8, 12, 16, 99, 99]);
    expect(model.predict([[1]])[0]).toBe(10);
    const even = nearestNeighbours({ neighbours: 2, weights: 'uniform' }).fit(rows, [4, 8, 12, 16, 99, 99]);
    expect(even.predict([[1]])[0]).toBe(10);
  });

  it('the order of the rows decides nothing', () => {
    const few = fc.record({
      rows: fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 2, maxLength: 2 }), {
        minLength: 3,
        maxLength: 14,
      }),
      seed: fc.integer({ min: 0, max: 1000 }),
      neighbours: fc.integer({ min: 2, max: 5 }),
      weights: fc.constantFrom('uniform' as const, 'distance' as const),
    });
    fc.assert(
      fc.property(few, ({ rows, seed, neighbours, weights }) => {
        const targets = rows.map((_, i) => (i * 7) % 11);
        const order = Array.from(new Random(seed).permutation(rows.length));
        const fit = (indices: readonly number[]) =>
          nearestNeighbours({ neighbours, weights }).fit(
            indices.map((i) => rows[i]!),
            indices.map((i) => targets[i]!),
          );
        const asked = [
          [0, 0],
          [1, 2],
          [0.5, 1.5],
        ];
        const plain = fit(Array.from(rows.keys())).predictWithStd(asked);
        const other = fit(order).predictWithStd(asked);
        expect(other.mean).toBeAllclose(plain.mean, { rtol: 1e-9, atol: 1e-12 });
        expect(other.std).toBeAllclose(plain.std, { rtol: 1e-9, atol: 1e-12 });
      }),
    );
  });

  it('one neighbour has no spread, and says so', () => {
    const model = nearestNeighbours({ neighbours: 1 }).fit([[0], [1]], [5, 9]);
    expect(model.predict([[0.9]])[0]).toBe(9);
    expect(() => model.predictWithStd([[0.9]])).toThrow(expect.objectContaining({ code: 'no-std' }));
  });

  it('refuses senseless options', () => {
    expect(() => nearestNeighbours({ neighbours: 0 })).toThrow(PredictorError);
    expect(() => nearestNeighbours({ weights: 'near' as 'uniform' })).toThrow(PredictorError);
  });
});
