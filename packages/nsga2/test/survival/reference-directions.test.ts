import '@hip/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dasDennis,
  dtlz,
  minimize,
  Nsga2Error,
  Nsga3,
  partitionsFor,
  Random,
  twoLayerDirections,
} from '../../src/index.ts';
import { Normalization } from '../../src/survival/normalization.ts';

describe('dasDennis', () => {
  it('has the published counts', () => {
    expect(dasDennis(2, 99)).toHaveLength(100);
    expect(dasDennis(3, 12)).toHaveLength(91);
    expect(dasDennis(5, 6)).toHaveLength(210);
    expect(twoLayerDirections(8, 3, 2)).toHaveLength(156);
    expect(dasDennis(1, 4)).toEqual([[1]]);
  });

  it('are different points of the simplex', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 }), (m, p) => {
        const directions = dasDennis(m, p);
        expect(new Set(directions.map(String)).size).toBe(directions.length);
        for (const direction of [...directions, ...twoLayerDirections(m, p, 1)]) {
          expect(direction.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
          expect(Math.min(...direction)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  it('partitionsFor stays below the limit and is the largest that does', () => {
    for (const [m, limit] of [
      [2, 100],
      [3, 100],
      [4, 130],
      [8, 5],
    ] as const) {
      const p = partitionsFor(m, limit);
      expect(p === 1 || dasDennis(m, p).length <= limit).toBe(true);
      expect(dasDennis(m, p + 1).length).toBeGreaterThan(limit);
    }
  });

  it('needs whole numbers', () => {
    expect(() => dasDennis(0, 3)).toThrow(Nsga2Error);
    expect(() => dasDennis(3, 1.5)).toThrow(Nsga2Error);
    expect(() => partitionsFor(0, 100)).toThrow(Nsga2Error);
    expect(() => partitionsFor(3, Infinity)).toThrow(/limit is Infinity/);
  });

  it('that no memory holds are refused by their number, before they are made', () => {
    expect(() => dasDennis(20, 12)).toThrow(
      expect.objectContaining({
        code: 'invalid-option',
        details: { objectives: 20, partitions: 12, directions: 141_120_525 },
      }),
    );
    expect(() => dasDennis(20, 12)).toThrow(/has 141120525 directions of 20 numbers: use fewer partitions/);
    expect(() => twoLayerDirections(20, 2, 12)).toThrow(/dasDennis\(20, 12\)/);
    expect(() => dasDennis(1e9, 1e9)).toThrow(/Infinity directions/);
    expect(() => dasDennis(1e6, 1)).toThrow(/1000000 directions/);
    expect(dasDennis(3, 600)).toHaveLength(180_901);
  });
});

describe('Normalization', () => {
  const rows = (count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => i);

  it('finds the intercepts of a plane that is scaled and shifted', () => {
    const random = new Random(3);
    const scale = [2, 50, 0.1];
    const shift = [-1, 10, 3];
    const simplex = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
    for (let i = 0; i < 30; i++) {
      const raw = [random.next(), random.next(), random.next()];
      const sum = raw[0]! + raw[1]! + raw[2]!;
      simplex.push(raw.map((value) => value / sum));
    }
    const points = simplex.map((point) => point.map((value, k) => value * scale[k]! + shift[k]!));
    const normalization = new Normalization(3);
    normalization.update(Float64Array.from(points.flat()), points.length, rows(points.length));
    expect(normalization.ideal).toBeAllclose(shift, { rtol: 1e-12 });
    expect(normalization.nadir).toBeAllclose(
      shift.map((value, k) => value + scale[k]!),
      { rtol: 1e-9 },
    );
  });

  it('falls back to the worst of the front where there is no plane', () => {
    const normalization = new Normalization(2);
    normalization.update(Float64Array.of(1, 1, 5, 7), 2, Int32Array.of(0));
    expect(normalization.ideal).toEqual([1, 1]);
    // One point alone has no width: the worst of all stands in.
    expect(normalization.nadir).toEqual([5, 7]);
  });

  it('goes on after JSON', () => {
    const a = new Normalization(2);
    a.update(Float64Array.of(0, 4, 4, 0, 1, 1), 3, rows(3));
    const b = new Normalization(2, JSON.parse(JSON.stringify(a)));
    for (const n of [a, b]) n.update(Float64Array.of(0.5, 3, 3, 0.5), 2, rows(2));
    expect(b).toEqual(a);
  });
});

describe('Nsga3', () => {
  it('takes one individual a direction and refuses directions of another length', () => {
    expect(new Nsga3(dtlz(2)).ask()).toHaveLength(91);
    expect(new Nsga3(dtlz(2), { directions: dasDennis(3, 4) }).ask()).toHaveLength(15);
    expect(() => new Nsga3(dtlz(2), { directions: dasDennis(2, 4) })).toThrow(/need 3 values each/);
    expect(() => new Nsga3(dtlz(2), { directions: [[0, 0, 0]] })).toThrow(/not all 0/);
    expect(() => new Nsga3(dtlz(2), { directions: [] })).toThrow(Nsga2Error);
  });

  it('ends near its directions', async () => {
    const directions = dasDennis(3, 6);
    const { front } = await minimize(dtlz(2), { algorithm: 'nsga3', directions, maxEvaluations: 10_000, seed: 2 });
    const cosines = directions.map((direction) => {
      const length = Math.hypot(...direction);
      return Math.max(
        ...front.map(
          ({ objectives: f }) => f.reduce((sum, v, k) => sum + v * direction[k]!, 0) / (length * Math.hypot(...f)),
        ),
      );
    });
    expect(Math.min(...cosines)).toBeGreaterThan(0.99);
  });
});
